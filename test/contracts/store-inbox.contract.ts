import { classify, type InboxClaim, type InboxKey } from '@holdfast/core';
import {
  begin,
  codeOf,
  declare,
  eventually,
  inTransaction,
  register,
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
} from './store-kit.js';

const TTL_MS = 60_000;
/** As many consumers as the promise names. */
const CONSUMERS = 50;

/** Remembered deliveries, as every store must keep them. */
export function storeInboxContract(fixture: StoreFixture): void {
  describe('the inbox', () => {
    let database: StoreDatabase;
    let one: StoreProcess;
    let ids: number[];

    beforeEach(async () => {
      database = await fixture();
      one = await start(database, { poolSize: CONSUMERS + 2 });
      ids = await register(one, declare('contract.reader'), declare('contract.other'));
    });

    afterEach(async () => {
      await one.close();
      await database.drop();
    });

    const key = (id: string, source = 'orders'): InboxKey => ({ source, id });
    const remember = (keys: readonly InboxKey[], subscriptionId = ids[0]!) =>
      inTransaction(one, (tx) => one.store.inbox.remember(tx, { subscriptionId, keys, ttlMs: TTL_MS }));
    const claim = (id: string, leaseMs = 10_000) =>
      one.store.inbox.claim({ subscriptionId: ids[0]!, key: key(id), leaseMs, ttlMs: TTL_MS });
    const claimed = async (id: string, leaseMs?: number) => (await claim(id, leaseMs)) as InboxClaim & { state: 'claimed' };
    const endOf = (id: string, token: string, done?: { result: string | undefined }) => ({
      subscriptionId: ids[0]!,
      key: key(id),
      token,
      done,
    });

    it('knows a message it has seen, by source and id, for each subscription apart', async () => {
      expect(await remember([key('1')])).toEqual([true]);
      expect(await remember([key('1')])).toEqual([false]);
      expect(await remember([key('1', 'billing')])).toEqual([true]);
      expect(await remember([key('1')], ids[1])).toEqual([true]);
      expect(await remember([key('ключ 🔑', '')])).toEqual([true]);
      expect(await remember([key('ключ 🔑', '')])).toEqual([false]);
    });

    it('answers a batch in the order given, and takes only the first of two copies for new', async () => {
      await remember([key('2')]);
      expect(await remember([key('3'), key('2'), key('1'), key('3'), key('2')])).toEqual([true, false, true, false, false]);
    });

    it('keeps apart what only looks alike when it is joined', async () => {
      expect(
        await remember([
          { source: 'a\nb', id: 'c' },
          { source: 'a', id: 'b\nc' },
        ]),
      ).toEqual([true, true]);
      expect(
        await remember([
          { source: 'a', id: 'b\nc' },
          { source: 'a\nb', id: 'd' },
        ]),
      ).toEqual([false, true]);
    });

    it('forgets what a transaction remembered that is rolled back', async () => {
      const tx = await begin(one);
      expect(await one.store.inbox.remember(tx, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS })).toEqual([true]);
      await tx.rollback();
      expect(await remember([key('1')])).toEqual([true]);
    });

    it(`calls a message new for one of ${CONSUMERS} transactions that have it at once`, async () => {
      const answers = await Promise.all(Array.from({ length: CONSUMERS }, () => remember([key('1')])));
      expect(answers.filter(([isNew]) => isNew)).toHaveLength(1);
    });

    it('calls a message new for the second transaction when the first one is rolled back', async () => {
      const first = await begin(one);
      await one.store.inbox.remember(first, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS });
      const second = remember([key('1'), key('2')]);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await first.rollback();
      expect(await second).toEqual([true, true]);
    });

    it('does not deadlock over batches with the same messages in different orders', async () => {
      const batch = Array.from({ length: 1500 }, (_, i) => key(`${i}`));
      for (let round = 0; round < 3; round += 1) {
        const source = `round ${round}`;
        const forwards = batch.map(({ id }) => key(id, source));
        const answers = await Promise.all(
          [forwards, [...forwards].reverse(), forwards, [...forwards].reverse()].map((keys) => remember(keys)),
        );
        expect(answers.flat().filter((isNew) => isNew)).toHaveLength(batch.length);
      }
    });

    it('gives up waiting for another transaction after a short while, with an error that is worth a retry', async () => {
      const first = await begin(one);
      await one.store.inbox.remember(first, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS });
      for (const keys of [[key('1')], [key('1'), key('2')]]) {
        const beganAt = performance.now();
        const error = await remember(keys).catch((thrown: unknown) => thrown);
        expect(classify(error).retryable).toBe(true);
        expect(performance.now() - beganAt).toBeLessThan(8000);
      }
      await first.commit();
      expect(await remember([key('1')])).toEqual([false]);
    });

    it('leaves the waits of the business alone', async () => {
      const first = await begin(one);
      await one.store.inbox.remember(first, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS });
      const second = await begin(one);
      await one.store.inbox.remember(second, { subscriptionId: ids[0]!, keys: [key('2')], ttlMs: TTL_MS });
      // Whatever bounds the inbox's own wait must not be left behind in the transaction.
      const { run } = second as unknown as { run?: (statement: { text: string }) => Promise<{ rows: object[] }> };
      if (run !== undefined) expect((await run.call(second, { text: 'show lock_timeout' })).rows).toEqual([{ lock_timeout: '0' }]);
      await first.rollback();
      await second.rollback();
    });

    it('gives one claim at a time, with the time it is still held', async () => {
      expect((await claim('1')).state).toBe('claimed');
      const second = await claim('1');
      expect(second.state).toBe('held');
      expect((second as { forMs: number }).forMs).toBeGreaterThan(0);
      expect((second as { forMs: number }).forMs).toBeLessThanOrEqual(10_000);
    });

    it('gives one claim to one of many that want it at once', async () => {
      const answers = await Promise.all(Array.from({ length: 20 }, () => claim('1')));
      expect(answers.filter(({ state }) => state === 'claimed')).toHaveLength(1);
    });

    it('keeps the result of a claim that is done, and knows the message from then on', async () => {
      const { token } = await claimed('1');
      await one.store.inbox.finish(endOf('1', token, { result: '{"ok":true}' }));
      expect(await claim('1')).toEqual({ state: 'done', result: '{"ok":true}' });
      expect(await remember([key('1')])).toEqual([false]);
      const { token: second } = await claimed('2');
      await one.store.inbox.finish(endOf('2', second, { result: undefined }));
      expect(await claim('2')).toEqual({ state: 'done', result: undefined });
    });

    it('gives a claim anew that was given back', async () => {
      const { token } = await claimed('1');
      await one.store.inbox.finish(endOf('1', token));
      expect((await claim('1')).state).toBe('claimed');
    });

    it('ends a claim with the transaction it is given, or not at all', async () => {
      const { token } = await claimed('1');
      const tx = await begin(one);
      await one.store.inbox.finish(endOf('1', token, { result: 'x' }), tx);
      await tx.rollback();
      expect((await claim('1')).state).toBe('held');
      await inTransaction(one, (again) => one.store.inbox.finish(endOf('1', token, { result: 'x' }), again));
      expect(await claim('1')).toEqual({ state: 'done', result: 'x' });
    });

    it('lets another one take over when the lease of a claim has ended, and the first one knows', async () => {
      const { token } = await claimed('1', 50);
      const second = (await eventually(
        () => claim('1'),
        ({ state }) => state === 'claimed',
      )) as InboxClaim & { state: 'claimed' };
      expect(second.token).not.toBe(token);
      expect(await codeOf(one.store.inbox.renew({ subscriptionId: ids[0]!, key: key('1'), token, leaseMs: 1000 }))).toBe('HF_LEASE_LOST');
      expect(await codeOf(one.store.inbox.finish(endOf('1', token, { result: 'late' })))).toBe('HF_LEASE_LOST');
      await one.store.inbox.finish(endOf('1', second.token, { result: 'mine' }));
      expect(await claim('1')).toEqual({ state: 'done', result: 'mine' });
    });

    it('keeps a claim that is renewed', async () => {
      const { token } = await claimed('1', 300);
      await one.store.inbox.renew({ subscriptionId: ids[0]!, key: key('1'), token, leaseMs: 60_000 });
      await new Promise((resolve) => setTimeout(resolve, 350));
      expect((await claim('1')).state).toBe('held');
    });

    it('does not take a message for handled whose claim is still in work', async () => {
      await claim('1');
      for (const keys of [[key('1')], [key('1'), key('2')]]) expect(await codeOf(remember(keys))).toBe('HF_IDEMPOTENT_IN_PROGRESS');
    });

    it('takes over for a transaction a claim whose lease has ended, once, and as new', async () => {
      await claim('1', 1);
      await new Promise((resolve) => setTimeout(resolve, 20));
      const memory = { subscriptionId: ids[0]!, keys: [key('0'), key('1')], ttlMs: TTL_MS };
      const first = await begin(one);
      expect(await one.store.inbox.remember(first, memory)).toEqual([true, true]);
      await first.rollback();
      expect(await inTransaction(one, (tx) => one.store.inbox.remember(tx, memory))).toEqual([true, true]);
      expect(await inTransaction(one, (tx) => one.store.inbox.remember(tx, memory))).toEqual([false, false]);
      expect((await claim('1')).state).toBe('done');
    });

    it('trims what is older than its ttl, a bounded number, and no claim in work', async () => {
      const old = Array.from({ length: 5 }, (_, i) => key(`old ${i}`));
      await inTransaction(one, (tx) => one.store.inbox.remember(tx, { subscriptionId: ids[0]!, keys: old, ttlMs: 0 }));
      await remember([key('young')]);
      await one.store.inbox.claim({ subscriptionId: ids[0]!, key: key('in work'), leaseMs: 10_000, ttlMs: 0 });
      await one.store.inbox.claim({ subscriptionId: ids[0]!, key: key('left behind'), leaseMs: 0, ttlMs: 0 });
      await new Promise((resolve) => setTimeout(resolve, 20));
      const trimmed = [await one.store.inbox.trim(4), await one.store.inbox.trim(4), await one.store.inbox.trim(4)];
      expect(trimmed).toEqual([4, 2, 0]);
      expect(await remember([key('young')])).toEqual([false]);
      expect((await claim('in work')).state).toBe('held');
    });
  });
}
