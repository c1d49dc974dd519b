// One service of a bank. It moves money from its accounts to those of the others in every way there is: two kinds of sagas, choreography, tries.
import { type Holdfast, NonRetryableError } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { Accounts } from './bank-accounts.js';
import { answerSagas, transferSaga } from './bank-sagas.js';
import { choreograph } from './bank-events.js';
import { type BankPolicies, RETRY, type Service } from './bank-kit.js';
import { messagesTo } from './bank-messages.js';
import { triesOf } from './bank-tries.js';
import type { Transfer } from './options.js';
import { codeAndMessage, say } from './report.js';

/** Transfers that are asked for at a time. */
const LANES = 4;
const PERSON = { by: 'crash', reason: 'it is mended' };

/** What a process of the bank works with. */
export interface BankParts {
  readonly bus: Holdfast;
  readonly dataSource: DataSource;
  readonly vault: DataSource;
  readonly service: Service;
  readonly from: 'earliest' | 'now';
}

/** The bank as its clients and its operators see it. */
export interface Bank {
  /** Asks for transfers, and says what it knows of each. */
  transfer(transfers: readonly Transfer[]): Promise<void>;
  /** Lets everything go on that is parked here; how much that was. */
  goOn(): Promise<number>;
}

/** Adds everything of the service to a bus that has not started. */
export function openBank({ bus, dataSource, vault, service, from }: BankParts): Bank {
  const accounts = new Accounts(dataSource);
  const tries = triesOf(bus, { accounts, vault: new Accounts(vault) });
  const debit = async (transfer: Transfer) => {
    if (!(await accounts.move(transfer, { what: 'debit', account: transfer.from, free: -transfer.amount })))
      throw new NonRetryableError('there is not enough');
  };
  const sagas = {
    saga: transferSaga(accounts, { name: 'transfer', debit }),
    'queued saga': transferSaga(accounts, { name: 'queued-transfer', debit: tries.freeze, lock: (transfer) => transfer.from }),
  };
  for (const saga of Object.values(sagas)) bus.saga(saga);
  // A message may be in the hands of one process after another that is killed.
  const policies: BankPolicies = { idempotent: true, transactional: true, retry: { ...RETRY, attempts: 8 }, from };
  answerSagas({ bus, accounts, service }, policies);
  choreograph({ bus, accounts, service }, policies);
  const ask = async (transfer: Transfer): Promise<unknown> => {
    const { id, how } = transfer;
    if (how === 'try') return bus.unitOfWork.run(() => tries.toVault(transfer));
    if (how === 'choreography') return bus.bus.publish(new (messagesTo(service).Wanted)(transfer), { id, sagaId: id });
    return bus.sagas.start(sagas[how], transfer, { id });
  };
  return { transfer: (transfers) => askEach(transfers, ask), goOn: () => letAllGoOn(bus) };
}

async function askEach(transfers: readonly Transfer[], ask: (transfer: Transfer) => Promise<unknown>): Promise<void> {
  const lane = async (mine: readonly Transfer[]) => {
    for (const transfer of mine) {
      const { id } = transfer;
      await ask(transfer).then(
        () => say({ e: 'acknowledged', id }),
        (error: unknown) => say({ e: 'refused', id, code: codeAndMessage(error) }),
      );
    }
  };
  await Promise.all(Array.from({ length: LANES }, (_, at) => lane(transfers.filter((_each, n) => n % LANES === at))));
}

async function letAllGoOn({ sagas, branches, deadLetters }: Holdfast): Promise<number> {
  const parked = await sagas.list({ status: 'parked' });
  const stuck = await branches.list({ status: 'parked' });
  const letters = await deadLetters.list();
  const all = [
    ...parked.items.map(({ id }) => sagas.resume(id, PERSON)),
    ...stuck.items.map(({ id }) => branches.retry(id, PERSON)),
    ...letters.items.map(({ id }) => deadLetters.redrive(id, PERSON)),
  ];
  // One that another process has in its hands is for the next time.
  await Promise.allSettled(all);
  return all.length;
}
