import { hfError } from '@holdfast/core';
import { Inject, Injectable, type OnModuleInit, Scope } from '@nestjs/common';
import { ModulesContainer } from '@nestjs/core';
import type { InstanceWrapper } from '../handlers/holdfast.explorer.js';
import { HOLDFAST_OPTIONS } from './holdfast.tokens.js';

/** Depends on nothing of an application, so it is there where the bus is not: Nest makes none, and starts none, whose options are made for each request. */
@Injectable()
export class OptionsCheck implements OnModuleInit {
  constructor(@Inject(ModulesContainer) private readonly modules: ModulesContainer) {}

  /** @throws HF_CONFIG_INVALID naming what is made for each request */
  onModuleInit(): void {
    const options = [...this.modules.values()].map(({ providers }) => providers.get(HOLDFAST_OPTIONS)).find((each) => each !== undefined);
    const cause = options && madePerRequest(options);
    if (cause === undefined) return;
    const problem = `the options of HoldfastModule depend on ${cause}, which is made for each request, and the bus is made once, before the first one: let them depend only on what is made once`;
    throw hfError('HF_CONFIG_INVALID', { problems: [problem] });
  }
}

/** What makes a provider one for each request: its own name, or that of something it depends on. Undefined where there is one for the application. */
function madePerRequest(wrapper: InstanceWrapper, seen = new Set<InstanceWrapper>()): string | undefined {
  if (wrapper.isDependencyTreeStatic() || seen.has(wrapper)) return undefined;
  if (wrapper.scope === Scope.REQUEST) return String(wrapper.name);
  seen.add(wrapper);
  const needs = [...(wrapper.getCtorMetadata() ?? []), ...(wrapper.getPropertiesMetadata() ?? []).map((property) => property.wrapper)];
  for (const need of needs) {
    const cause = madePerRequest(need, seen);
    if (cause !== undefined) return cause;
  }
  return undefined;
}
