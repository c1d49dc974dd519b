import { setTimeout } from 'node:timers/promises';
import { defineTry, type Holdfast, NonRetryableError, type TryBranch } from '@holdfast/core';
import { type Accounts, befall } from './bank-accounts.js';
import { RETRY } from './bank-kit.js';
import type { Transfer } from './options.js';

const TIMEOUT_MS = 5000;
const OPTIONS = { timeout: TIMEOUT_MS, confirmRetry: RETRY, cancelRetry: RETRY };
const VAULT = 'vault';

/** Tries of a service: one freezes money in an account, the other one announces it in the vault, which is another DataSource. */
export function triesOf(bus: Holdfast, { accounts, vault }: { readonly accounts: Accounts; readonly vault: Accounts }) {
  const freeze = bus.tryConfirmCancel(
    defineTry(
      'account.freeze',
      async (transfer: Transfer) => {
        const { amount, from } = transfer;
        if (!(await accounts.move(transfer, { what: 'freeze', account: from, free: -amount, held: amount })))
          throw new NonRetryableError('there is not enough');
      },
      {
        ...OPTIONS,
        confirm: async (transfer: Transfer, { attempt }) => {
          await befall(transfer, attempt);
          if (transfer.how === 'try') await accounts.assertMended(transfer);
          await accounts.move(transfer, { what: 'take', account: transfer.from, held: -transfer.amount });
        },
        cancel: async (transfer: Transfer) => {
          await accounts.move(transfer, { what: 'thaw', account: transfer.from, free: transfer.amount, held: -transfer.amount });
        },
      },
    ),
  );
  const announce = bus.tryConfirmCancel(
    defineTry('vault.announce', (transfer: Transfer) => vault.moveOnce(transfer, { what: 'announce', account: VAULT }), {
      ...OPTIONS,
      dataSource: VAULT,
      confirm: (transfer: Transfer) => vault.moveOnce(transfer, { what: 'gain', account: VAULT, free: transfer.amount }),
      cancel: (transfer: Transfer, _branch: TryBranch<void | undefined>) =>
        vault.moveOnce(transfer, { what: 'forgo', account: VAULT }, 'announce'),
    }),
  );
  return {
    freeze,
    /** A unit of work that moves money to the vault, or is rolled back. */
    toVault: async (transfer: Transfer) => {
      await freeze(transfer);
      await announce(transfer);
      await accounts.move(transfer, { what: 'placed', account: transfer.from });
      if (transfer.fate === 'late') await setTimeout(TIMEOUT_MS + 500);
      if (transfer.fate === 'refused') throw new NonRetryableError('it is not approved');
    },
  };
}
