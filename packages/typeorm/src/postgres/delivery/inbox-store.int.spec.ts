import { setTimeout as sleep } from 'node:timers/promises';
import { type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { openStore, type OpenStore } from '../../../../../test/log/support/open-store.js';
import { begin } from '../../../../../test/log/support/writers.js';
import type { SqlTransaction } from '../sql/transaction-sql.js';

describe('the inbox in PostgreSQL', () => {
  let database: TestDatabase;
  let open: OpenStore;
  let subscriptionId: number;
  const key = { source: 'orders', id: '1' };

  beforeEach(async () => {
    database = await createStoreDatabase(8);
    open = await openStore(database.url);
    [subscriptionId] = (await open.register('orders.reader')) as [number];
  });

  afterEach(async () => {
    await open.close();
    await database.drop();
  });

  it('does not take a message for handled when its claim is given back between the conflict and the look', async () => {
    const { inbox } = open.store;
    const claim = await inbox.claim({ subscriptionId, key, leaseMs: 10_000, ttlMs: 60_000 });
    const tx = (await begin(open.store)) as unknown as SqlTransaction;
    const [run, rows] = [tx.run.bind(tx), tx.rows.bind(tx)];
    let statements = 0;
    tx.rows = async (statement) => {
      statements += 1;
      return rows(statement);
    };
    tx.run = async (statement) => {
      statements += 1;
      if (statements === 2) await inbox.finish({ subscriptionId, key, token: (claim as { token: string }).token, done: undefined });
      return run(statement);
    };
    await expect(inbox.remember(tx, { subscriptionId, keys: [key], ttlMs: 60_000 })).rejects.toMatchObject({
      code: 'HF_IDEMPOTENT_IN_PROGRESS',
    });
    expect(statements).toBe(2);
    await tx.rollback();
    const again = await begin(open.store);
    expect(await inbox.remember(again, { subscriptionId, keys: [key], ttlMs: 60_000 })).toEqual([true]);
    await again.commit();
  });

  it('does not wait without an end for a claim that is finished in a transaction that stays open', async () => {
    const { inbox } = open.store;
    const claim = await inbox.claim({ subscriptionId, key, leaseMs: 10_000, ttlMs: 60_000 });
    const finishing = await begin(open.store);
    await inbox.finish({ subscriptionId, key, token: (claim as { token: string }).token, done: { result: undefined } }, finishing);
    const tx = await begin(open.store);
    const answer = await Promise.race([
      inbox.remember(tx, { subscriptionId, keys: [key], ttlMs: 60_000 }).catch((error: unknown) => error),
      sleep(60_000, 'still waiting', { ref: false }),
    ]);
    await finishing.commit();
    await tx.rollback();
    expect(answer).toMatchObject({ code: 'HF_IDEMPOTENT_IN_PROGRESS' });
  });

  it.each([
    // More of them than the pool has connections, and nobody else has to wait for one.
    ['its lease', 10_000, 20],
    ['nothing any more', 0, 5],
  ])('tells soon that a claim is held that was finished in a transaction that stays open, and has %s', async (_, leaseMs, count) => {
    const { inbox } = open.store;
    const wanted = { subscriptionId, key, leaseMs, ttlMs: 60_000 };
    const claim = await inbox.claim(wanted);
    const finishing = await begin(open.store);
    await inbox.finish({ subscriptionId, key, token: (claim as { token: string }).token, done: { result: '1' } }, finishing);
    const claims = Promise.all(Array.from({ length: count }, () => inbox.claim(wanted).catch((error: unknown) => error)));
    const answers = await Promise.race([claims, sleep(60_000, 'still waiting', { ref: false })]);
    await finishing.commit();
    await claims;
    expect(answers).toEqual(Array(count).fill({ state: 'held', forMs: expect.any(Number) }));
    expect(await inbox.claim(wanted)).toEqual({ state: 'done', result: '1' });
  });

  it('writes nothing for a claim that finds another one in work, or done', async () => {
    const { inbox } = open.store;
    const wanted = { subscriptionId, key, leaseMs: 10_000, ttlMs: 60_000 };
    const written = () => open.query('select ctid::text, xmin::text from holdfast_inbox');
    const { token } = (await inbox.claim(wanted)) as { token: string };
    const claimed = await written();
    expect(await inbox.claim(wanted)).toMatchObject({ state: 'held' });
    expect(await written()).toEqual(claimed);
    await inbox.finish({ subscriptionId, key, token, done: { result: '1' } });
    const done = await written();
    expect(await inbox.claim(wanted)).toEqual({ state: 'done', result: '1' });
    expect(await written()).toEqual(done);
  });

  it('bounds its own wait and gives the business back the one it had set', async () => {
    const tx = await begin(open.store);
    await tx.run({ text: `set local lock_timeout = '7s'` });
    await open.store.inbox.remember(tx, { subscriptionId, keys: [key], ttlMs: 60_000 });
    await open.store.inbox.remember(tx, { subscriptionId, keys: [key, { ...key, id: '2' }], ttlMs: 60_000 });
    expect((await tx.run({ text: 'show lock_timeout' })).rows).toEqual([{ lock_timeout: '7s' }]);
    await tx.commit();
  });
});
