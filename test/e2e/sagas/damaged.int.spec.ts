import { until } from '@holdfast-internal/test-support';
import { defineSaga, Message } from '@holdfast/core';
import { openShop, type Order, type Shop, type ShopProcess } from './support/shop.js';

const BY = { by: 'ann' };
const TORN = ['torn', '7', '{"at":{}}', '{"at":[{"step":"wait","way":"running","attempts":0,"waits":1}],"done":[],"leftOut":[]}'];

@Message('damaged.come')
class Come {
  constructor(readonly what: string) {}
}

/** Waits for a message with its id as the key, and holds a key of its own, or that of another. */
const waiting = defineSaga<Order>('waiting', {
  version: 1,
  lock: ({ seen: [key] = [], id }) => key ?? id,
  signals: [Come],
}).step('wait', async (saga) => saga.waitFor(Come, { key: saga.id, timeout: '1d' }));

let shop: Shop;
let process: ShopProcess;

beforeEach(async () => {
  shop = await openShop();
  process = await shop.open(({ bus }) => void bus.saga(waiting));
});

afterEach(() => shop.close());

const start = (id: string, key: string = id) => process.bus.sagas.start(waiting, { id, seen: [key] }, { id });
const come = (id: string) => process.bus.bus.publish(new Come(id), { key: id });
const idsOf = async (status?: 'running' | 'waiting' | 'parked' | 'completed') =>
  (await process.bus.sagas.list({ status })).items.map(({ id }) => id);

/** Nobody comes for it until something arrives. */
async function damaged(id: string, progress: string): Promise<void> {
  await until('it waits', async () => (await process.bus.sagas.get(id))?.waitsFor[0]?.startsWith('wait: damaged.come') === true);
  await shop.look('update holdfast_saga set progress = $2 where id = $1', [id, progress]);
}

describe.each(TORN)('a saga that nobody has visited since its row was damaged, with %s', (torn) => {
  it('breaks no list of others, and is listed with the reason', async () => {
    for (const id of ['one', 'two', 'three', 'ended']) await start(id);
    await come('ended');
    await process.bus.sagas.result('ended');
    await damaged('two', torn);
    await until('the others wait', async () => (await idsOf('waiting')).length === 2);
    expect(await Promise.all([idsOf(), idsOf('waiting'), idsOf('running'), idsOf('parked'), idsOf('completed')])).toEqual([
      ['ended', 'three', 'two', 'one'],
      ['three', 'one'],
      ['two'],
      [],
      ['ended'],
    ]);
    const [two] = (await process.bus.sagas.list({ status: 'running' })).items;
    expect(two).toMatchObject({ id: 'two', failure: { code: 'HF_SAGA_PROGRESS' } });
    expect(two).toEqual({ ...(await process.bus.sagas.get('two')), history: [] });
  });

  it('keeps nobody from being purged, from its key, and from starting under another', async () => {
    for (const id of ['one', 'two']) await start(id);
    await start('behind one', 'one');
    await start('behind two', 'two');
    await damaged('two', torn);
    await come('one');
    expect((await process.bus.sagas.result('one')).status).toBe('completed');
    await process.bus.sagas.purge('one', BY);
    await come('behind one');
    expect((await process.bus.sagas.result('behind one')).status).toBe('completed');
    expect(await start('two')).toEqual({ id: 'two', started: false });
    expect((await process.bus.sagas.get('behind two'))?.waitsFor).toEqual(['the lock two']);
  });

  it('has no other key when a start of its id has lost to its own', async () => {
    const { unitOfWork } = process.bus;
    let lost: Promise<unknown> = Promise.resolve();
    await unitOfWork.run(async () => {
      await start('one', 'a');
      lost = unitOfWork.detached(() => start('one', 'b'));
      await until(
        'it is waited for',
        async () =>
          (await shop.look(`select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)).length > 0,
      );
      await process.dataSource.query('update holdfast_saga set progress = $1', [torn]);
    });
    expect(await lost).toEqual({ id: 'one', started: false });
    expect(await shop.look(`select key from holdfast_saga_lock where holder is not null`)).toEqual([{ key: 'a' }]);
  });
});

it('a list of what waits, or is at work, looks at as many as it takes', async () => {
  await start('first');
  await until('it waits', async () => (await idsOf('waiting')).length === 1);
  const columns = 'service, saga, version, outline, state, status, started_at, updated_at';
  await shop.look(
    `insert into holdfast_saga (id, progress, ${columns})
     select n::text, case n when 1 then replace(progress, '"waits"', '"callMs":0,"waits"') else progress end, ${columns}
     from holdfast_saga, generate_series(1, 1200) n where id = 'first'`,
  );
  expect(await idsOf('running')).toEqual(['1']);
  const { sagas } = process.bus;
  const pages: string[][] = [];
  for (let cursor: string | undefined; pages.length === 0 || cursor !== undefined; ) {
    const page = await sagas.list({ status: 'waiting', limit: 700, cursor });
    pages.push(page.items.map(({ id }) => id));
    cursor = page.next;
  }
  expect(pages.map(({ length }) => length)).toEqual([700, 500]);
  expect(pages.flat()).toEqual([...Array.from({ length: 1199 }, (_, n) => String(1200 - n)), 'first']);
});
