import 'reflect-metadata';
import { targetName } from '@holdfast/core';
import { ENHANCER_KINDS, ENHANCER_METADATA } from './enhancers.js';

const DECORATORS = { guards: '@UseGuards', interceptors: '@UseInterceptors', pipes: '@UsePipes', filters: '@UseFilters' } as const;

/** Refuses guards and the like on methods that the engine calls itself, around which they would silently not run. */
export function aroundMethods(prototype: object, names: readonly string[]): readonly string[] {
  const methods = prototype as Record<string, unknown>;
  return [...new Set(names)].flatMap((name) => around(targetName(prototype, name), methods[name]));
}

/** Refuses them on a class none of whose methods they run around. */
export function aroundClass(what: string, { constructor: target }: object): readonly string[] {
  return around(`${what} ${target.name}`, target);
}

function around(what: string, carrier: unknown): readonly string[] {
  if (typeof carrier !== 'function') return [];
  return ENHANCER_KINDS.filter((kind) => Reflect.hasMetadata(ENHANCER_METADATA[kind], carrier)).map(
    (kind) => `${DECORATORS[kind]} stands on ${what}, and guards, pipes, interceptors and filters run around handlers only: remove it`,
  );
}
