import {
  type AsyncMethod,
  declareMethod,
  type FixedArguments,
  type MethodDescriptor,
  type TryBranch,
  type TryConfirmCancelOptions,
} from '@holdfast/core';
import '../policies/method-wrapper.js';

/**
 * Makes a method the try of try-confirm-cancel: `confirm` runs after the calling unit of work committed, `cancel` after it did not, both retried and then
 * parked in front of a person (`Branches`).
 *
 * The try runs in a transaction of its own, and so do its confirm and cancel: what they write in the store's database is committed once for each call of the
 * try, however often they run. Its arguments and its result are kept as JSON. A cancel that takes the branch also runs after a try that was not seen to
 * finish, which may have done something elsewhere; one that does not take it is left out then, because the rows of such a try are gone.
 *
 * **Guarantee:** one of the two happens, or is parked, also when processes and the database are killed. **Not promised:** when: after the unit, not within it.
 *
 * @param options names of two public methods of the class, which take what the try takes, and a `TryBranch` behind it where they need one
 * @throws HF_DECORATOR_TARGET where the class is declared, on anything but a method; at the call HF_TCC_NO_UNIT without a unit of work, HF_TCC_ARGUMENTS,
 * HF_TCC_RESULT, HF_TCC_NESTED, HF_TCC_DATA_SOURCE, HF_TCC_REFUSED; at the commit of the unit HF_TCC_DECIDED after the time-out
 */
export function TryConfirmCancel<Confirm extends string, Cancel extends string>(
  options: TryConfirmCancelOptions<Confirm, Cancel>,
): <F extends AsyncMethod>(
  target: { [P in Confirm]: (...args: [...Parameters<F>, branch: TryBranch<Awaited<ReturnType<F>>>]) => Promise<void> } & {
    [P in Cancel]: (...args: [...Parameters<F>, branch: TryBranch<Awaited<ReturnType<F>> | undefined>]) => Promise<void>;
  },
  name: string,
  descriptor: MethodDescriptor<F> & FixedArguments<Parameters<F>>,
) => void {
  return (target, name, descriptor) =>
    declareMethod({
      decorator: 'TryConfirmCancel',
      kind: 'tryConfirmCancel',
      value: { ...options },
      target,
      name,
      descriptor: descriptor as PropertyDescriptor | undefined,
    });
}
