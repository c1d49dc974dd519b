import { type AsyncMethod, declareMethod, type MethodDescriptor, type UnitOptions } from '@holdfast/core';
import '../policies/method-wrapper.js';

/** Results that would go on after the method has returned. */
export type Streams = AsyncIterable<unknown> | { subscribe(...args: never[]): unknown };

/** A type no descriptor has, when the result is a stream. */
export type NoStream<R> = [R] extends [never] ? unknown : R extends Streams ? { 'a stream outlives the transaction': never } : unknown;

/**
 * Runs an async method in a unit of work: its rows and its messages commit together or not at all.
 *
 * Works on every provider and controller of an application with HoldfastModule, whatever its scope, also for calls through `this`. On a handler
 * the unit also holds the memory of the message. A method called inside a unit joins it (`propagation`).
 *
 * **Guarantee:** also when the process or the database dies at any moment.
 * **Not promised:** to know the outcome when the connection breaks during COMMIT (HF_UOW_COMMIT_UNKNOWN).
 *
 * @param options default: joins or opens a unit on the store's first DataSource, time-out 30 s
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method; at the call HF_NEST_MODULE_MISSING without HoldfastModule,
 * HF_UOW_STREAM_RETURNED for a stream or an observable, and whatever `UnitOfWork.run` throws
 */
export function Transactional(
  options?: UnitOptions,
): <F extends AsyncMethod>(target: object, name: string, descriptor: MethodDescriptor<F> & NoStream<Awaited<ReturnType<F>>>) => void {
  return (target, name, descriptor) =>
    declareMethod({
      decorator: 'Transactional',
      kind: 'transactional',
      value: { ...options },
      target,
      name,
      descriptor: descriptor as PropertyDescriptor | undefined,
    });
}
