import type { ExternalContextCreator } from '@nestjs/core';
import type { Enhanced, EnhancerKind } from './enhancers.js';
import type { ContextId } from './exception-filters.js';
import { isIdle } from './idle-pipes.js';
import type { Outcomes } from './outcomes.js';

/** Where Nest looks for what it runs around a method, and for whom. */
export interface EnhancerPlace {
  readonly kind: Exclude<EnhancerKind, 'filters'>;
  /** Key of the module that has the class of the instance. */
  readonly module: string;
  readonly contextId: ContextId | undefined;
  readonly inquirerId: string | undefined;
}

/** What is particular to a handler. */
export interface HostTerms {
  /** Key of its module. */
  readonly module: string;
  /** Class of its first parameter. */
  readonly payload: unknown;
  readonly outcomes: Outcomes;
}

/** What Nest finds to run around a method. */
export function enhancersOf(
  contexts: ExternalContextCreator,
  { instance, method }: Enhanced,
  { kind, module, contextId, inquirerId }: EnhancerPlace,
): readonly unknown[] {
  return creatorsOf(contexts)[`${kind}ContextCreator`].create(instance, method, module, contextId, inquirerId);
}

/**
 * Nest's maker of contexts, as handlers want it: it looks for what is given by class in the module that has the handler, where by itself it knows only of providers, and
 * so of no controller; pipes that have nothing to do with the messages of the handler stay away from them; and next to the handler somebody sees what it comes to.
 */
export function contextsIn(contexts: ExternalContextCreator, { module, payload, outcomes }: HostTerms): ExternalContextCreator {
  const { pipesContextCreator: pipes, interceptorsContextCreator: interceptors } = creatorsOf(contexts);
  const pipesOf: Creator['create'] = (...args) => pipes.create(...args).filter((pipe) => !isIdle(pipe, payload));
  const interceptorsOf: Creator['create'] = (...args) => [...interceptors.create(...args), outcomes];
  return Object.assign(Object.create(contexts) as ExternalContextCreator, {
    getHostModuleKey: () => module,
    getContextModuleKey: () => module,
    pipesContextCreator: Object.assign(Object.create(pipes) as Creator, { create: pipesOf }),
    interceptorsContextCreator: Object.assign(Object.create(interceptors) as Creator, { create: interceptorsOf }),
  });
}

function creatorsOf(contexts: ExternalContextCreator): Creators {
  // Private in Nest.
  return contexts as unknown as Creators;
}

type Creators = Readonly<Record<`${EnhancerPlace['kind']}ContextCreator`, Creator>>;

interface Creator {
  create(
    ...where: readonly [instance: object, method: object, module: string, contextId: unknown, inquirerId: string | undefined]
  ): readonly unknown[];
}
