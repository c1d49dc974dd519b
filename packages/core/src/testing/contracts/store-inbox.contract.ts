import { strict as assert } from 'node:assert';
import type { InboxClaim, InboxKey } from '../../inbox/inbox.store.port.js';
import { classify } from '../../errors/classify.js';
import { eventually, assertBetween } from './assertions.js';
import { factsOf } from './store-fact.js';
import { answerBehind, answersOfAll, begin, codeOf, declare, inTransaction, register, type StoreFixture, start } from './store-kit.js';

const TTL_MS = 60_000;

/** As many consumers as the promise names. */
const CONSUMERS = 50;

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database, { poolSize: CONSUMERS + 2 });
  const ids = await register(one, declare('contract.reader'), declare('contract.other'));
  const key = (id: string, source = 'orders'): InboxKey => ({ source, id });
  const remember = (keys: readonly InboxKey[], subscriptionId = ids[0]!) =>
    inTransaction(one, (tx) => one.store.inbox.remember(tx, { subscriptionId, keys, ttlMs: TTL_MS }));
  const claim = (id: string, leaseMs = 10_000) => one.store.inbox.claim({ subscriptionId: ids[0]!, key: key(id), leaseMs, ttlMs: TTL_MS });
  const claimed = async (id: string, leaseMs?: number) => (await claim(id, leaseMs)) as InboxClaim & { state: 'claimed' };
  const endOf = (id: string, token: string, done?: { result: string | undefined }) => ({
    subscriptionId: ids[0]!,
    key: key(id),
    token,
    done,
  });
  return {
    remember,
    key,
    ids,
    one,
    claim,
    claimed,
    endOf,
    end: async () => {
      await one.close();
      await database.drop();
    },
  };
}

/** Remembered deliveries, as every store must keep them. */
export const INBOX_FACTS = factsOf('the inbox', scene, {
  'knows a message it has seen, by source and id, for each subscription apart': async ({ remember, key, ids }) => {
    assert.deepEqual(await remember([key('1')]), [true]);
    assert.deepEqual(await remember([key('1')]), [false]);
    assert.deepEqual(await remember([key('1', 'billing')]), [true]);
    assert.deepEqual(await remember([key('1')], ids[1]), [true]);
    assert.deepEqual(await remember([key('ключ 🔑', '')]), [true]);
    assert.deepEqual(await remember([key('ключ 🔑', '')]), [false]);
  },
  'answers a batch in the order given, and takes only the first of two copies for new': async ({ remember, key }) => {
    await remember([key('2')]);
    assert.deepEqual(await remember([key('3'), key('2'), key('1'), key('3'), key('2')]), [true, false, true, false, false]);
  },
  'keeps apart what only looks alike when it is joined': async ({ remember }) => {
    assert.deepEqual(
      await remember([
        { source: 'a\nb', id: 'c' },
        { source: 'a', id: 'b\nc' },
      ]),
      [true, true],
    );
    assert.deepEqual(
      await remember([
        { source: 'a', id: 'b\nc' },
        { source: 'a\nb', id: 'd' },
      ]),
      [false, true],
    );
  },
  'forgets what a transaction remembered that is rolled back': async ({ one, ids, key, remember }) => {
    const tx = await begin(one);
    assert.deepEqual(await one.store.inbox.remember(tx, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS }), [true]);
    await tx.rollback();
    assert.deepEqual(await remember([key('1')]), [true]);
  },
  [`calls a message new for one of ${CONSUMERS} transactions that have it at once`]: async ({ remember, key }) => {
    const answers = await answersOfAll(Array.from({ length: CONSUMERS }, () => () => remember([key('1')])));
    assert.equal(answers.filter(([isNew]) => isNew).length, 1);
  },
  'calls a message new for the second transaction when the first one is rolled back': async ({ one, ids, key, remember }) => {
    const first = await begin(one);
    await one.store.inbox.remember(first, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS });
    const second = await answerBehind(
      () => first.rollback(),
      () => remember([key('1'), key('2')]),
    );
    assert.deepEqual(second, [true, true]);
  },
  'does not deadlock over batches with the same messages in different orders': async ({ key, remember }) => {
    const batch = Array.from({ length: 1500 }, (_, i) => key(`${i}`));
    for (let round = 0; round < 3; round += 1) {
      const source = `round ${round}`;
      const forwards = batch.map(({ id }) => key(id, source));
      const orders = [forwards, [...forwards].reverse(), forwards, [...forwards].reverse()];
      const answers = await answersOfAll(orders.map((keys) => () => remember(keys)));
      assert.equal(answers.flat().filter((isNew) => isNew).length, batch.length);
    }
  },
  'gives up waiting for another transaction after a short while, with an error that is worth a retry': async ({
    one,
    ids,
    key,
    remember,
  }) => {
    const first = await begin(one);
    await one.store.inbox.remember(first, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS });
    for (const keys of [[key('1')], [key('1'), key('2')]]) {
      const beganAt = performance.now();
      const error = await remember(keys).catch((thrown: unknown) => thrown);
      assert.equal(classify(error).retryable, true);
      assertBetween(performance.now() - beganAt, { most: 20_000 });
    }
    await first.commit();
    assert.deepEqual(await remember([key('1')]), [false]);
  },
  'leaves the waits of the business alone': async ({ one, ids, key }) => {
    const first = await begin(one);
    await one.store.inbox.remember(first, { subscriptionId: ids[0]!, keys: [key('1')], ttlMs: TTL_MS });
    const second = await begin(one);
    await one.store.inbox.remember(second, { subscriptionId: ids[0]!, keys: [key('2')], ttlMs: TTL_MS });
    // Whatever bounds the inbox's own wait must not be left behind in the transaction.
    const { run } = second as unknown as { run?: (statement: { text: string }) => Promise<{ rows: object[] }> };
    if (run !== undefined) assert.deepEqual((await run.call(second, { text: 'show lock_timeout' })).rows, [{ lock_timeout: '0' }]);
    await first.rollback();
    await second.rollback();
  },
  'gives one claim at a time, with the time it is still held': async ({ claim }) => {
    assert.equal((await claim('1')).state, 'claimed');
    const second = await claim('1');
    assert.equal(second.state, 'held');
    assertBetween((second as { forMs: number }).forMs, { least: 1 });
    assertBetween((second as { forMs: number }).forMs, { most: 10_000 });
  },
  'gives one claim to one of many that want it at once': async ({ claim }) => {
    const answers = await Promise.all(Array.from({ length: 20 }, () => claim('1')));
    assert.equal(answers.filter(({ state }) => state === 'claimed').length, 1);
  },
  'keeps the result of a claim that is done, and knows the message from then on': async ({ claimed, one, endOf, claim, remember, key }) => {
    const { token } = await claimed('1');
    await one.store.inbox.finish(endOf('1', token, { result: '{"ok":true}' }));
    assert.deepEqual(await claim('1'), { state: 'done', result: '{"ok":true}' });
    assert.deepEqual(await remember([key('1')]), [false]);
    const { token: second } = await claimed('2');
    await one.store.inbox.finish(endOf('2', second, { result: undefined }));
    assert.deepEqual(await claim('2'), { state: 'done', result: undefined });
  },
  'gives a claim anew that was given back': async ({ claimed, one, endOf, claim }) => {
    const { token } = await claimed('1');
    await one.store.inbox.finish(endOf('1', token));
    assert.equal((await claim('1')).state, 'claimed');
  },
  'ends a claim with the transaction it is given, or not at all': async ({ claimed, one, endOf, claim }) => {
    const { token } = await claimed('1');
    const tx = await begin(one);
    await one.store.inbox.finish(endOf('1', token, { result: 'x' }), tx);
    await tx.rollback();
    assert.equal((await claim('1')).state, 'held');
    await inTransaction(one, (again) => one.store.inbox.finish(endOf('1', token, { result: 'x' }), again));
    assert.deepEqual(await claim('1'), { state: 'done', result: 'x' });
  },
  'remembers what was done under a claim that was taken over for as long as whoever took it wants': async ({
    one,
    ids,
    key,
    claimed,
    claim,
    endOf,
  }) => {
    await one.store.inbox.claim({ subscriptionId: ids[0]!, key: key('1'), leaseMs: 0, ttlMs: 0 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const { token } = await claimed('1');
    await one.store.inbox.finish(endOf('1', token, { result: 'x' }));
    assert.equal(await one.store.inbox.trim(10), 0);
    assert.equal((await claim('1')).state, 'done');
  },
  'lets another one take over when the lease of a claim has ended, and the first one knows': async ({
    claimed,
    claim,
    one,
    ids,
    key,
    endOf,
  }) => {
    const { token } = await claimed('1', 50);
    const second = (await eventually(
      () => claim('1'),
      ({ state }) => state === 'claimed',
    )) as InboxClaim & { state: 'claimed' };
    assert.notEqual(second.token, token);
    assert.equal(await codeOf(one.store.inbox.renew({ subscriptionId: ids[0]!, key: key('1'), token, leaseMs: 1000 })), 'HF_LEASE_LOST');
    assert.equal(await codeOf(one.store.inbox.finish(endOf('1', token, { result: 'late' }))), 'HF_LEASE_LOST');
    await one.store.inbox.finish(endOf('1', second.token, { result: 'mine' }));
    assert.deepEqual(await claim('1'), { state: 'done', result: 'mine' });
  },
  'keeps a claim that is renewed': async ({ claimed, one, ids, key, claim }) => {
    const { token } = await claimed('1', 1500);
    await one.store.inbox.renew({ subscriptionId: ids[0]!, key: key('1'), token, leaseMs: 60_000 });
    await new Promise((resolve) => setTimeout(resolve, 1600));
    assert.equal((await claim('1')).state, 'held');
  },
  'does not take a message for handled whose claim is still in work': async ({ claim, key, remember }) => {
    await claim('1');
    for (const keys of [[key('1')], [key('1'), key('2')]]) assert.equal(await codeOf(remember(keys)), 'HF_IDEMPOTENT_IN_PROGRESS');
  },
  'takes over for a transaction a claim whose lease has ended, once, and as new': async ({ claim, ids, key, one }) => {
    await claim('1', 1);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const memory = { subscriptionId: ids[0]!, keys: [key('0'), key('1')], ttlMs: TTL_MS };
    const first = await begin(one);
    assert.deepEqual(await one.store.inbox.remember(first, memory), [true, true]);
    await first.rollback();
    assert.deepEqual(await inTransaction(one, (tx) => one.store.inbox.remember(tx, memory)), [true, true]);
    assert.deepEqual(await inTransaction(one, (tx) => one.store.inbox.remember(tx, memory)), [false, false]);
    assert.equal((await claim('1')).state, 'done');
  },
  'keeps a result beside what is remembered, with its commit, for each subscription apart': async ({ ids, key, one, remember, claim }) => {
    const at = { subscriptionId: ids[0]!, key: key('1') };
    const { inbox } = one.store;
    const resultOf = (subscriptionId = ids[0]!) =>
      inTransaction(one, async (tx) => (await inbox.recall(tx, { ...at, subscriptionId })).result);
    await remember([key('1')]);
    const undone = await begin(one);
    await inbox.keep(undone, { ...at, result: '{"value":"never"}' });
    await undone.rollback();
    assert.equal(await resultOf(), undefined);
    await inTransaction(one, (tx) => inbox.keep(tx, { ...at, result: '{"value":"ключ 🔑 \\u0000"}' }));
    assert.equal(await resultOf(), '{"value":"ключ 🔑 \\u0000"}');
    assert.equal(await resultOf(ids[1]), undefined);
    assert.deepEqual(await claim('1'), { state: 'done', result: '{"value":"ключ 🔑 \\u0000"}' });
    assert.equal(await codeOf(inTransaction(one, (tx) => inbox.keep(tx, { ...at, key: key('unknown'), result: '1' }))), 'HF_INVARIANT');
  },
  'trims what is older than its ttl, a bounded number, and no claim in work': async ({ key, one, ids, remember, claim }) => {
    const old = Array.from({ length: 5 }, (_, i) => key(`old ${i}`));
    await inTransaction(one, (tx) => one.store.inbox.remember(tx, { subscriptionId: ids[0]!, keys: old, ttlMs: 0 }));
    await remember([key('young')]);
    await one.store.inbox.claim({ subscriptionId: ids[0]!, key: key('in work'), leaseMs: 10_000, ttlMs: 0 });
    await one.store.inbox.claim({ subscriptionId: ids[0]!, key: key('left behind'), leaseMs: 0, ttlMs: 0 });
    await new Promise((resolve) => setTimeout(resolve, 20));
    const trimmed = [await one.store.inbox.trim(4), await one.store.inbox.trim(4), await one.store.inbox.trim(4)];
    assert.deepEqual(trimmed, [4, 2, 0]);
    assert.deepEqual(await remember([key('young')]), [false]);
    assert.equal((await claim('in work')).state, 'held');
  },
});
