import type { PolicyDecorator, RetryOptions } from './policies.js';
import { declareMethod } from './policy-metadata.js';

/**
 * How often and how fast to try a method again. It only writes metadata; where the method stands decides what a repetition is:
 *
 * | on | an attempt is | between attempts |
 * |---|---|---|
 * | a handler (`@OnMessage`) | one delivery, also after a restart | a stored delivery waits, nothing is held |
 * | a step of a saga | one run of the step | the saga row waits |
 * | any other method | one call, outside its transaction | the caller waits, in this process |
 *
 * **Not promised:** one effect. An attempt that failed may have done something: combine with `@Transactional` or `@Idempotent`.
 *
 * @param options attempts in all, the first included, at least 1; `false` for one attempt; or the options, default 5 attempts
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method
 */
export function Retry(options: number | false | RetryOptions): PolicyDecorator {
  return (target, name, descriptor) =>
    declareMethod({
      decorator: 'Retry',
      kind: 'retry',
      value: options,
      target,
      name,
      descriptor: descriptor as PropertyDescriptor | undefined,
    });
}
