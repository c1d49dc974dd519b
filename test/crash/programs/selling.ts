import { Command, defineSaga, type Holdfast, Message, NonRetryableError, type SagaBuilder, type SagaContext } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import type { Selling } from './options.js';
import { startSagas } from './sagas.js';

type How = Selling['how'];

/** What is known of an order. */
interface Order {
  how: How;
  payment?: { readonly by: number };
}

@Message('selling.charge')
class Charge extends Command<{ readonly by: number }> {
  constructor(
    readonly order: string,
    readonly how: How,
  ) {
    super();
  }
}

@Message('selling.refund')
class Refund extends Command {
  constructor(readonly order: string) {
    super();
  }
}

@Message('selling.check')
class Check extends Command<boolean> {
  constructor(readonly order: string) {
    super();
  }
}

const RETRY = { attempts: 4, backoff: { delay: 50, factor: 1, jitter: 'none' } } as const;
/** A participant that is killed comes back later than this: what it was asked may be undone before it has looked. */
const REPLY_TIMEOUT = '2s';

const effectIn = (dataSource: DataSource) => async (what: string, order: string) => {
  await dataSource.query('insert into effect (subscription, message_id, pid) values ($1, $2, $3)', [what, order, process.pid]);
};

/** What an order is sold by: the second version insures what is shipped, too. */
export type SellingVersion = 1 | 2;

/** Reserves here, charges and checks at the bank side by side, and ships here. */
export function sellingSaga(dataSource: DataSource, version: SellingVersion = 1): SagaBuilder<Order> {
  const write = effectIn(dataSource);
  const effect = (what: string) => (saga: SagaContext<Order>) => write(what, saga.id);
  const saga = defineSaga<Order>('selling', { version });
  const beforeShipping = version === 1 ? (['charge', 'check'] as const) : (['charge', 'check', 'insure'] as const);
  saga
    .step('reserve', effect('reserve'), { compensate: effect('release'), retry: RETRY, compensateRetry: RETRY })
    .step('charge', async (saga) => saga.request(new Charge(saga.id, saga.state.how), { into: 'payment' }), {
      compensate: async (saga) => saga.request(new Refund(saga.id)),
      timeout: REPLY_TIMEOUT,
      retry: RETRY,
      // It has to go on however long the bank is away.
      compensateRetry: { attempts: 100, backoff: { delay: 50, factor: 1, jitter: 'none' } },
    })
    .step('check', async (saga) => saga.request(new Check(saga.id)), { after: 'reserve', timeout: REPLY_TIMEOUT, retry: RETRY });
  if (version === 2)
    saga.step('insure', effect('insure'), { after: 'reserve', compensate: effect('uninsure'), retry: RETRY, compensateRetry: RETRY });
  return saga.step(
    'ship',
    async (saga) => {
      await write('ship', saga.id);
      if (saga.state.how === 'no van') throw new NonRetryableError('no van');
    },
    { after: beforeShipping, retry: RETRY },
  );
}

/** The other end: charges and refunds are one row of `effect` each. */
export function addBank(bus: Holdfast, dataSource: DataSource, from: 'earliest' | 'now'): void {
  const write = effectIn(dataSource);
  const policies = { idempotent: true, transactional: true, retry: { ...RETRY, attempts: 8 }, from } as const;
  bus.on(
    Charge,
    async ({ order, how }) => {
      await write('charge', order);
      if (how === 'declined') throw new NonRetryableError('card declined');
      return { by: process.pid };
    },
    { ...policies, name: 'charge' },
  );
  bus.on(Refund, ({ order }) => write('refund', order), { ...policies, name: 'refund', compensates: Charge });
  bus.on(Check, async () => true, { ...policies, name: 'check' });
}

/** Starts sagas, again where it does not know whether it has. */
export function sell(bus: Holdfast, saga: SagaBuilder<Order>, selling: Selling): Promise<void> {
  return startSagas(bus, saga as SagaBuilder<{ how: How }>, selling);
}
