import { Inject, type InjectionToken } from '@nestjs/common';
import { ModuleRef, type ModulesContainer } from '@nestjs/core';

/**
 * Waits for a provider that may still be in the making, such as a DataSource that connects; undefined when no module has it.
 *
 * `ModuleRef.get` would not wait, and a dependency of a provider of ours would have to be named before the options are known. So a class that
 * depends on it is created in its own module: Nest then waits, and the module need not export it.
 */
export async function resolveHandle(modules: ModulesContainer, token: unknown): Promise<unknown> {
  const holder = [...modules.values()].find(({ providers }) => providers.has(token as InjectionToken));
  const moduleRef = holder?.providers.get(ModuleRef)?.instance as ModuleRef | undefined;
  if (!moduleRef) return undefined;
  class Handle {
    constructor(@Inject(token as InjectionToken) readonly value: unknown) {}
  }
  return (await moduleRef.create(Handle)).value;
}
