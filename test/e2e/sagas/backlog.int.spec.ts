import { countingProxy, until } from '@holdfast-internal/test-support';
import { defineSaga } from '@holdfast/core';
import { openShop, type Order, type Shop } from './support/shop.js';

/** Sagas that a process works on at once. */
const MOST_AT_ONCE = 10;

let shop: Shop;

beforeEach(async () => {
  shop = await openShop();
});

afterEach(() => shop.close());

/** A process whose sagas have one step, told by name and held up by `gate`. */
async function opened(name: string, gate: Promise<void>, url = shop.url) {
  const saga = defineSaga<Order>('queued', { version: 1 });
  const process = await shop.open(
    (opening) => {
      saga.step('a', async () => {
        await gate;
        await opening.write(name);
      });
      opening.bus.saga(saga);
    },
    // Unprepared, so that a proxy can read each statement.
    { url, poolSize: 20, prepare: false },
  );
  return { process, saga };
}

/** Instances that are due, and that nobody works on. */
async function leftBehind(count: number): Promise<void> {
  const { process, saga } = await opened('first', Promise.resolve());
  await process.bus.sagas.start(saga, { id: 'one' }, { id: 'one' });
  await process.bus.sagas.result('one');
  await process.close();
  const columns = 'service, saga, version, outline, progress, state, started_at, updated_at';
  await shop.look(
    `insert into holdfast_saga (id, due_at, status, ${columns})
     select n::text, clock_timestamp(), 'running', service, saga, version, outline, $2, state, started_at, updated_at
     from holdfast_saga, generate_series(1, $1::int) n where id = 'one'`,
    [count, JSON.stringify({ at: [{ step: 'a', way: 'running', attempts: 0, callMs: 0 }], done: [], leftOut: [] })],
  );
}

const writtenBy = async (name: string) => (await shop.written()).filter((text) => text === name).length;

it('a backlog is claimed for more than one place at a time', async () => {
  const count = 100;
  await leftBehind(count);
  const proxy = await countingProxy(shop.url);
  try {
    const { process } = await opened('working', Promise.resolve(), proxy.url);
    await until('the backlog to be worked off', async () => (await writtenBy('working')) === count);
    await process.close();
    const claims = proxy.conversations.flat().filter(({ sent }) => sent.includes('claimed as'));
    expect(claims.length).toBeGreaterThan(0);
    expect(claims.length).toBeLessThan(count / 4);
  } finally {
    await proxy.close();
  }
});

it('what waits long for a place is left to a process that has one', async () => {
  const count = MOST_AT_ONCE * 3;
  await leftBehind(count);
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  await opened('busy', gate);
  const claimed = `select count(*)::int as n from holdfast_saga where worker is not null and status = 'running'`;
  await until(
    'the busy one to claim more than it can work on',
    async () => (await shop.look<{ n: number }>(claimed))[0]?.n === MOST_AT_ONCE * 2,
  );
  await opened('free', Promise.resolve());
  await until('the free one to do the rest', async () => (await writtenBy('free')) === count - MOST_AT_ONCE);
  open();
  await until('the busy one to end what it had begun', async () => (await writtenBy('busy')) === MOST_AT_ONCE);
});
