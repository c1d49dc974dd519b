import { defineSaga, type Holdfast, NonRetryableError, type SagaBuilder, type SagaContext } from '@holdfast/core';
import { type Accounts, befall } from './bank-accounts.js';
import { type BankPolicies, RETRY, type Service } from './bank-kit.js';
import { type Holding, messagesTo, thirdOf } from './bank-messages.js';
import type { Transfer } from './options.js';

/** Of a step: some processes need longer to start again. */
const TIMEOUT = '3s';
/** Somebody at the other end may be away for a while. */
const PATIENT = { ...RETRY, attempts: 20 };
const FEE = 1;

/** What differs from one saga to another. */
export interface SagaKind {
  readonly name: string;
  readonly debit: (transfer: Transfer) => Promise<void>;
  /** The business key it holds. */
  readonly lock?: (transfer: Transfer) => string;
}

/** Debits here, holds the money and a fee at the other two services side by side, decides, and sets the money free. */
export function transferSaga(accounts: Accounts, { name, debit, lock }: SagaKind): SagaBuilder<Transfer> {
  const money = (transfer: Transfer): Holding => ({ transfer, account: transfer.to, amount: transfer.amount - FEE });
  const fee = (transfer: Transfer): Holding => ({ transfer, account: `${thirdOf(transfer)}/fees`, amount: FEE });
  const local = { timeout: TIMEOUT, retry: RETRY, compensateRetry: RETRY } as const;
  return defineSaga<Transfer>(name, { version: 1, lock })
    .step(
      'debit',
      async ({ state, attempt }) => {
        await befall(state, attempt);
        await debit(state);
      },
      {
        ...local,
        compensate: async ({ state }) => {
          await accounts.assertMended(state);
          await accounts.move(state, { what: 'return', account: state.from, free: state.amount });
        },
      },
    )
    .step('credit', ...holding(money))
    .step('fee', ...holding(fee))
    .step(
      'approve',
      async ({ state }) => {
        if (state.fate === 'refused' || state.fate === 'stuck') throw new NonRetryableError('it is not approved');
      },
      { after: ['credit', 'fee'], timeout: TIMEOUT, retry: RETRY, pivot: true },
    )
    .step('settle', async (saga) => saga.request(new (messagesTo(saga.state.to).Settle)(money(saga.state))), {
      timeout: TIMEOUT,
      retry: PATIENT,
    });
}

/** A step that holds money elsewhere, with its options. */
function holding(holdingOf: (transfer: Transfer) => Holding) {
  type Saga = SagaContext<Transfer>;
  const at = ({ state }: Saga) => messagesTo(holdingOf(state).account);
  return [
    async (saga: Saga) => saga.request(new (at(saga).Hold)(holdingOf(saga.state))),
    {
      after: 'debit',
      timeout: TIMEOUT,
      retry: RETRY,
      compensate: async (saga: Saga) => saga.request(new (at(saga).Unhold)(holdingOf(saga.state))),
      compensateRetry: PATIENT,
    },
  ] as const;
}

/** The other end of those steps. */
export function answerSagas(
  { bus, accounts, service }: { bus: Holdfast; accounts: Accounts; service: Service },
  policies: BankPolicies,
): void {
  const { Hold, Unhold, Settle } = messagesTo(service);
  bus.on(
    Hold,
    async ({ holding: { transfer, account, amount } }, { attempt }) => {
      await befall(transfer, attempt);
      await accounts.move(transfer, { what: 'hold', account, held: amount });
    },
    { ...policies, name: 'hold' },
  );
  bus.on(
    Unhold,
    async ({ holding: { transfer, account, amount } }) => {
      await accounts.move(transfer, { what: 'unhold', account, held: -amount });
    },
    { ...policies, name: 'unhold', compensates: Hold },
  );
  bus.on(
    Settle,
    async ({ holding: { transfer, account, amount } }) => {
      await accounts.move(transfer, { what: 'settle', account, held: -amount, free: amount });
    },
    { ...policies, name: 'settle' },
  );
}
