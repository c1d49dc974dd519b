import type { PolicyDecorator } from '@holdfast/core';

/**
 * Puts policies together under a name of your own: `const Reliable = () => Policies(Retry(5), Idempotent(), Transactional())`.
 *
 * As checked by the compiler as the decorators it stands for; Nest's `applyDecorators` forgets their types. Their order does not matter, and
 * none of them may be on the method a second time.
 *
 * @param policies what `Retry`, `Idempotent`, `Transactional` and `Policies` return
 */
export function Policies(...policies: PolicyDecorator[]): PolicyDecorator {
  return (target, name, descriptor) => {
    for (const policy of policies) policy(target, name, descriptor);
  };
}
