import { countingProxy, transactionsIn, until } from '@holdfast-internal/test-support';
import { defineSaga, type SagaContext, subscribe } from '@holdfast/core';
import { linesOf, openShop, type Order, type Shop, type ShopProcess } from './support/shop.js';

let shop: Shop;

beforeEach(async () => {
  shop = await openShop();
});

afterEach(() => shop.close());

const plain = (process: ShopProcess, version = 1) =>
  ['a', 'b', 'c'].reduce(
    (saga, name) => saga.step(name, async ({ id }) => process.write(`${id} ${name}`)),
    defineSaga<Order>('plain', { version }),
  );

async function opened(version?: number, options?: Parameters<Shop['open']>[1]) {
  let saga: ReturnType<typeof plain> | undefined;
  const process = await shop.open((opening) => {
    saga = plain(opening, version);
    opening.bus.saga(saga);
  }, options);
  return { process, sagas: process.bus.sagas, saga: saga as ReturnType<typeof plain> };
}

/** Progress of an instance that is at a step. */
const begunAt = (step: string, ...done: readonly string[]) =>
  JSON.stringify({ at: [{ step, way: 'running', attempts: 0, callMs: 0 }], done: done.map((one) => ({ step: one })), leftOut: [] });

/** That all looks of a few seconds may read. */
const MOST_ROWS = 1000;
/** Sagas that a process works on at once. */
const MOST_AT_ONCE = 10;

/** A process that counts its steps, and how many of them are in work. */
async function counted() {
  const steps: string[] = [];
  let [inWork, most] = [0, 0];
  const saga = defineSaga<Order>('counted', { version: 1 });
  const process = await shop.open(
    (opening) => {
      for (const name of ['a', 'b'])
        saga.step(name, async ({ id }) => {
          inWork += 1;
          most = Math.max(most, inWork);
          steps.push(`${id} ${name}`);
          await opening.write(`${id} ${name}`);
          inWork -= 1;
        });
      opening.bus.saga(saga);
    },
    { poolSize: 20 },
  );
  return { process, sagas: process.bus.sagas, saga, steps, most: () => most };
}

it('a local step is one commit and three round trips, its own statement among them', async () => {
  const proxy = await countingProxy(shop.url);
  try {
    const { sagas, saga, process } = await opened(1, { url: proxy.url });
    const ids = Array.from({ length: 10 }, (_, n) => `o${n}`);
    for (const id of ids) await sagas.start(saga, { id }, { id });
    for (const id of ids) await sagas.result(id);
    await process.close();
    const spoken = proxy.conversations.flatMap(transactionsIn);
    // Those of attempts have a savepoint, and of these some have called the step.
    const attempts = spoken.filter(({ sent }) => /savepoint/i.test(sent));
    const steps = attempts.filter(({ sent }) => /o\d [abc]/.test(sent)).map(({ roundTrips, commits }) => ({ roundTrips, commits }));
    expect(steps).toEqual(Array.from({ length: ids.length * 3 }, () => ({ roundTrips: 3, commits: 1 })));
    // A look, once a second, may find an instance that is just being started or ended here: it is taken once more, and let go.
    expect(attempts.length - steps.length).toBeLessThan(ids.length);
    // So it is with commits of whatever names an instance: there are those of the steps, and of the starts.
    const commits = spoken.filter(({ sent }) => /\bo\d\b/.test(sent)).reduce((sum, one) => sum + one.commits, 0);
    expect(commits - steps.length - ids.length).toBeGreaterThanOrEqual(0);
    expect(commits - steps.length - ids.length).toBeLessThan(ids.length);
  } finally {
    await proxy.close();
  }
});

it('a step whose COMMIT was done and never answered is done once, and the saga goes on', async () => {
  let cuts = 0;
  // A line of history, as two values with their lengths.
  const isIt = (sent: string) => cuts === 0 && sent.includes('\0\0\0\x01b\0\0\0\x04done') && /commit/i.test(sent);
  const proxy = await countingProxy(shop.url, isIt);
  const stop = subscribe('unit:commit-unknown', () => {
    cuts += 1;
  });
  try {
    const { sagas, saga, process } = await opened(1, { url: proxy.url });
    await sagas.start(saga, { id: 'o1' }, { id: 'o1' });
    expect((await sagas.result('o1')).status).toBe('completed');
    expect(cuts).toBe(1);
    expect(await shop.written()).toEqual(['o1 a', 'o1 b', 'o1 c']);
    expect(linesOf(await sagas.get('o1'))).toEqual(['started', 'a done', 'b done', 'c done', 'completed']);
    await process.close();
  } finally {
    stop();
    await proxy.close();
  }
});

it('a store that keeps no prepared statements works on sagas too', async () => {
  const { sagas, saga } = await opened(1, { prepare: false });
  await sagas.start(saga, { id: 'o1' }, { id: 'o1' });
  expect((await sagas.result('o1')).status).toBe('completed');
  expect(await shop.written()).toEqual(['o1 a', 'o1 b', 'o1 c']);
});

it('two processes race for instances, and each step has one effect', async () => {
  const [one, other] = [await counted(), await counted()];
  // Enough that they are not all done by one of them before the other looks again.
  const ids = Array.from({ length: 250 }, (_, n) => `o${n}`);
  const done: string[] = [];
  const stop = subscribe('saga:step-done', ({ id, step }) => void done.push(`${id} ${step}`));
  // In a transaction of the user nobody takes them with the commit: both look for them.
  await one.process.dataSource.transaction((manager) =>
    one.process.bus.unitOfWork.join(manager, async () => {
      for (const id of ids) await one.sagas.start(one.saga, { id }, { id });
    }),
  );
  for (const id of ids) await one.sagas.result(id, { timeout: '60s' });
  stop();
  const expected = ids.flatMap((id) => ['a', 'b'].map((step) => `${id} ${step}`)).sort();
  expect((await shop.written()).sort()).toEqual(expected);
  expect([...done].sort()).toEqual(expected);
  expect(Math.min(one.steps.length, other.steps.length)).toBeGreaterThan(0);
});

it('a unit that starts hundreds of sagas takes on no more of them than its process works on at once; the others find theirs', async () => {
  const [one, other] = [await counted(), await counted()];
  const ids = Array.from({ length: 400 }, (_, n) => `o${n}`);
  await one.process.bus.unitOfWork.run({ timeout: '80s' }, async () => {
    for (const id of ids) await one.sagas.start(one.saga, { id }, { id });
    const [taken] = await one.process.dataSource.query('select count(*) as n from holdfast_saga where worker is not null');
    expect(Number(taken.n)).toBe(MOST_AT_ONCE);
  });
  for (const id of ids) await one.sagas.result(id, { timeout: '60s' });
  expect(Math.max(one.most(), other.most())).toBeLessThanOrEqual(MOST_AT_ONCE);
  expect(Math.min(one.steps.length, other.steps.length)).toBeGreaterThan(40);
  expect(one.steps.length + other.steps.length).toBe(2 * ids.length);
});

it('a place that was kept for a start is free again when its unit has ended, whichever way', async () => {
  const { process, sagas, saga } = await counted();
  const starting = (id: string) => async () => {
    await sagas.start(saga, { id }, { id });
    throw new Error('no');
  };
  for (let n = 0; n < 2 * MOST_AT_ONCE; n += 1) await expect(process.bus.unitOfWork.run(starting(`o${n}`))).rejects.toThrow('no');
  await process.bus.unitOfWork.run(async () => {
    await sagas.start(saga, { id: 'kept' }, { id: 'kept' });
    expect(await process.dataSource.query('select id from holdfast_saga where worker is not null')).toEqual([{ id: 'kept' }]);
  });
});

it('an instance that somebody alive works on is nobody else’s, also while its row is not locked', async () => {
  const { sagas, saga } = await opened();
  await sagas.start(saga, { id: 'o1' }, { id: 'o1' });
  await sagas.result('o1');
  // As a process that is alive; one that is would come back with its next heartbeat.
  const [node] = await shop.look<{ id: string }>(
    `insert into holdfast_node (id, service, started_at, seen_at, transport)
     select gen_random_uuid(), service, now(), now() + interval '1 hour', transport from holdfast_node returning id`,
  );
  await shop.look(
    `insert into holdfast_saga (service, id, saga, version, outline, status, progress, state, due_at, worker, started_at, updated_at)
     select service, 'o2', saga, version, outline, 'running', '${begunAt('a')}', '{"id":"o2"}', now(), $1, now(), now() from holdfast_saga where id = 'o1'`,
    [node?.id],
  );
  await new Promise((resolve) => setTimeout(resolve, 2500));
  expect((await sagas.get('o2'))?.status).toBe('running');
  // Its process goes without a word, and another one takes over.
  await shop.look('delete from holdfast_node where id = $1', [node?.id]);
  const attempts: number[] = [];
  const stop = subscribe('saga:step-done', ({ attempt }) => void attempts.push(attempt));
  expect((await sagas.result('o2')).status).toBe('completed');
  stop();
  expect(attempts).toEqual([1, 1, 1]);
});

it('a saga whose process died is tried by the next one, also where one attempt is all there is', async () => {
  const once = defineSaga<Order>('once', { version: 1 }).step('a', async () => {}, { retry: false });
  const { bus } = await shop.open((opening) => void opening.bus.saga(once));
  await bus.sagas.start(once, { id: 'o1' }, { id: 'o1' });
  await bus.sagas.result('o1');
  const left = (id: string, deaths: number) =>
    shop.look(
      `insert into holdfast_saga (service, id, saga, version, outline, status, deaths, progress, state, due_at, worker, started_at, updated_at)
       select service, $1, saga, version, outline, 'running', $2, '${begunAt('a')}', '{"id":"o"}', now(), gen_random_uuid(), now(), now()
       from holdfast_saga where id = 'o1'`,
      [id, deaths],
    );
  await left('o2', 1);
  await left('o3', 2);
  expect((await bus.sagas.result('o2')).status).toBe('completed');
  expect(await bus.sagas.result('o3')).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_STEP_KILLED' } });
});

it('a saga that was changed under the same version is refused where instances have not ended, and touches none of them', async () => {
  const held = defineSaga<Order>('plain', { version: 1 })
    .step('a', async () => {}, { compensate: async () => {} })
    .step('b', async () => Promise.reject(new Error('never')), { retry: { attempts: 1000, backoff: { delay: 100 } } });
  const { bus } = await shop.open((opening) => void opening.bus.saga(held));
  await bus.sagas.start(held, { id: 'o1' }, { id: 'o1' });
  await until('its second step', async () => (await bus.sagas.get('o1'))?.step === 'b');
  await expect(opened(1)).rejects.toThrow(
    'The saga plain version 1 was changed under instances that have not ended: started as [a (undone by a:compensate), b], and here it is [a, b, c]',
  );
  await opened(2);
  await shop.look(`update holdfast_saga set outline = 'a, b'`);
  expect(await bus.sagas.result('o1')).toMatchObject({ status: 'parked', failure: { step: 'b', code: 'HF_SAGA_CHANGED' } });
  await expect(bus.sagas.resume('o1', { by: 'ann' })).rejects.toMatchObject({ code: 'HF_SAGA_CHANGED' });
});

it('a step that more processes died of than it may be tried is given up', async () => {
  const { sagas, saga } = await opened();
  await sagas.start(saga, { id: 'o1' }, { id: 'o1' });
  await sagas.result('o1');
  await shop.look(
    `insert into holdfast_saga (service, id, saga, version, outline, status, deaths, progress, state, due_at, worker, started_at, updated_at)
     select service, 'o2', saga, version, outline, 'running', 5, '${begunAt('b', 'a')}', '{"id":"o2"}', now(), gen_random_uuid(), now(), now() from holdfast_saga`,
  );
  expect(await sagas.result('o2')).toMatchObject({ status: 'compensated', failure: { step: 'b', code: 'HF_SAGA_STEP_KILLED' } });
  expect(await shop.written()).toEqual(['o1 a', 'o1 b', 'o1 c']);
});

it('a process that stops gives its instances to others at once, and no attempt is counted', async () => {
  let release: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const attempts: number[] = [];
  const make = () =>
    defineSaga<Order>('held', { version: 1 }).step('it', async ({ attempt }: SagaContext<Order>) => {
      attempts.push(attempt);
      if (attempts.length === 1) await held;
    });
  const saga = make();
  const one = await shop.open((opening) => void opening.bus.saga(saga));
  await one.bus.sagas.start(saga, { id: 'o1' }, { id: 'o1' });
  await until('the step', () => attempts.length === 1);
  const other = await shop.open((opening) => void opening.bus.saga(make()));
  await one.bus.stop({ timeout: 100 });
  expect((await other.bus.sagas.result('o1')).status).toBe('completed');
  expect(attempts).toEqual([1, 1]);
  release();
});

it('an instance of a version that a process does not have is left alone, and the process says so', async () => {
  const old = await opened(1);
  const { sagas } = await opened(2);
  await old.process.bus.unitOfWork.run(async () => {
    await old.sagas.start(old.saga, { id: 'o1' }, { id: 'o1' });
    await old.process.dataSource.query(`update holdfast_saga set version = 7`);
  });
  const told: unknown[] = [];
  const stop = subscribe('saga:unserved', (facts) => void told.push({ ...facts }));
  await opened(3);
  stop();
  expect(told).toEqual([{ saga: 'plain', version: 7, count: 1 }]);
  expect(await sagas.get('o1')).toMatchObject({ status: 'running', step: 'a', attempts: 0 });
});

it('sagas that sleep cost a look nothing', async () => {
  const { sagas, saga } = await opened();
  await sagas.start(saga, { id: 'o0' }, { id: 'o0' });
  await sagas.result('o0');
  await shop.look(
    `insert into holdfast_saga (service, id, saga, version, outline, status, progress, state, due_at, started_at, updated_at)
     select service, 's' || n, saga, version, outline, 'running', '${begunAt('a')}', '{"id":"s"}', now() + interval '1 day', now(), now()
     from holdfast_saga, generate_series(1, 20000) n where id = 'o0'`,
  );
  await shop.look('analyze holdfast_saga');
  // What idle sessions have read is told a second later.
  const rowsRead = async () => {
    await new Promise((resolve) => setTimeout(resolve, 1500));
    const [row] = await shop.look<{ n: string }>(
      `select seq_tup_read + idx_tup_fetch as n from pg_stat_user_tables where relname = 'holdfast_saga'`,
    );
    return Number(row?.n);
  };
  // Looks before the statistics were there may have read all of them, and tell it late.
  let [last, before] = [await rowsRead(), await rowsRead()];
  for (let left = 10; before - last >= MOST_ROWS && left > 0; left -= 1) [last, before] = [before, await rowsRead()];
  await new Promise((resolve) => setTimeout(resolve, 3000));
  expect((await rowsRead()) - before).toBeLessThan(MOST_ROWS);
});
