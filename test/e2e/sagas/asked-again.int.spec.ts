import { until } from '@holdfast-internal/test-support';
import { type Clock, Command, defineSaga, Message, NonRetryableError, type SagaBuilder, systemClock } from '@holdfast/core';
import { openShop, type Shop } from './support/shop.js';

const DAY_MS = 86_400_000;

@Message('again.charge')
class Charge extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('again.refund')
class Refund extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

let shop: Shop;
/** How far the clocks of both services are ahead of the database's: they begin two days ago. */
let aheadMs = 0;
const clock: Clock = {
  ...systemClock,
  now: () => new Date(Date.now() + aheadMs),
  aheadOfDatabaseMs: () => aheadMs,
};

beforeEach(async () => {
  aheadMs = -2 * DAY_MS;
  shop = await openShop();
});

afterEach(() => shop.close());

/** The service that charges cards, and the one that asks it to, on one log. */
async function both(saga: SagaBuilder<{ id: string }>) {
  const bank = await shop.open(
    ({ bus, write }) => {
      const policies = { transactional: true, idempotent: { ttl: '1d' } } as const;
      bus.on(Charge, ({ orderId }) => write(`${orderId} charged`), { name: 'charge', ...policies });
      bus.on(Refund, ({ orderId }) => write(`${orderId} refunded`), { name: 'refund', compensates: Charge, ...policies });
    },
    { service: 'bank', clock },
  );
  const seller = await shop.open(({ bus }) => void bus.saga(saga), { clock });
  const close = async () => {
    await seller.bus.stop();
    await bank.bus.stop();
  };
  const start = () => seller.bus.sagas.start(saga, { id: 'o1' }, { id: 'o1' });
  return { letters: bank.bus.deadLetters, sagas: seller.bus.sagas, start, close };
}

/** No reply is written from now on. */
async function loseReplies(): Promise<void> {
  await shop.look(`create function lost() returns trigger language plpgsql as 'begin return null; end'`);
  await shop.look(
    `create trigger lost before insert on holdfast_outbox for each row when (new.type like 'holdfast.saga-reply.%') execute function lost()`,
  );
}

/** The saga is parked without a reply; two days later, when what was to be remembered for one is forgotten, a person resumes it. */
async function resumedLate(saga: SagaBuilder<{ id: string }>) {
  const before = await both(saga);
  await before.start();
  expect(await before.sagas.result('o1')).toMatchObject({ status: 'parked', failure: { code: 'HF_SAGA_REPLY_TIMEOUT' } });
  await before.close();
  aheadMs = 0;
  await shop.look('delete from holdfast_inbox');
  await shop.look('drop trigger lost on holdfast_outbox');
  const after = await both(saga);
  await after.sagas.resume('o1', { by: 'anna' });
  await until('a dead letter', async () => (await after.letters.list()).items.length === 1);
  await until('it parks again', async () => (await after.sagas.get('o1'))?.status === 'parked');
  return after;
}

const charging = { timeout: '5s', retry: false } as const;

it('a request that was done, and is asked again when that is forgotten, is not done again but shown to a person', async () => {
  const { letters, sagas } = await resumedLate(
    defineSaga<{ id: string }>('again', { version: 1 })
      .step('lose', loseReplies)
      .step('charge', async (step) => step.request(new Charge(step.id)), { ...charging, pivot: true }),
  );
  expect((await letters.list()).items).toMatchObject([{ subscription: 'charge', error: { code: 'HF_REQUEST_EXPIRED' } }]);
  expect(await sagas.get('o1')).toMatchObject({ failure: { step: 'charge', code: 'HF_REQUEST_REJECTED' } });
  expect(await shop.written()).toEqual(['o1 charged']);
});

it('an undoing that was done, and is asked again when that is forgotten, is not done again but shown to a person', async () => {
  const { letters } = await resumedLate(
    defineSaga<{ id: string }>('again', { version: 1 })
      .step('charge', async (step) => step.request(new Charge(step.id)), {
        compensate: async (step) => step.request(new Refund(step.id)),
        compensateRetry: false,
        ...charging,
      })
      .step('ship', async () => {
        await loseReplies();
        throw new NonRetryableError('no van');
      }),
  );
  expect((await letters.list()).items).toMatchObject([{ subscription: 'refund', error: { code: 'HF_IDEMPOTENT_EXPIRED' } }]);
  expect(await shop.written()).toEqual(['o1 charged', 'o1 refunded']);
});
