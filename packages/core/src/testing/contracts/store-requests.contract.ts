import { strict as assert } from 'node:assert';
import { classify } from '../../errors/classify.js';
import type { DeliveryRecord } from '../../delivery/delivery.store.port.js';
import type { InboxClaim } from '../../inbox/inbox.store.port.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import { assertBetween } from './assertions.js';
import { factsOf } from './store-fact.js';
import { answerBehind, begin, codeOf, declare, inTransaction, recordOf, register, type StoreFixture, start, takeIds } from './store-kit.js';

const KEEP_MS = 60_000;
const REFUSED = '{"refusal":{"code":"NO_MONEY"}}';

/** What each fact begins with: a request `r` of `orders` to the first subscription. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const [id, otherId] = (await register(one, declare('contract.step'), declare('contract.other'))) as [number, number];
  const { inbox, deliveries } = one.store;
  const key = { source: 'orders', id: 'r' };
  const request = { subscriptionId: id, key, keepMs: KEEP_MS };
  const guardIn = (tx: Transaction) => inbox.guard(tx, request);
  const undoIn = async (tx: Transaction, isDone: boolean) => {
    const memory = await guardIn(tx);
    await inbox.undo(tx, { ...request, isDone });
    return memory;
  };
  const refuseIn = async (tx: Transaction, keepMs = KEEP_MS) => {
    const memory = await inbox.guard(tx, { ...request, keepMs });
    await inbox.refuse(tx, { ...request, keepMs, result: REFUSED });
    return memory;
  };
  const remember = (subscriptionId = id, keys = [key]) =>
    inTransaction(one, (tx) => inbox.remember(tx, { subscriptionId, keys, ttlMs: KEEP_MS }));
  const claim = async (leaseMs = 10_000) =>
    (await inbox.claim({ subscriptionId: id, key, leaseMs, ttlMs: KEEP_MS })) as InboxClaim & { state: 'claimed' };
  const end = (token: string, also: object = {}) => inbox.finish({ subscriptionId: id, key, token, done: undefined, ...also });
  const store = (...records: readonly DeliveryRecord[]) => inTransaction(one, (tx) => deliveries.record(tx, records));
  return {
    one,
    ids: [id, otherId] as const,
    remember,
    claim,
    finish: end,
    store,
    guardIn,
    undoIn,
    refuseIn,
    guard: () => inTransaction(one, guardIn),
    refuse: (keepMs?: number) => inTransaction(one, (tx) => refuseIn(tx, keepMs)),
    recall: () => inTransaction(one, (tx) => inbox.recall(tx, { subscriptionId: id, key })),
    undo: (isDone = true) => inTransaction(one, (tx) => undoIn(tx, isDone)),
    isUndone: async () => (await inTransaction(one, (tx) => inbox.recall(tx, { subscriptionId: id, key }))).isUndone,
    end: async () => {
      await one.close();
      await database.drop();
    },
  };
}

/** Requests that are undone, as every store must remember them. */
export const REQUEST_FACTS = factsOf('the memory of a request', scene, {
  'that never came is cancelled with the commit of whoever asks, and the request is not new then': async ({
    one,
    guard,
    guardIn,
    remember,
    ids,
    claim,
    isUndone,
  }) => {
    const undone = await begin(one);
    assert.equal(await guardIn(undone), 'none');
    await undone.rollback();
    assert.equal(await guard(), 'none');
    assert.equal(await guard(), 'cancelled');
    assert.deepEqual(await remember(), [false]);
    assert.equal((await claim()).state, 'undone');
    assert.equal(await isUndone(), true);
    assert.deepEqual(await remember(ids[1]), [true]);
  },
  'says that it ran, and once it is undone says that': async ({ remember, undo, guard, isUndone, claim }) => {
    await remember();
    assert.equal(await isUndone(), false);
    assert.equal(await undo(), 'done');
    assert.equal(await guard(), 'compensated');
    assert.deepEqual([await isUndone(), (await claim()).state, await remember()], [true, 'undone', [false]]);
  },
  'that is dropped in the transaction that remembers it never runs, and has nothing to undo': async ({
    one,
    ids,
    guard,
    isUndone,
    remember,
  }) => {
    const { inbox } = one.store;
    const at = { subscriptionId: ids[0], key: { source: 'orders', id: 'r' } };
    await inTransaction(one, async (tx) => {
      await inbox.remember(tx, { subscriptionId: ids[0], keys: [at.key], ttlMs: KEEP_MS });
      await inbox.cancel(tx, at);
    });
    assert.deepEqual([await guard(), await isUndone(), await remember()], ['cancelled', true, [false]]);
    assert.equal(await codeOf(inTransaction(one, (tx) => inbox.cancel(tx, at))), 'HF_INVARIANT');
  },
  'tells an undoing that has not ended from one that has': async ({ remember, undo, guard, isUndone }) => {
    await remember();
    assert.equal(await undo(false), 'done');
    assert.deepEqual([await guard(), await isUndone()], ['undoing', true]);
    assert.equal(await undo(true), 'undoing');
    assert.equal(await guard(), 'compensated');
  },
  'tells a claim in work from one that was begun and left, by its lease or by who gave it back': async ({ claim, guard, finish }) => {
    const { token } = await claim();
    assert.equal(await guard(), 'claimed');
    await finish(token, { isBegun: true });
    assert.equal(await guard(), 'begun');
    const again = await claim(0);
    assert.equal(again.state, 'claimed');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await guard(), 'begun');
  },
  'forgets a claim that was given back with nothing begun': async ({ claim, guard, finish }) => {
    await finish((await claim()).token);
    assert.equal(await guard(), 'none');
  },
  'lets nobody finish, or keep, a claim whose request was undone': async ({ claim, undo, finish, one, ids }) => {
    const { token } = await claim(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await undo(), 'begun');
    assert.equal(await codeOf(finish(token, { done: { result: undefined } })), 'HF_LEASE_LOST');
    assert.equal(await codeOf(finish(token, { isBegun: true })), 'HF_LEASE_LOST');
    const term = { subscriptionId: ids[0], key: { source: 'orders', id: 'r' }, token, leaseMs: 1000 };
    assert.equal(await codeOf(one.store.inbox.renew(term)), 'HF_LEASE_LOST');
  },
  'waits for a transaction that has the request, and tells what became of that': async ({ one, ids, guard }) => {
    for (const [outcome, memory] of [
      ['rollback', 'none'],
      ['commit', 'done'],
    ] as const) {
      const key = { source: outcome, id: 'r' };
      const request = { subscriptionId: ids[0], key, keepMs: KEEP_MS };
      const running = await begin(one);
      await one.store.inbox.remember(running, { subscriptionId: ids[0], keys: [key], ttlMs: KEEP_MS });
      const told = await answerBehind(
        () => running[outcome](),
        () => inTransaction(one, (tx) => one.store.inbox.guard(tx, request)),
      );
      assert.equal(told, memory);
    }
    assert.equal(await guard(), 'none');
  },
  'gives up waiting after a short while, with an error that is worth a retry': async ({ one, ids, guard, undoIn, remember }) => {
    const running = await begin(one);
    await one.store.inbox.remember(running, { subscriptionId: ids[0], keys: [{ source: 'orders', id: 'r' }], ttlMs: KEEP_MS });
    const beganAt = performance.now();
    assert.equal(classify(await guard().catch((thrown: unknown) => thrown)).retryable, true);
    assertBetween(performance.now() - beganAt, { most: 20_000 });
    await running.rollback();
    await remember();
    const undoing = await begin(one);
    await undoIn(undoing, true);
    const meanwhile = await codeOf(guard());
    await undoing.rollback();
    assert.deepEqual([meanwhile, await guard()], ['HF_IDEMPOTENT_IN_PROGRESS', 'done']);
  },
  'keeps the request back while it is being undone, until that has committed': async ({ one, guardIn, remember }) => {
    const undoing = await begin(one);
    await guardIn(undoing);
    const late = await answerBehind(
      () => undoing.commit(),
      () => remember(),
    );
    assert.deepEqual(late, [false]);
  },
  'keeps a claim that was left from being taken over while its request is undone': async ({ one, claim, guardIn, ids }) => {
    await claim(0);
    await new Promise((resolve) => setTimeout(resolve, 20));
    const undoing = await begin(one);
    const memory = await guardIn(undoing);
    const request = { subscriptionId: ids[0], key: { source: 'orders', id: 'r' }, keepMs: KEEP_MS };
    const undone = async () => {
      await one.store.inbox.undo(undoing, { ...request, isDone: true });
      await undoing.commit();
    };
    const again = await answerBehind(undone, () => claim());
    assert.deepEqual([memory, again.state], ['begun', 'undone']);
  },
  'is kept for as long as it is told to, from the moment it is undone': async ({ one, ids, undoIn, guard, remember }) => {
    const key = { source: 'orders', id: 'r' };
    await inTransaction(one, (tx) => one.store.inbox.remember(tx, { subscriptionId: ids[0], keys: [key], ttlMs: 0 }));
    await inTransaction(one, (tx) => undoIn(tx, true));
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(await one.store.inbox.trim(10), 0);
    assert.equal(await guard(), 'compensated');
    assert.deepEqual(await remember(), [false]);
  },
  'that was refused says that it never ran, and gives what it was refused with to repeats': async ({
    refuse,
    recall,
    remember,
    claim,
    guard,
  }) => {
    assert.equal(await refuse(), 'none');
    assert.deepEqual(await remember(), [false]);
    assert.deepEqual(await recall(), { isDone: false, isUndone: true, result: REFUSED });
    assert.deepEqual(await claim(), { state: 'undone', result: REFUSED });
    assert.equal(await guard(), 'cancelled');
  },
  'that was refused is forgotten when that is rolled back, and is new again': async ({ one, refuseIn, remember, recall }) => {
    const refusing = await begin(one);
    await refuseIn(refusing);
    await refusing.rollback();
    assert.deepEqual([await recall(), await remember()], [{ isDone: false, isUndone: false, result: undefined }, [true]]);
  },
  'that was refused and is undone all the same tells nobody any more what it was refused with': async ({ refuse, undo, recall }) => {
    await refuse();
    assert.equal(await undo(), 'cancelled');
    assert.deepEqual(await recall(), { isDone: false, isUndone: true, result: undefined });
  },
  'can be refused only where it never ran': async ({ one, ids, claim, finish, remember, guard, recall }) => {
    const request = { subscriptionId: ids[0], key: { source: 'orders', id: 'r' }, keepMs: KEEP_MS, result: REFUSED };
    const refuse = () => codeOf(inTransaction(one, (tx) => one.store.inbox.refuse(tx, request)));
    assert.equal(await refuse(), 'HF_INVARIANT');
    await finish((await claim()).token, { isBegun: true });
    assert.deepEqual([await refuse(), await guard()], ['HF_INVARIANT', 'begun']);
    await finish((await claim()).token, {});
    await remember();
    assert.deepEqual([await refuse(), await guard(), (await recall()).result], ['HF_INVARIANT', 'done', undefined]);
  },
  'goes with its stored deliveries: those that nobody has in work are withdrawn, with their keys': async ({ one, ids, store }) => {
    const named = (key: string | undefined, also: Partial<DeliveryRecord> = {}) =>
      recordOf(ids[0], 'r', { identity: { source: 'orders', id: 'r' }, key, ...also });
    await store(named('k', { state: 'dead' }), named(undefined, { state: 'waiting' }), named('l', { delayMs: 60_000 }));
    await store(recordOf(ids[0], 'another'), recordOf(ids[1], 'r'), named('m', { identity: { source: 'billing', id: 'r' } }));
    const withdraw = (tx: Transaction) =>
      one.store.deliveries.withdraw(tx, { subscriptionId: ids[0], source: 'orders', id: 'r' }).then((keys) => [...keys].sort());
    const undone = await begin(one);
    assert.deepEqual(await withdraw(undone), ['k', 'l']);
    await undone.rollback();
    assert.deepEqual(await inTransaction(one, withdraw), ['k', 'l']);
    assert.deepEqual(await inTransaction(one, withdraw), []);
    assert.deepEqual((await takeIds(one, one.store.deliveries.intake(ids[1]))).sort(), ['r']);
  },
  'leaves a stored delivery that somebody has in work to him': async ({ one, ids, store }) => {
    const { deliveries } = one.store;
    await store(recordOf(ids[0], 'r', { key: 'k' }));
    const withdrawn = () => inTransaction(one, (tx) => deliveries.withdraw(tx, { subscriptionId: ids[0], source: 'orders', id: 'r' }));
    const working = await begin(one);
    await deliveries.intake(ids[0]).take(working, 1);
    const meanwhile = await withdrawn();
    await working.rollback();
    assert.deepEqual([meanwhile, await withdrawn()], [[], ['k']]);
  },
  'does not close what is stored of a message that is dropped, but the one it came from': async ({ one, ids, store }) => {
    const { deliveries } = one.store;
    await store(recordOf(ids[0], 'r'));
    const { messages } = await inTransaction(one, (tx) => deliveries.intake(ids[0]).take(tx, 1));
    await store(recordOf(ids[0], 'r', { state: 'dead' }));
    const rule = { subscriptionId: ids[0], blocksKeys: false };
    const dropped = { source: 'orders', id: 'r', deliveryId: messages[0]?.deliveryId as string, isDropped: true };
    await inTransaction(one, (tx) => deliveries.close(tx, rule, [dropped]));
    const left = await one.store.deadLetters.list({});
    assert.deepEqual([left.items.length, (await takeIds(one, deliveries.intake(ids[0]))).length], [1, 0]);
  },
});
