import { until } from '@holdfast-internal/test-support';
import { currentDelivery, defineSaga, type Delivery, Message } from '@holdfast/core';
import { linesOf, openShop, type Order, type Shop, type ShopProcess } from './support/shop.js';

const BY = { by: 'ann', reason: 'the test' };
const order = defineSaga<Order>('order', { version: 1 });
const hold = { isClosed: false };

@Message('sagas.begin')
class Begin {
  constructor(readonly what: string) {}
}

let shop: Shop;
let process: ShopProcess;

order
  .step('reserve', async () => {}, { compensate: async () => {} })
  .step(
    'wait',
    async () => {
      if (hold.isClosed) throw new Error('closed');
    },
    { retry: { attempts: 1000, backoff: { delay: 50, factor: 1, jitter: 'none' } } },
  )
  .step('pay', async () => {}, { pivot: true })
  .step(
    'ship',
    async (saga) => {
      if (saga.state.seen?.includes('no van')) throw new Error('no van');
    },
    { retry: false },
  );

beforeEach(async () => {
  hold.isClosed = false;
  shop = await openShop();
  process = await shop.open((opening) => void opening.bus.saga(order));
});

afterEach(() => shop.close());

const start = (id: string, also: Partial<Order> = {}) => process.bus.sagas.start(order, { id, ...also }, { id });

describe('the start of a saga', () => {
  it('under an id that is there changes nothing, also while both are under way', async () => {
    const both = await Promise.all([start('o1'), start('o1'), start('o1')]);
    expect(both.map(({ started }) => started).sort()).toEqual([false, false, true]);
    await process.bus.sagas.result('o1');
    expect((await start('o1')).started).toBe(false);
    expect(linesOf(await process.bus.sagas.get('o1')).filter((line) => line === 'started')).toHaveLength(1);
  });

  it('is one with the unit in scope: both are there, or neither', async () => {
    const { unitOfWork, sagas } = process.bus;
    const both = unitOfWork.run(async () => {
      await process.write('o1');
      await start('o1');
      throw new Error('no');
    });
    await expect(both).rejects.toThrow('no');
    expect([await shop.written(), await sagas.get('o1')]).toEqual([[], undefined]);
    await unitOfWork.run(async () => {
      await process.write('o2');
      await start('o2');
    });
    expect((await sagas.result('o2')).status).toBe('completed');
    expect(await shop.written()).toEqual(['o2']);
  });

  it('is undone with the nested part it was made in, and not with a sibling', async () => {
    const { unitOfWork, sagas } = process.bus;
    await unitOfWork.run(async () => {
      const nested = unitOfWork.run({ propagation: 'NESTED' }, async () => {
        await process.write('gone');
        await start('gone');
        await new Promise((resolve) => setTimeout(resolve, 20));
        throw new Error('no');
      });
      await Promise.all([nested.catch(() => undefined), start('kept')]);
    });
    expect((await sagas.result('kept')).status).toBe('completed');
    expect(await sagas.get('gone')).toBeUndefined();
  });

  it('in a transaction of the user begins when he has committed', async () => {
    const { unitOfWork, sagas } = process.bus;
    await process.dataSource.transaction((manager) => unitOfWork.join(manager, () => start('o1')));
    expect((await sagas.result('o1')).status).toBe('completed');
  });

  it('is refused where the id is of another saga, unusable, or the state is no JSON', async () => {
    const other = defineSaga<Order>('other', { version: 1 }).step('a', async () => {});
    const second = await shop.open((opening) => void opening.bus.saga(other));
    await start('o1');
    await expect(second.bus.sagas.start(other, { id: 'o1' }, { id: 'o1' })).rejects.toMatchObject({ code: 'HF_SAGA_ID_TAKEN' });
    await expect(start('')).rejects.toMatchObject({ code: 'HF_SAGA_ID' });
    await expect(process.bus.sagas.start(order, { id: 1n } as never, { id: 'o2' })).rejects.toMatchObject({ code: 'HF_SAGA_STATE' });
    await expect(process.bus.sagas.start(other, { id: 'o2' }, { id: 'o2' })).rejects.toMatchObject({ code: 'HF_SAGA_NOT_REGISTERED' });
  });
});

it('a saga that a handler starts runs outside of its delivery', async () => {
  const causes: (string | undefined)[] = [];
  const inner = defineSaga<Order>('inner', { version: 1 }).step('it', async () => void causes.push(currentDelivery()?.id));
  const { bus } = await shop.open(({ bus: opening }) => {
    opening.saga(inner);
    const begin = async ({ what }: Begin, { id }: Delivery) => {
      causes.push(currentDelivery()?.id === id ? 'in its delivery' : undefined);
      await opening.sagas.start(inner, { id: what }, { id: what });
    };
    opening.on(Begin, begin, { name: 'shop.begin', transactional: true });
  });
  await bus.bus.publish(new Begin('o1'));
  await until('the step', () => causes.length === 2);
  expect(causes).toEqual(['in its delivery', undefined]);
});

describe('the result of a saga', () => {
  it('is refused inside a unit, where it could never come', async () => {
    const inside = process.bus.unitOfWork.run(async () => process.bus.sagas.result((await start('o1')).id));
    await expect(inside).rejects.toMatchObject({ code: 'HF_SAGA_RESULT_IN_TRANSACTION' });
  });

  it('has a deadline, and of a saga that nobody started there is none', async () => {
    hold.isClosed = true;
    await start('o1');
    await expect(process.bus.sagas.result('o1', { timeout: 100 })).rejects.toMatchObject({ code: 'HF_SAGA_RESULT_TIMEOUT' });
    await expect(process.bus.sagas.result('o2')).rejects.toMatchObject({ code: 'HF_SAGA_UNKNOWN' });
  });

  it('is told to another process, which does not have the saga', async () => {
    const other = await shop.open(() => undefined);
    const { id } = await start('o1');
    expect(await other.bus.sagas.result(id)).toEqual({ status: 'completed', state: { id: 'o1' } });
  });
});

it('a saga whose stored state is no JSON parks where it stands, and nothing is called with it', async () => {
  hold.isClosed = true;
  await start('o1');
  await until('its second step', async () => (await process.bus.sagas.get('o1'))?.step === 'wait');
  await shop.look(`update holdfast_saga set state = 'torn'`);
  await until('a person is asked', async () => (await process.bus.sagas.get('o1'))?.status === 'parked');
  const parked = await process.bus.sagas.get('o1');
  expect(parked).toMatchObject({ step: 'wait', failure: { code: 'HF_SAGA_STATE' } });
  expect(linesOf(parked)).not.toContain('wait turned-back');
  await shop.look(`update holdfast_saga set state = '{"id":"o1"}'`);
  hold.isClosed = false;
  await process.bus.sagas.resume('o1', BY);
  expect((await process.bus.sagas.result('o1')).status).toBe('completed');
});

describe('a saga of which nobody can read where it stands', () => {
  const TORN = [
    'torn',
    '{"at":{}}',
    '{"at":[{}],"done":[],"leftOut":[]}',
    'null',
    '{"at":[{"step":"wait","way":"running","attempts":0,"callMs":0,"waits":1}],"done":[{"step":"reserve"}],"leftOut":[]}',
  ];

  it.each(TORN)('parks with the reason, and goes on when what was found is corrected: %s', async (torn) => {
    hold.isClosed = true;
    await start('o1');
    await until('its second step', async () => (await process.bus.sagas.get('o1'))?.step === 'wait');
    const [before] = await shop.look<{ progress: string }>('select progress from holdfast_saga');
    await shop.look('update holdfast_saga set progress = $1', [torn]);
    await until('a person is asked', async () => (await process.bus.sagas.get('o1'))?.status === 'parked');
    expect(await process.bus.sagas.result('o1')).toMatchObject({ status: 'parked', failure: { code: 'HF_SAGA_PROGRESS' } });
    expect(await shop.look(`select progress::json->>'unread' as unread from holdfast_saga`)).toEqual([{ unread: torn }]);
    await process.bus.sagas.skip('o1', BY);
    expect((await process.bus.sagas.get('o1'))?.status).toBe('parked');
    await shop.look('update holdfast_saga set progress = $1', [before?.progress]);
    hold.isClosed = false;
    await process.bus.sagas.resume('o1', BY);
    expect((await process.bus.sagas.result('o1')).status).toBe('completed');
  });

  it('on its way back goes on with that', async () => {
    hold.isClosed = true;
    await start('o1');
    await until('its second step', async () => (await process.bus.sagas.get('o1'))?.step === 'wait');
    await shop.look(`update holdfast_saga set status = 'compensating', progress = 'torn'`);
    await until('a person is asked', async () => (await process.bus.sagas.get('o1'))?.status === 'parked');
    const failure = { step: 'wait', code: 'X', message: 'it failed' };
    const at = [{ step: 'reserve', way: 'compensating', attempts: 0, callMs: 0 }];
    await shop.look('update holdfast_saga set progress = $1', [JSON.stringify({ at, done: [{ step: 'reserve' }], leftOut: [], failure })]);
    await process.bus.sagas.resume('o1', BY);
    expect(await process.bus.sagas.result('o1')).toMatchObject({ status: 'compensated', failure });
  });

  it('and that has ended has a result that says so', async () => {
    await start('o1');
    await process.bus.sagas.result('o1');
    await shop.look(`update holdfast_saga set status = 'compensated', progress = 'torn'`);
    await expect(process.bus.sagas.result('o1')).rejects.toMatchObject({ code: 'HF_SAGA_PROGRESS' });
    await shop.look(`update holdfast_saga set state = 'torn'`);
    await expect(process.bus.sagas.result('o1')).rejects.toMatchObject({ code: 'HF_SAGA_STATE' });
  });
});

describe('an operator', () => {
  it('lists sagas, the last started first, by pages and filters', async () => {
    for (const id of ['a', 'b', 'c']) await start(id);
    for (const id of ['a', 'b', 'c']) await process.bus.sagas.result(id);
    const first = await process.bus.sagas.list({ limit: 2, saga: 'order' });
    expect(first.items.map(({ id }) => id)).toEqual(['c', 'b']);
    const second = await process.bus.sagas.list({ limit: 2, cursor: first.next });
    expect([second.items.map(({ id }) => id), second.next]).toEqual([['a'], undefined]);
    expect((await process.bus.sagas.list({ status: 'parked' })).items).toEqual([]);
    expect((await process.bus.sagas.list({ since: new Date(Date.now() + 60_000) })).items).toEqual([]);
    await expect(process.bus.sagas.list({ cursor: 'x' })).rejects.toMatchObject({ code: 'HF_OPERATOR_PAGE' });
  });

  it('cancels what goes forward, and not what is behind its pivot, has ended, or is unknown', async () => {
    const { sagas } = process.bus;
    hold.isClosed = true;
    await start('o1');
    await until('its first step', async () => linesOf(await sagas.get('o1')).includes('reserve done'));
    await sagas.cancel('o1', BY);
    const outcome = await sagas.result('o1');
    expect(outcome).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_CANCELLED' } });
    expect(outcome.status === 'compensated' && outcome.failure.message).toContain('cancelled by ann at the step wait: the test');
    await expect(sagas.cancel('o1', BY)).rejects.toMatchObject({ code: 'HF_SAGA_NOT_RUNNING' });
    await expect(sagas.cancel('o9', BY)).rejects.toMatchObject({ code: 'HF_SAGA_UNKNOWN' });
    hold.isClosed = false;
    await start('o2', { seen: ['no van'] });
    expect(await sagas.result('o2')).toMatchObject({ status: 'parked', failure: { step: 'ship' } });
    await expect(sagas.cancel('o2', BY)).rejects.toMatchObject({ code: 'HF_SAGA_PAST_PIVOT' });
    await expect(sagas.resume('o1', BY)).rejects.toMatchObject({ code: 'HF_SAGA_NOT_PARKED' });
    await expect(sagas.skip('o2', { by: '' })).rejects.toMatchObject({ code: 'HF_OPERATOR_REASON' });
    await sagas.skip('o2', BY);
    expect((await sagas.result('o2')).status).toBe('completed');
  });

  it('is refused inside a unit, which his transaction would not be part of', async () => {
    const { sagas, unitOfWork } = process.bus;
    await start('o1', { seen: ['no van'] });
    await sagas.result('o1');
    for (const call of ['resume', 'retry', 'skip', 'cancel'] as const)
      await expect(unitOfWork.run(() => sagas[call]('o1', BY))).rejects.toMatchObject({ code: 'HF_SAGA_REPAIR_IN_TRANSACTION' });
    expect((await sagas.get('o1'))?.status).toBe('parked');
  });

  it('waits a few seconds for the attempt in hand, and then is told to come again', async () => {
    let release: () => void = () => undefined;
    const held = new Promise<void>((resolve) => {
      release = resolve;
    });
    const steps: string[] = [];
    const long = defineSaga<Order>('long', { version: 1 }).step('a', async () => {
      steps.push('a');
      await held;
    });
    const { bus } = await shop.open((opening) => void opening.bus.saga(long));
    await bus.sagas.start(long, { id: 'o1' }, { id: 'o1' });
    await until('the step', () => steps.length === 1);
    await expect(bus.sagas.cancel('o1', BY)).rejects.toMatchObject({ code: 'HF_SAGA_IN_WORK', category: 'conflict' });
    release();
    expect((await bus.sagas.result('o1')).status).toBe('completed');
    expect(await shop.look('select 1 from holdfast_audit')).toEqual([]);
  });

  it('repairs only where the definition is', async () => {
    await start('o1', { seen: ['no van'] });
    await process.bus.sagas.result('o1');
    const other = await shop.open(() => undefined);
    await expect(other.bus.sagas.resume('o1', BY)).rejects.toMatchObject({ code: 'HF_SAGA_NOT_KEPT' });
    expect((await other.bus.sagas.get('o1'))?.status).toBe('parked');
  });
});
