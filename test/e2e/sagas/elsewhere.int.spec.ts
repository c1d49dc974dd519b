import { until } from '@holdfast-internal/test-support';
import { Command, defineSaga, Message, NonRetryableError, type SagaBuilder, type SagaContext } from '@holdfast/core';
import { linesOf, openShop, type Shop, type ShopProcess } from './support/shop.js';

interface Trip {
  id: string;
  total?: number;
  payment?: { paymentId: string };
  fraud?: string;
  confirmed?: { orderId: string; address: string };
  packed?: { id: string; boxes?: number };
}

@Message('elsewhere.charge')
class Charge extends Command<{ paymentId: string }> {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('elsewhere.check')
class Check extends Command<string> {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('elsewhere.refund')
class Refund extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('elsewhere.confirmed')
class Confirmed {
  constructor(
    readonly orderId: string,
    readonly address: string,
  ) {}
}

let shop: Shop;

beforeEach(async () => {
  shop = await openShop();
});

afterEach(() => shop.close());

/** The service that charges cards, on the same log. */
function bank(
  handle: { charge?: (command: Charge, attempt: number) => Promise<{ paymentId: string }>; check?: () => Promise<string> } = {},
) {
  return shop.open(
    (process) => {
      process.bus.on(
        Charge,
        async (command, { attempt }) => {
          await process.write(`${command.orderId} charged`);
          return (await handle.charge?.(command, attempt)) ?? { paymentId: `p-${command.orderId}` };
        },
        { name: 'charge', transactional: true, idempotent: true, retry: { attempts: 2, backoff: { delay: 10 } } },
      );
      process.bus.on(Check, async () => (await handle.check?.()) ?? 'clear', { name: 'check', transactional: true, idempotent: true });
      process.bus.on(Refund, ({ orderId }) => process.write(`${orderId} refunded`), {
        name: 'refund',
        compensates: Charge,
        transactional: true,
        idempotent: true,
      });
    },
    { service: 'bank' },
  );
}

const trip = (options: Partial<Parameters<typeof defineSaga>[1]> = {}) => defineSaga<Trip>('trip', { version: 1, ...options });
const noting = (process: ShopProcess, name: string) => async (saga: SagaContext<Trip>) => process.write(`${saga.id} ${name}`);

async function seller(build: (process: ShopProcess) => SagaBuilder<Trip>) {
  let saga = trip();
  const process = await shop.open((opening) => {
    saga = build(opening);
    opening.bus.saga(saga);
  });
  return {
    process,
    sagas: process.bus.sagas,
    start: (id: string, state: Partial<Trip> = {}) => process.bus.sagas.start(saga, { id, ...state }, { id }),
  };
}

/** How long a step waits for its reply, and how often it asks. */
interface Pressing {
  readonly timeout?: '30s' | '500ms';
  readonly attempts?: number;
}

/** Reserves, charges elsewhere, and ships. */
const buying = (process: ShopProcess, ship = noting(process, 'shipped'), { timeout = '30s', attempts = 2 }: Pressing = {}) =>
  trip()
    .step('reserve', noting(process, 'reserved'), { compensate: noting(process, 'released') })
    .step('charge', async (saga) => saga.request(new Charge(saga.id), { into: 'payment' }), {
      timeout,
      retry: { attempts, backoff: { delay: 100 } },
      compensate: async (saga) => saga.request(new Refund(saga.id)),
    })
    .step('ship', ship, { retry: false });

const sold = ['started', 'reserve done', 'charge waiting', 'charge done', 'ship done', 'completed'];
const undone = ['ship turned-back', 'charge waiting', 'charge undone', 'reserve undone', 'compensated'];

it('a step in another service is done with its reply, which is kept in the state', async () => {
  await bank();
  const { sagas, start } = await seller(buying);
  await start('o1');
  expect(await sagas.result('o1')).toEqual({ status: 'completed', state: { id: 'o1', payment: { paymentId: 'p-o1' } } });
  expect(linesOf(await sagas.get('o1'))).toEqual(sold);
  expect(await shop.written()).toEqual(['o1 reserved', 'o1 charged', 'o1 shipped']);
});

it('a step in another service is undone there, and the saga waits until it is', async () => {
  await bank();
  const { sagas, start } = await seller((process) => buying(process, () => Promise.reject(new NonRetryableError('no van'))));
  await start('o1');
  expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { step: 'ship', message: 'no van' } });
  expect(linesOf(await sagas.get('o1'))).toEqual([...sold.slice(0, 4), 'ship failed', ...undone]);
  expect(await shop.written()).toEqual(['o1 reserved', 'o1 charged', 'o1 refunded', 'o1 released']);
});

it('a refusal that is final turns the saga back, and nothing of the step is undone', async () => {
  await bank({ charge: () => Promise.reject(new NonRetryableError('card declined')) });
  const { sagas, start } = await seller(buying);
  await start('o1');
  expect(await sagas.result('o1')).toMatchObject({
    status: 'compensated',
    failure: { step: 'charge', code: 'HF_REQUEST_REJECTED', message: expect.stringContaining('card declined') },
  });
  expect(await shop.written()).toEqual(['o1 reserved', 'o1 released']);
  expect(await shop.look('select state, error_message from holdfast_delivery')).toEqual([]);
  const failed = (await sagas.get('o1'))?.history.find(({ event }) => event === 'failed');
  expect(failed).toMatchObject({ step: 'charge', detail: expect.stringContaining('card declined') });
});

it('the same request is sent again when no reply comes, and one late reply is enough', async () => {
  let free: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    free = resolve;
  });
  await bank({
    charge: async ({ orderId }) => {
      await held;
      return { paymentId: `p-${orderId}` };
    },
  });
  const { sagas, start } = await seller((process) => buying(process, undefined, { timeout: '500ms', attempts: 1000 }));
  await start('o1');
  const hasAskedAgain = async () => ((await sagas.get('o1'))?.history.filter(({ event }) => event === 'waiting').length ?? 0) >= 2;
  await until('a second request', hasAskedAgain);
  const sent = await shop.look<{ id: string }>(`select attributes::json->>'id' as id from holdfast_outbox where type = 'elsewhere.charge'`);
  expect(sent.length).toBeGreaterThanOrEqual(2);
  expect(new Set(sent.map(({ id }) => id)).size).toBe(1);
  free();
  expect((await sagas.result('o1')).status).toBe('completed');
  expect(await shop.written()).toEqual(['o1 reserved', 'o1 charged', 'o1 shipped']);
});

describe('a step that asks for something else than before, without an answer', () => {
  const asking = (pivot: boolean) => (process: ShopProcess) => {
    const ask = async (saga: SagaContext<Trip>) =>
      saga.attempt === 1 ? saga.request(new Charge(saga.id)) : saga.request(new Check(saga.id));
    const common = { timeout: '300ms', retry: { attempts: 3, backoff: { delay: 10 } } } as const;
    const refund = async (saga: SagaContext<Trip>) => saga.request(new Refund(saga.id));
    return trip()
      .step('reserve', noting(process, 'reserved'), { compensate: noting(process, 'released') })
      .step('charge', ask, pivot ? { ...common, pivot } : { ...common, compensate: refund });
  };
  const sent = () =>
    shop.look(`select type, attributes::json->>'compensatestype' as of from holdfast_outbox where type ~ '^elsewhere' order by id`);

  it('turns the saga back, which undoes what was asked for first', async () => {
    const { sagas, start } = await seller(asking(false));
    await start('o1');
    await until('a refund', async () => (await sent()).length === 2);
    expect(await sent()).toEqual([
      { type: 'elsewhere.charge', of: null },
      { type: 'elsewhere.refund', of: 'elsewhere.charge' },
    ]);
    expect(await sagas.get('o1')).toMatchObject({ status: 'compensating', failure: { step: 'charge', code: 'HF_SAGA_REQUEST_CHANGED' } });
  });

  it('parks at the pivot', async () => {
    const { sagas, start } = await seller(asking(true));
    await start('o1');
    expect(await sagas.result('o1')).toMatchObject({ status: 'parked', failure: { step: 'charge', code: 'HF_SAGA_REQUEST_CHANGED' } });
    expect(await sent()).toEqual([{ type: 'elsewhere.charge', of: null }]);
  });
});

describe('a compensation says which request it undoes', () => {
  const sent = async () => {
    const [refund] = await shop.look(
      `select attributes::json->>'compensates' as of, attributes::json->>'compensatestype' as type, attributes::json->>'ran' as ran from holdfast_outbox where type = 'elsewhere.refund'`,
    );
    const [charge] = await shop.look(`select attributes::json->>'id' as id from holdfast_outbox where type = 'elsewhere.charge'`);
    return [refund, charge?.id] as const;
  };

  it('and nothing of whether it ran, when no answer was seen', async () => {
    const { sagas, start } = await seller((process) => buying(process, undefined, { timeout: '500ms' }));
    await start('o1');
    await until('a refund', async () => (await sent())[0] !== undefined);
    const [refund, charge] = await sent();
    expect(refund).toEqual({ of: charge, type: 'elsewhere.charge', ran: null });
    expect((await sagas.get('o1'))?.waitsFor).toEqual(['charge: the reply to elsewhere.refund']);
  });

  it('and that it ran, when its answer was seen', async () => {
    await bank();
    const { sagas, start } = await seller((process) => buying(process, () => Promise.reject(new NonRetryableError('no van'))));
    await start('o1');
    expect((await sagas.result('o1')).status).toBe('compensated');
    const [refund, charge] = await sent();
    expect(refund).toEqual({ of: charge, type: 'elsewhere.charge', ran: 'true' });
  });
});

it('branches in other services run side by side, and one that is not wanted is left out', async () => {
  await bank({ check: async () => 'suspicious' });
  const { sagas, start } = await seller((process) =>
    trip()
      .step('reserve', noting(process, 'reserved'), { compensate: noting(process, 'released') })
      .step('charge', async (saga) => saga.request(new Charge(saga.id), { into: 'payment' }), {
        compensate: async (saga) => saga.request(new Refund(saga.id)),
      })
      .step('check', async (saga) => saga.request(new Check(saga.id), { into: 'fraud' }), {
        after: 'reserve',
        when: ({ total = 0 }) => total > 1000,
      })
      .step(
        'refuse',
        async ({ state }) => {
          if (state.fraud === 'suspicious') throw new NonRetryableError('looks like fraud');
        },
        { after: ['charge', 'check'] },
      )
      .step('ship', noting(process, 'shipped')),
  );
  await start('small', { total: 20 });
  await start('large', { total: 2000 });
  expect(await sagas.result('small')).toMatchObject({ status: 'completed', state: { payment: { paymentId: 'p-small' } } });
  expect(await sagas.result('large')).toMatchObject({ status: 'compensated', failure: { step: 'refuse', message: 'looks like fraud' } });
  expect((await shop.written()).filter((text) => text.startsWith('large')).sort()).toEqual([
    'large charged',
    'large refunded',
    'large released',
    'large reserved',
  ]);
});

describe('a step that waits for a message', () => {
  const waiting = (process: ShopProcess, timeout: '1m' | '300ms' = '1m') =>
    trip({ signals: [Confirmed] })
      .step('reserve', noting(process, 'reserved'), { compensate: noting(process, 'released') })
      .step('wait', async (saga) => saga.waitFor(Confirmed, { key: saga.id, timeout, into: 'confirmed' }))
      .step('ship', noting(process, 'shipped'));

  it('is done when it comes with the key, before or after', async () => {
    const { process, sagas, start } = await seller(waiting);
    await process.bus.bus.publish(new Confirmed('early', 'Oak Street'), { key: 'early' });
    await until('the message', async () => (await shop.look('select from holdfast_saga_signal where value is not null')).length > 0);
    await start('early');
    await start('late');
    await until('its turn', async () => (await sagas.get('late'))?.waitsFor.length === 1);
    expect((await sagas.get('late'))?.waitsFor).toEqual(['wait: elsewhere.confirmed with the key late']);
    await process.bus.bus.publish(new Confirmed('late', 'Elm Street'), { key: 'late' });
    for (const [id, address] of [
      ['early', 'Oak Street'],
      ['late', 'Elm Street'],
    ] as const)
      expect(await sagas.result(id)).toMatchObject({ status: 'completed', state: { confirmed: { orderId: id, address } } });
  });

  it('is told with the saga and the step what it may not wait for', async () => {
    const { sagas, start } = await seller(() => trip().step('wait', async (saga) => saga.firstOf(), { retry: false }));
    await start('o1');
    const message = expect.stringMatching(/^The step wait of the saga o1 asked for the first of several with nothing among them/);
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { step: 'wait', code: 'HF_SAGA_FIRST_OF', message } });
  });

  it('turns the saga back when none comes in time', async () => {
    const { sagas, start } = await seller((process) => waiting(process, '300ms'));
    await start('o1');
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { step: 'wait', code: 'HF_SAGA_WAIT_TIMEOUT' } });
    expect(await shop.written()).toEqual(['o1 reserved', 'o1 released']);
  });

  it('is undone when none comes in time, and when the saga turns back meanwhile: its rows were committed when it began to wait', async () => {
    const { process, sagas, start } = await seller((opening) =>
      trip({ signals: [Confirmed] })
        .step('reserve', noting(opening, 'reserved'), { compensate: noting(opening, 'released') })
        .step(
          'offer',
          async (saga) => {
            await opening.write(`${saga.id} offered`);
            return saga.waitFor(Confirmed, { key: saga.id, timeout: saga.state.total === 1 ? '300ms' : '1m', into: 'confirmed' });
          },
          { compensate: noting(opening, 'withdrawn') },
        ),
    );
    await start('late', { total: 1 });
    expect(await sagas.result('late')).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_WAIT_TIMEOUT' } });
    await start('off');
    await until('it waits', async () => (await sagas.get('off'))?.status === 'waiting');
    await process.bus.sagas.cancel('off', { by: 'ann', reason: 'the test' });
    expect((await sagas.result('off')).status).toBe('compensated');
    const texts = ['reserved', 'offered', 'withdrawn', 'released'];
    expect(await shop.written()).toEqual(['late', 'off'].flatMap((id) => texts.map((text) => `${id} ${text}`)));
  });

  it('or for a time is done with whatever is first', async () => {
    const { process, sagas, start } = await seller((process) =>
      trip({ signals: [Confirmed] })
        .step('wait', async (saga) =>
          saga.firstOf(
            saga.waitFor(Confirmed, { key: saga.id, timeout: '1h', into: 'confirmed' }),
            saga.sleep(saga.id === 'asleep' ? '1s' : '1h'),
          ),
        )
        .step('ship', noting(process, 'shipped')),
    );
    await start('asleep');
    await start('woken');
    await process.bus.bus.publish(new Confirmed('woken', 'Elm Street'), { key: 'woken' });
    expect(await sagas.result('woken')).toMatchObject({ state: { confirmed: { address: 'Elm Street' } } });
    expect(await sagas.result('asleep')).toEqual({ status: 'completed', state: { id: 'asleep' } });
    expect((await shop.look(`select from holdfast_saga_signal where waiting <> '{}'`)).length).toBe(0);
  });
});

it('of two messages that a step waited for the one that came second is there for the next step that waits for it', async () => {
  const { process, sagas, start } = await seller(() =>
    trip({ signals: [Confirmed] })
      .step('wait', async (saga) => saga.firstOf(...['a', 'b'].map((key) => saga.waitFor(Confirmed, { key, timeout: '1m' }))))
      .step('rest', async (saga) => saga.sleep(1))
      .step('again', async (saga) => saga.waitFor(Confirmed, { key: 'b', timeout: '1m', into: 'confirmed' })),
  );
  await start('o1');
  await until('it waits', async () => (await sagas.get('o1'))?.status === 'waiting');
  // While somebody has the saga nobody looks at what has come for it.
  const runner = process.dataSource.createQueryRunner();
  await runner.startTransaction();
  await runner.query(`select from holdfast_saga for update`);
  for (const key of ['a', 'b']) await process.bus.bus.publish(new Confirmed(key, 'Elm Street'), { key });
  await until('both have come', async () => (await shop.look('select from holdfast_saga_event')).length === 2);
  await runner.commitTransaction();
  await runner.release();
  const outcome = await sagas.result('o1');
  expect(outcome).toMatchObject({ status: 'completed', state: { confirmed: { orderId: 'b' } } });
});

it('a step that asks for something and does not return it fails, and nothing was asked', async () => {
  const { sagas, start } = await seller(() =>
    trip().step('charge', async (saga) => void saga.request(new Charge(saga.id)), { retry: false }),
  );
  await start('o1');
  expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_OUTCOME_DROPPED' } });
  expect(await shop.look(`select from holdfast_outbox where type = 'elsewhere.charge'`)).toEqual([]);
});

describe('a step that starts another saga', () => {
  async function packers(
    pack: (saga: SagaContext<{ id: string; boxes?: number }>) => Promise<void>,
    ship: (process: ShopProcess) => (saga: SagaContext<Trip>) => Promise<void>,
  ) {
    const packing = defineSaga<{ id: string; boxes?: number }>('packing', { version: 1 }).step('pack', pack, { retry: false });
    return seller((process) => {
      process.bus.saga(packing);
      return trip()
        .step(
          'pack',
          async (saga) => {
            await process.write(`${saga.id} handed over`);
            return saga.start(packing, { id: saga.id }, { into: 'packed' });
          },
          { compensate: noting(process, 'unpacked') },
        )
        .step('ship', ship(process), { retry: false });
    });
  }

  it('is done with its last state when it is completed, and is undone like any other', async () => {
    const { sagas, start } = await packers(
      async (saga) => {
        saga.state.boxes = 2;
      },
      () => () => Promise.reject(new NonRetryableError('no van')),
    );
    await start('o1');
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', state: { packed: { id: 'o1', boxes: 2 } } });
    expect(await shop.written()).toEqual(['o1 handed over', 'o1 unpacked']);
    expect((await sagas.get('o1/pack'))?.status).toBe('completed');
  });

  it('fails when that ends as it begins, because nobody can tell whether its first step is wanted', async () => {
    const torn = defineSaga<{ id: string }>('torn', { version: 1 }).step('pack', () => undefined, {
      when: () => {
        throw new Error('no field');
      },
    });
    const { sagas, start } = await seller((process) => {
      process.bus.saga(torn);
      return trip().step('pack', async (saga) => saga.start(torn, { id: saga.id }), { retry: false });
    });
    await start('o1');
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { step: 'pack', code: 'HF_SAGA_CHILD_COMPENSATED' } });
  });

  it('fails when it was undone, and what the step itself wrote is undone too', async () => {
    const { sagas, start } = await packers(
      () => Promise.reject(new NonRetryableError('no tape')),
      (process) => noting(process, 'shipped'),
    );
    await start('o1');
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { step: 'pack', code: 'HF_SAGA_CHILD_COMPENSATED' } });
    expect(await shop.written()).toEqual(['o1 handed over', 'o1 unpacked']);
  });
});

it('a parked saga goes on when the reply that it was parked for comes after all', async () => {
  const { sagas, start } = await seller((process) =>
    trip()
      .step('reserve', noting(process, 'reserved'), { compensate: noting(process, 'released') })
      .step('charge', async (saga) => saga.request(new Charge(saga.id), { into: 'payment' }), {
        pivot: true,
        timeout: '300ms',
        retry: false,
      })
      .step('ship', noting(process, 'shipped')),
  );
  // The subscription is there, and nobody serves it for a while.
  const before = await bank();
  await before.close();
  await start('o1');
  expect(await sagas.result('o1')).toMatchObject({ status: 'parked', failure: { step: 'charge', code: 'HF_SAGA_REPLY_TIMEOUT' } });
  await bank();
  await until('its end', async () => (await sagas.get('o1'))?.status === 'completed');
  expect(await shop.written()).toEqual(['o1 reserved', 'o1 charged', 'o1 shipped']);
});

it('an attempt that lost its connection counts against no compensation of its step, when the saga was cancelled meanwhile', async () => {
  const before = await bank();
  await before.close();
  const cancelled = JSON.stringify({ kind: 'cancelled', by: 'ann', reason: 'the test' });
  const { sagas, start } = await seller((process) =>
    trip().step(
      'charge',
      async (saga) => {
        if (saga.attempt === 2) {
          await shop.look(`insert into holdfast_saga_event (service, saga_id, event, at) values ('shop', $1, $2, now())`, [
            saga.id,
            cancelled,
          ]);
          await process.dataSource.query('select pg_terminate_backend(pg_backend_pid())');
        }
        return saga.request(new Charge(saga.id));
      },
      {
        timeout: '300ms',
        retry: { attempts: 5, backoff: { delay: 50, jitter: 'none' } },
        compensate: noting(process, 'undone'),
        compensateRetry: false,
      },
    ),
  );
  await start('o1');
  expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_CANCELLED' } });
  expect(linesOf(await sagas.get('o1'))).toEqual([
    'started',
    'charge waiting',
    'charge failed',
    'charge turned-back',
    'charge undone',
    'compensated',
  ]);
});

it('a saga whose id was used before asks anew, and starts children of its own', async () => {
  await bank();
  const packing = defineSaga<{ id: string; boxes?: number }>('packing', { version: 1 }).step('pack', () => undefined);
  const { process, sagas, start } = await seller((opening) => {
    opening.bus.saga(packing);
    return buying(opening).step('pack', async (saga) => saga.start(packing, { id: saga.id }));
  });
  for (let life = 1; life <= 2; life += 1) {
    await start('o1');
    expect((await sagas.result('o1')).status).toBe('completed');
    await process.bus.sagas.purge('o1', { by: 'ann' });
  }
  expect((await shop.written()).filter((text) => text === 'o1 charged')).toHaveLength(2);
  expect(await shop.look('select from holdfast_saga')).toEqual([]);
});
