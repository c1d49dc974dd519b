import { type Holdfast, SagaAborted } from '@holdfast/core';
import { type Accounts, befall } from './bank-accounts.js';
import { type BankPolicies, RETRY, type Service } from './bank-kit.js';
import { messagesTo, thirdOf } from './bank-messages.js';
import type { Transfer } from './options.js';

/** The same as a saga without a conductor: one service debits, the next one holds the money, the third approves or aborts, and the money is set free. */
export function choreograph(
  { bus, accounts, service }: { bus: Holdfast; accounts: Accounts; service: Service },
  policies: BankPolicies,
): void {
  const { Wanted, Debited, Credited, Approved } = messagesTo(service);
  const undoing = (undo: (transfer: Transfer) => Promise<unknown>) => ({
    undo: async ({ transfer }: { readonly transfer: Transfer }) => void (await undo(transfer)),
    retry: RETRY,
  });
  bus.on(
    Wanted,
    async ({ transfer }, { attempt }) => {
      await befall(transfer, attempt);
      const { from, to, amount } = transfer;
      if (await accounts.move(transfer, { what: 'debit', account: from, free: -amount }))
        await bus.bus.publish(new (messagesTo(to).Debited)(transfer));
      else await accounts.move(transfer, { what: 'declined', account: from });
    },
    {
      ...policies,
      name: 'transfer.debit',
      compensate: undoing((transfer) => accounts.move(transfer, { what: 'return', account: transfer.from, free: transfer.amount })),
    },
  );
  bus.on(
    Debited,
    async ({ transfer }, { attempt }) => {
      await befall(transfer, attempt);
      await accounts.move(transfer, { what: 'hold', account: transfer.to, held: transfer.amount });
      await bus.bus.publish(new (messagesTo(thirdOf(transfer)).Credited)(transfer));
    },
    {
      ...policies,
      name: 'transfer.credit',
      compensate: undoing(async (transfer) => {
        await accounts.assertMended(transfer);
        await accounts.move(transfer, { what: 'unhold', account: transfer.to, held: -transfer.amount });
      }),
    },
  );
  bus.on(
    Credited,
    async ({ transfer }) => {
      const isRefused = transfer.fate === 'refused' || transfer.fate === 'stuck';
      await bus.bus.publish(isRefused ? new SagaAborted('it is not approved') : new (messagesTo(transfer.to).Approved)(transfer));
    },
    { ...policies, name: 'transfer.approve' },
  );
  bus.on(
    Approved,
    async ({ transfer }) => {
      const { to, amount } = transfer;
      await accounts.move(transfer, { what: 'settle', account: to, held: -amount, free: amount });
    },
    { ...policies, name: 'transfer.settle' },
  );
}
