import { type AsyncMethod, declareMethod, type IdempotentOptions, type MethodDescriptor } from '@holdfast/core';
import '../policies/method-wrapper.js';

/**
 * Makes repeated calls have one effect, in this database and inside `ttl`.
 *
 * On a handler the same message is recognised by its source and id. With `key`, and always on other methods, by what the key function makes of
 * the arguments, per method. Together with `@Transactional` the memory commits with the method's own rows.
 *
 * **Guarantee:** with `@Transactional`: one effect, under any number of concurrent calls and after any crash.
 * **Not promised:** the same without it, for what was done elsewhere: then at least once, and the first result is stored and given to all.
 *
 * The result of a method that is no handler must have a form in JSON. One that has none (a `bigint`, a cycle) rolls the unit of work back with a
 * NonRetryableError; outside one the call has succeeded, an error is logged, and its repeats get undefined.
 *
 * @param options `key` (required on methods that are no handler), `ttl`, `lockTtl`, `onExpired`
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method; HF_IDEMPOTENT_KEY_MISSING at start
 */
export function Idempotent<F extends AsyncMethod>(
  options?: IdempotentOptions<Parameters<F>>,
): (target: object, name: string, descriptor: MethodDescriptor<F>) => void {
  return (target, name, descriptor) =>
    declareMethod({
      decorator: 'Idempotent',
      kind: 'idempotent',
      value: { ...options },
      target,
      name,
      descriptor: descriptor as PropertyDescriptor | undefined,
    });
}
