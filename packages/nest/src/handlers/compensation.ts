import type { CompensationOptions } from '@holdfast/core';
import type { MethodHost } from '../policies/method-host.js';
import { declareHandlerParams } from './handler-params.js';
import type { HandlerContext } from './handler-context.js';
import type { DiscoveredClass } from './holdfast.explorer.js';
import type { ClassMethod } from './holdfast-metadata.accessor.js';

/** A handler, and the class it was found on. */
export interface FoundHandler {
  readonly found: DiscoveredClass;
  readonly method: ClassMethod;
}

/** Says that the engine calls what undoes a handler, and keeps its policies; before the other methods of its class are prepared. Gives what is wrong with it. */
export function declareUndo(host: MethodHost, { found: { prototype, methods }, method }: FoundHandler): readonly string[] {
  const { compensate } = method.metadata;
  if (compensate === undefined) return [];
  const where = `@Compensate('${compensate}') on ${method.target}`;
  if (typeof (prototype as Record<string, unknown>)[compensate] !== 'function') return [`${where} names no method of the class`];
  const { subscription, durable, step, idempotent } = methods.find(({ name }) => name === compensate)?.metadata ?? {};
  if (subscription !== undefined || durable !== undefined || step !== undefined)
    return [`${where} names a method with a work of its own: give what undoes it a method of its own`];
  for (let declaring: object | null = prototype; declaring !== null; declaring = Object.getPrototypeOf(declaring))
    if (Object.hasOwn(declaring, compensate)) host.declareHandler(declaring, compensate);
  declareHandlerParams(prototype, compensate);
  return idempotent === undefined ? [] : [`${where}: what undoes a handler has one effect already, so remove @Idempotent from it`];
}

/** What undoes a handler, with the policies that stand on it; guards, pipes and interceptors apply as to the handler. Undefined where nothing does. */
export async function compensationOf(
  context: HandlerContext,
  { found, method }: FoundHandler,
): Promise<CompensationOptions<object> | undefined> {
  const { compensate: name } = method.metadata;
  if (name === undefined || typeof (found.prototype as Record<string, unknown>)[name] !== 'function') return undefined;
  const metadata = found.methods.find((one) => one.name === name)?.metadata ?? {};
  const target = `${found.prototype.constructor.name}.${name}`;
  const undo = await context.functionOf(found, { name, metadata, target, owner: found.prototype, isEffective: true });
  const transactional = metadata.transactional as CompensationOptions<object>['transactional'];
  return { undo, retry: metadata.retry, transactional };
}
