import 'reflect-metadata';
import { targetName } from '@holdfast/core';
import { ENHANCER_METADATA } from '../handlers/enhancers.js';
import { ROUTE_ARGUMENTS } from '../handlers/parameter-decorators.js';
import { filterProbe } from './filter-probe.js';
import type { HoldfastContext } from './holdfast.context.js';

/** Keys of what Nest's decorators write. @source @nestjs/microservices, its constants (no public entry point) */
const PATTERN = 'microservices:pattern';
const EXTRAS = 'microservices:pattern_extras';

/** Nest's numbers for the parameters of a message handler. @source @nestjs/microservices, RpcParamtype */
const PAYLOAD = '3';
const CONTEXT = '6';

/** Beside what users give as extras, which Nest hands to the strategy: whose handler it is. */
const ORIGIN = Symbol.for('holdfast.nest.pattern-origin');

/** A method with `@EventPattern` or `@MessagePattern`, on the prototype that declares it. */
export interface PatternMethod {
  readonly owner: object;
  readonly name: string;
  /** `Class.method`, for errors. */
  readonly target: string;
}

/** A parameter of a handler and where its argument comes from. */
interface Parameter {
  readonly index: number;
  readonly type: string;
  /** Property of the payload it wants; undefined: the whole. */
  readonly property: string | undefined;
}

/** The methods of a class that have a pattern, those of its ancestors included unless it overrides them. */
export function patternMethods(prototype: object): readonly PatternMethod[] {
  const found: PatternMethod[] = [];
  const seen = new Set<string>();
  for (let owner: object | null = prototype; owner && owner !== Object.prototype; owner = Object.getPrototypeOf(owner)) {
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(owner))) {
      if (seen.has(name)) continue;
      seen.add(name);
      if (typeof value === 'function' && Reflect.hasMetadata(PATTERN, value))
        found.push({ owner, name, target: targetName(prototype, name) });
    }
  }
  return found;
}

/** Before Nest looks at a method: lets the strategy recognise it, and its calls see their errors. */
export function prepareForStrategy(origin: PatternMethod): void {
  const method = methodOf(origin);
  Reflect.defineMetadata(EXTRAS, { ...Reflect.getMetadata(EXTRAS, method), [ORIGIN]: origin }, method);
  const filters: readonly unknown[] = Reflect.getMetadata(ENHANCER_METADATA.filters, method) ?? [];
  // Last, because Nest asks the last one first.
  if (!filters.includes(filterProbe)) Reflect.defineMetadata(ENHANCER_METADATA.filters, [...filters, filterProbe], method);
}

/** Whose handler Nest is adding; undefined for one that somebody adds by hand. */
export function originOf(extras: object | undefined): PatternMethod | undefined {
  return (extras as { readonly [ORIGIN]?: PatternMethod } | undefined)?.[ORIGIN];
}

/** The class that the payload's parameter has in the metadata; undefined when nothing is known. */
export function payloadClass({ owner, name }: PatternMethod): unknown {
  const types: readonly unknown[] | undefined = Reflect.getMetadata('design:paramtypes', owner, name);
  const whole = parametersOf(owner, name).find(({ type, property }) => type === PAYLOAD && property === undefined);
  return whole && types?.[whole.index];
}

/** The arguments of a handler before pipes: what a key function of `@Idempotent`, which is typed like the method, is called with. */
export function argumentsOf({ owner, name }: PatternMethod, data: unknown, context: HoldfastContext): never[] {
  const given: unknown[] = [];
  for (const { index, type, property } of parametersOf(owner, name)) {
    if (type === CONTEXT) given[index] = context;
    if (type === PAYLOAD) given[index] = property === undefined ? data : (data as Record<string, unknown> | null | undefined)?.[property];
  }
  return given as never[];
}

/** As Nest reads them; without any decorator the payload comes first and the context second. */
function parametersOf(owner: object, name: string): readonly Parameter[] {
  const written: Readonly<Record<string, { readonly index: number; readonly data?: string }>> = Reflect.getMetadata(
    ROUTE_ARGUMENTS,
    owner.constructor,
    name,
  ) ?? { [`${PAYLOAD}:0`]: { index: 0 }, [`${CONTEXT}:1`]: { index: 1 } };
  return Object.entries(written).map(([key, { index, data }]) => ({ index, type: key.split(':')[0] as string, property: data }));
}

function methodOf({ owner, name }: PatternMethod): object {
  return Object.getOwnPropertyDescriptor(owner, name)?.value as object;
}
