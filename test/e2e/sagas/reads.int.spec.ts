import { EmbeddedPostgres, readsOf, until } from '@holdfast-internal/test-support';
import { Command, defineSaga, Message, subscribe } from '@holdfast/core';
import { openShop, type Order, type Shop, type ShopProcess } from './support/shop.js';

const COUNT = 200;
const ASKED = 100;
/** Index entries and rows for a saga of one step: its start, its step, and what is read of it while it is looked for. */
const FEW = 80;

@Message('reads.ask')
class Ask extends Command<string> {}

let shop: Shop;
let process: ShopProcess;

const done = defineSaga<Order>('done', { version: 1 }).step('a', async () => undefined);
/** Its only step is tried again a day later. */
const sleeping = defineSaga<Order>('sleeping', { version: 1 }).step(
  'a',
  async () => {
    throw new Error('not today');
  },
  { retry: { attempts: 2, backoff: { delay: '1d', maxDelay: '1d' } } },
);
/** Its only step is done with a reply. */
const asking = defineSaga<Order & { answer?: string }>('asking', { version: 1 }).step('a', async (saga) =>
  saga.request(new Ask(), { into: 'answer' }),
);

let server: EmbeddedPostgres;
let databases = 0;

// Nobody else's: a transaction that is open anywhere on a server keeps its dead entries from being passed over.
beforeAll(async () => {
  server = await EmbeddedPostgres.start({ fsync: false });
});

beforeEach(async () => {
  shop = await openShop({ url: await server.createDatabase(`shop_${++databases}`), drop: async () => undefined });
  process = await opened();
  await shop.look('alter table holdfast_saga set (autovacuum_enabled = false)');
});

afterEach(() => shop.close());
afterAll(() => server.remove());

const opened = () =>
  shop.open(({ bus }) => {
    bus.saga(done).saga(sleeping).saga(asking);
    bus.on(Ask, async () => 'yes', { name: 'answer', transactional: true, idempotent: true });
  });

/** One after the other. */
async function runToEnd(saga: typeof done | typeof asking = done, count = COUNT): Promise<void> {
  const { sagas } = process.bus;
  for (let n = 0; n < count; n += 1) {
    const id = `${saga === done ? 'd' : 'a'}${n}`;
    await sagas.result((await sagas.start(saga as typeof done, { id }, { id })).id);
  }
}

async function putToSleep(): Promise<void> {
  let failed = 0;
  const stop = subscribe('saga:step-failed', () => {
    failed += 1;
  });
  for (let n = 0; n < COUNT; n += 1) {
    await process.bus.sagas.start(sleeping, { id: `s${n}` }, { id: `s${n}` });
    await until('an attempt', () => failed > n);
  }
  stop();
}

/** Rows and index entries of sagas that were read so far, by the process, which ends: then its sessions tell. */
async function readsSoFar(): Promise<number> {
  await process.close();
  return readsOf((sql, values) => shop.look(sql, [...values]), 'holdfast_saga');
}

it('a saga reads no other ones on a table that was never analyzed', async () => {
  await runToEnd();
  expect((await readsSoFar()) / COUNT).toBeLessThan(FEW);
});

it('a saga reads no other ones that sleep on a table that was analyzed while none was due', async () => {
  await runToEnd();
  await shop.look('analyze holdfast_saga');
  const before = await readsSoFar();
  process = await opened();
  await putToSleep();
  expect(((await readsSoFar()) - before) / COUNT).toBeLessThan(FEW);
});

it('a reply reads no other sagas than the one it is for', async () => {
  await runToEnd();
  await shop.look('analyze holdfast_saga');
  const before = await readsSoFar();
  process = await opened();
  await runToEnd(asking, ASKED);
  expect(((await readsSoFar()) - before) / ASKED).toBeLessThan(FEW);
});
