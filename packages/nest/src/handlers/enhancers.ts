import 'reflect-metadata';
import type { ModuleRef } from '@nestjs/core';

/** What Nest runs around a method. */
export type EnhancerKind = keyof typeof ENHANCER_METADATA;

/** A method on one instance; `method` carries its metadata. */
export interface Enhanced {
  readonly instance: object;
  readonly method: object;
}

/** Metadata keys of `@UseGuards` and the others, on a method or a class. @source @nestjs/common, constants (no public entry point) */
export const ENHANCER_METADATA = {
  guards: '__guards__',
  interceptors: '__interceptors__',
  pipes: '__pipes__',
  filters: '__exceptionFilters__',
} as const;

export const ENHANCER_KINDS = Object.keys(ENHANCER_METADATA) as readonly EnhancerKind[];

/** Whether Nest is to run anything of this kind around the method: of its own, of its class, or of the application. */
export function hasEnhancers(enhanced: Enhanced, kind: EnhancerKind, modules: ModuleRef): boolean {
  return wantedOf(enhanced, kind, modules)?.length !== 0;
}

/**
 * What Nest would leave out around a method, without a word. What the application makes for each message or class it makes for controllers only, and what is given as a
 * class it looks for among what a module has made for classes of its own, where there is nothing for what a factory gives.
 *
 * @param made what Nest has found
 */
export function leftOut(
  enhanced: Enhanced,
  kind: EnhancerKind,
  parts: { readonly modules: ModuleRef; readonly made: number },
): readonly string[] {
  const wanted = wantedOf(enhanced, kind, parts.modules);
  if (wanted === undefined || parts.made >= wanted.length) return [];
  return wanted.filter((each) => typeof each === 'function').map(({ name }) => name);
}

/** Names of what the application makes for each message, or for each class. */
export function madePerMessage(kind: EnhancerKind, modules: ModuleRef): readonly string[] {
  const config = configOf(modules);
  return config === undefined ? [] : globalsOf(config, kind).perMessage.map(({ metatype }) => (metatype as { readonly name: string }).name);
}

/** In no order: instances, classes, and the classes of what the application makes for each message or class. Undefined where nobody knows. */
function wantedOf({ instance, method }: Enhanced, kind: EnhancerKind, modules: ModuleRef): readonly unknown[] | undefined {
  const config = configOf(modules);
  if (config === undefined) return undefined;
  const { once, perMessage } = globalsOf(config, kind);
  const given = [method, instance.constructor].flatMap(
    (target) => (Reflect.getMetadata(ENHANCER_METADATA[kind], target) as unknown[] | undefined) ?? [],
  );
  return [...once, ...perMessage.map(({ metatype }) => metatype), ...given];
}

function globalsOf(config: ApplicationConfig, kind: EnhancerKind) {
  const globals = {
    guards: () => ({ once: config.getGlobalGuards(), perMessage: config.getGlobalRequestGuards() }),
    interceptors: () => ({ once: config.getGlobalInterceptors(), perMessage: config.getGlobalRequestInterceptors() }),
    pipes: () => ({ once: config.getGlobalPipes(), perMessage: config.getGlobalRequestPipes() }),
    filters: () => ({ once: config.getGlobalFilters(), perMessage: config.getGlobalRequestFilters() }),
  };
  return globals[kind]();
}

/** There is no public way to ask for those of the application. */
function configOf(modules: ModuleRef): ApplicationConfig | undefined {
  // Private in both.
  return (modules as unknown as { readonly container?: { readonly applicationConfig?: ApplicationConfig } }).container?.applicationConfig;
}

type Plural = 'Guards' | 'Interceptors' | 'Pipes' | 'Filters';
type ApplicationConfig = Readonly<
  Record<`getGlobal${Plural}`, () => readonly unknown[]> &
    Record<`getGlobalRequest${Plural}`, () => readonly { readonly metatype: unknown }[]>
>;
