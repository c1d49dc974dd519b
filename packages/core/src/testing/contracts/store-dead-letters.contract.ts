import { strict as assert } from 'node:assert';
import type { DeadLetterFilter } from '../../operations/operators.js';
import type { DeliveryRecord } from '../../delivery/delivery.store.port.js';
import { assertFields, assertIncludes, eventually, assertBetween } from './assertions.js';
import { factsOf } from './store-fact.js';
import {
  begin,
  codeOf,
  declare,
  failureOf,
  inTransaction,
  messageOf,
  recordOf,
  register,
  type StoreFixture,
  start,
  takeIds,
} from './store-kit.js';

const BY = { by: 'contract', reason: 'the contract' };

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const stranger = await start(database, { service: 'stranger' });
  const [id, orderedId] = (await register(one, declare('contract.reader'), declare('contract.ordered', { ordering: 'key' }))) as [
    number,
    number,
  ];
  const [theirId] = (await register(stranger, declare('contract.reader'))) as [number];
  const dead = (name: string, also: Partial<DeliveryRecord> = {}): DeliveryRecord =>
    recordOf(id, name, { state: 'dead', attempts: 5, ...also });
  const store = async (...records: readonly DeliveryRecord[]) => {
    // One transaction each, so that they died one after another.
    for (const record of records) await inTransaction(one, (tx) => one.store.deliveries.record(tx, [record]));
  };
  const list = async (filter: DeadLetterFilter = {}) => (await one.store.deadLetters.list(filter)).items.map(({ message }) => message.id);
  const idOf = async (name: string) => (await one.store.deadLetters.list({})).items.find(({ message }) => message.id === name)!.id;
  const due = (subscriptionId = id) => takeIds(one, one.store.deliveries.intake(subscriptionId));
  const finish = (subscriptionId: number, name: string) =>
    inTransaction(one, (tx) => one.store.deliveries.close(tx, { subscriptionId, blocksKeys: true }, [{ source: 'orders', id: name }]));
  return {
    database,
    store,
    dead,
    one,
    list,
    orderedId,
    stranger,
    theirId,
    idOf,
    id,
    due,
    finish,
    end: async () => {
      await Promise.all([one.close(), stranger.close()]);
      await database.drop();
    },
  };
}

/** Dead letters, as every store must keep them. */
export const DEAD_LETTER_FACTS = factsOf('dead letters', scene, {
  'are listed newest first, with everything a person needs, and none of those that are still tried': async ({ store, dead, one }) => {
    await store(
      dead('1'),
      dead('2', { state: 'retry' }),
      dead('3', { state: 'waiting', key: 'k' }),
      dead('4', { state: 'invalid', identity: undefined, failure: failureOf('unreadable') }),
    );
    const { items, next } = await one.store.deadLetters.list({});
    assert.equal(next, undefined);
    assertFields(items, [
      { subscription: 'contract.reader', message: { id: '', source: '', type: messageOf('4').type }, error: { message: 'unreadable' } },
      {
        subscription: 'contract.reader',
        message: { id: '1', source: 'orders', key: undefined },
        attempts: 5,
        error: { code: 'E_CONTRACT', message: 'broken', stack: 'Error: broken' },
      },
    ]);
    assertIncludes(items[1]!.group, 'contract.reader');
    assert.deepEqual(Buffer.from(items[1]!.body), Buffer.from(messageOf('1').body));
    assertBetween(Math.abs(items[1]!.deadAt.getTime() - Date.now()), { most: 60_000 });
  },
  'are listed page by page, each once, also when others die meanwhile': async ({ store, dead, one }) => {
    await store(...Array.from({ length: 7 }, (_, i) => dead(`${i}`)));
    const first = await one.store.deadLetters.list({ limit: 3 });
    await store(dead('late'));
    const second = await one.store.deadLetters.list({ limit: 3, cursor: first.next });
    const third = await one.store.deadLetters.list({ limit: 3, cursor: second.next });
    assert.deepEqual(
      [first, second, third].map(({ items }) => items.map(({ message }) => message.id)),
      [['6', '5', '4'], ['3', '2', '1'], ['0']],
    );
    assert.equal(third.next, undefined);
  },
  'that died in one transaction are listed page by page as well': async ({ one, dead }) => {
    await inTransaction(one, (tx) =>
      one.store.deliveries.record(
        tx,
        Array.from({ length: 5 }, (_, i) => dead(`${i}`)),
      ),
    );
    const seen: string[] = [];
    for (let cursor: string | undefined, more = true; more; ) {
      const page: Awaited<ReturnType<typeof one.store.deadLetters.list>> = await one.store.deadLetters.list({ limit: 2, cursor });
      seen.push(...page.items.map(({ message }) => message.id));
      cursor = page.next;
      more = cursor !== undefined;
    }
    assert.deepEqual(seen.sort(), ['0', '1', '2', '3', '4']);
  },
  'refuse a page that cannot be': async ({ one }) => {
    for (const limit of [0, 1001, 1.5]) assert.equal(await codeOf(one.store.deadLetters.list({ limit })), 'HF_OPERATOR_PAGE');
    for (const cursor of ['', 'x', 'x|1', `2026-01-01|1;drop`])
      assert.equal(await codeOf(one.store.deadLetters.list({ cursor })), 'HF_OPERATOR_PAGE');
  },
  'are found by every field of a filter': async ({ store, dead, orderedId, list, one }) => {
    await store(
      dead('1'),
      dead('2', { key: "it's 🔑" }),
      dead('3', { subscriptionId: orderedId, failure: failureOf('other') }),
      dead('4', { message: messageOf('4', { type: 'other' }) }),
    );
    assert.deepEqual(await list({ subscription: 'contract.ordered' }), ['3']);
    assert.deepEqual(await list({ type: 'other' }), ['4']);
    assert.deepEqual(await list({ key: "it's 🔑" }), ['2']);
    assert.deepEqual(await list({ code: 'E_CONTRACT', subscription: 'contract.reader' }), ['4', '2', '1']);
    assert.deepEqual(await list({ since: new Date(Date.now() + 60_000) }), []);
    assert.deepEqual(await list({ until: new Date(Date.now() + 60_000), key: "it's 🔑" }), ['2']);
    assert.deepEqual(await list({ subscription: 'contract.none' }), []);
    const { items } = await one.store.deadLetters.list({ subscription: 'contract.ordered' });
    assert.deepEqual(await list({ group: items[0]!.group }), ['3']);
  },
  'are grouped by subscription and error, the most first, with the newest as a sample': async ({ store, dead, orderedId, one }) => {
    await store(dead('1'), dead('2', { failure: failureOf('other') }), dead('3'), dead('4', { subscriptionId: orderedId }));
    const groups = await one.store.deadLetters.groups({});
    assert.deepEqual(
      groups.map(({ count }) => count),
      [2, 1, 1],
    );
    assert.equal(groups[0]?.sample.message.id, '3');
    assert.equal(new Set(groups.map(({ group }) => group)).size, 3);
    assertFields(await one.store.deadLetters.groups({ subscription: 'contract.ordered' }), [
      { count: 1, sample: { message: { id: '4' } } },
    ]);
  },
  'are seen and touched by their own service only': async ({ stranger, dead, theirId, list, one }) => {
    await inTransaction(stranger, (tx) => stranger.store.deliveries.record(tx, [dead('theirs', { subscriptionId: theirId })]));
    const { items } = await stranger.store.deadLetters.list({});
    const theirs = items[0]!.id;
    assert.deepEqual(await list(), []);
    assert.equal(await one.store.deadLetters.get(theirs), undefined);
    assert.deepEqual([await one.store.deadLetters.redrive(theirs, BY), await one.store.deadLetters.discard(theirs, BY)], [0, 0]);
    assert.equal(await one.store.deadLetters.redrive({ subscription: 'contract.reader' }, BY), 0);
    assert.equal((await stranger.store.deadLetters.get(theirs))?.message.id, 'theirs');
  },
  'are not found under an id that is none': async ({ one }) => {
    for (const none of ['0', 'x', '', '1; drop table', '99999999999999999999']) {
      assert.equal(await one.store.deadLetters.get(none), undefined);
      assert.equal(await one.store.deadLetters.redrive(none, BY), 0);
    }
  },
  'are due at once when they are redriven, with fresh attempts and consent': async ({ store, dead, one, idOf, id, list }) => {
    await store(dead('1'), dead('2'));
    assert.equal(await one.store.deadLetters.redrive(await idOf('1'), BY), 1);
    const { messages } = await inTransaction(one, (tx) => one.store.deliveries.intake(id).take(tx, 10));
    assertFields(messages, [{ attributes: messageOf('1').attributes, attempts: 0, hasConsent: true, isRedelivery: true }]);
    assert.deepEqual(await list(), ['2']);
  },
  'are redriven by filter, all that match and no other': async ({ store, dead, one, list }) => {
    await store(dead('1'), dead('2', { failure: failureOf('other') }), dead('3'));
    const { items } = await one.store.deadLetters.list({ limit: 1 });
    assert.equal(await one.store.deadLetters.redrive({ group: items[0]!.group }, BY), 2);
    assert.deepEqual(await list(), ['2']);
  },
  'are not redriven when their subscription is just being retired': async ({ database, store, dead, one, list }) => {
    await store(dead('1'));
    const retiring = database.execute(`begin; select from holdfast_subscription where name = 'contract.reader' for update;
      update holdfast_subscription set state = 'retired' where name = 'contract.reader'; select pg_sleep(1); commit`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.equal(await codeOf(one.store.deadLetters.redrive({ subscription: 'contract.reader' }, BY)), 'HF_DEAD_LETTER_RETIRED');
    await retiring;
    assert.deepEqual(await list(), ['1']);
  },
  'of an ordered key are redriven one after another, in their order': async ({ dead, orderedId, store, one, due, finish }) => {
    const ordered = (name: string, also: Partial<DeliveryRecord> = {}) => dead(name, { subscriptionId: orderedId, key: 'k', ...also });
    await store(ordered('1'), ordered('2', { state: 'invalid' }), ordered('3'), ordered('x', { key: 'other' }));
    assert.equal(await one.store.deadLetters.redrive({ subscription: 'contract.ordered' }, BY), 4);
    const seen: string[] = [];
    for (let names = ['x']; names.length > 0; ) {
      names = await due(orderedId);
      seen.push(...names);
      for (const name of names) await finish(orderedId, name);
    }
    assert.deepEqual(
      seen.filter((name) => name !== 'x'),
      ['1', '2', '3'],
    );
    assertIncludes(seen, 'x');
  },
  'of an ordered key can be redriven behind another that stays, dead or invalid': async ({
    store,
    dead,
    orderedId,
    one,
    idOf,
    due,
    finish,
  }) => {
    for (const [key, state] of [
      ['k', 'dead'],
      ['l', 'invalid'],
    ] as const) {
      await store(
        dead(`stays ${key}`, { subscriptionId: orderedId, key, state }),
        dead(`again ${key}`, { subscriptionId: orderedId, key }),
      );
      await one.store.deadLetters.redrive(await idOf(`again ${key}`), BY);
      assert.deepEqual(await due(orderedId), [`again ${key}`]);
      await finish(orderedId, `again ${key}`);
    }
  },
  'of an ordered key that are redriven together go one after another past one that stays, and nothing else does': async ({
    store,
    dead,
    orderedId,
    one,
    list,
    due,
    finish,
  }) => {
    const ordered = (name: string, also: Partial<DeliveryRecord> = {}) => dead(name, { subscriptionId: orderedId, key: 'k', ...also });
    const chosen = (name: string) => ordered(name, { state: 'invalid', message: messageOf(name, { type: 'chosen' }) });
    await store(ordered('stays'), chosen('1'), chosen('2'), ordered('waits', { state: 'waiting' }));
    await one.store.deadLetters.redrive({ type: 'chosen' }, BY);
    assert.deepEqual(await list(), ['stays']);
    for (const name of ['1', '2']) {
      assert.deepEqual(await due(orderedId), [name]);
      await finish(orderedId, name);
    }
    assert.deepEqual(await due(orderedId), []);
    assert.equal(await one.store.deliveries.freeForgotten([{ subscriptionId: orderedId, blocksKeys: true }]), 0);
  },
  'of an ordered key wait behind one that was redriven with them and died again, also when nobody gave on its turn': async ({
    store,
    dead,
    orderedId,
    one,
    idOf,
    due,
  }) => {
    const ordered = (name: string, also: Partial<DeliveryRecord> = {}) => dead(name, { subscriptionId: orderedId, key: 'k', ...also });
    const forgotten = () => one.store.deliveries.freeForgotten([{ subscriptionId: orderedId, blocksKeys: true }]);
    await store(ordered('stays'), ...['1', '2'].map((name) => ordered(name, { message: messageOf(name, { type: 'chosen' }) })));
    await one.store.deadLetters.redrive({ type: 'chosen' }, BY);
    await inTransaction(one, async (tx) => {
      const { messages } = await one.store.deliveries.intake(orderedId).take(tx, 1);
      await one.store.deliveries.record(tx, [ordered('1', { message: messages[0]! })]);
    });
    assert.equal(await forgotten(), 0);
    assert.deepEqual(await due(orderedId), []);
    await one.store.deadLetters.redrive(await idOf('stays'), BY);
    assert.deepEqual(await due(orderedId), ['stays']);
    await inTransaction(one, (tx) => one.store.deliveries.withdraw(tx, { subscriptionId: orderedId, source: 'orders', id: 'stays' }));
    assert.equal(await forgotten(), 0);
    await inTransaction(one, (tx) => one.store.deliveries.withdraw(tx, { subscriptionId: orderedId, source: 'orders', id: '1' }));
    assert.equal(await forgotten(), 1);
    assert.deepEqual(await due(orderedId), ['2']);
  },
  'of an ordered key wait behind a delivery of the key that is still tried': async ({ store, dead, orderedId, one, idOf, due, finish }) => {
    await store(
      dead('tried', { subscriptionId: orderedId, key: 'k', state: 'retry', delayMs: 60_000 }),
      dead('again', { subscriptionId: orderedId, key: 'k' }),
    );
    await one.store.deadLetters.redrive(await idOf('again'), BY);
    assert.deepEqual(await due(orderedId), []);
    await finish(orderedId, 'tried');
    assert.deepEqual(await due(orderedId), ['again']);
  },
  'of an ordered key that are redriven let nothing else past a dead letter that stays': async ({
    store,
    dead,
    orderedId,
    one,
    idOf,
    due,
    finish,
  }) => {
    await store(
      dead('stays', { subscriptionId: orderedId, key: 'k' }),
      dead('waits', { subscriptionId: orderedId, key: 'k', state: 'waiting' }),
      dead('again', { subscriptionId: orderedId, key: 'k', state: 'invalid' }),
    );
    await one.store.deadLetters.redrive(await idOf('again'), BY);
    assert.deepEqual(await due(orderedId), []);
    await one.store.deadLetters.discard(await idOf('stays'), BY);
    assert.deepEqual(await due(orderedId), ['waits']);
    await finish(orderedId, 'waits');
    assert.deepEqual(await due(orderedId), ['again']);
  },
  'free what waited in one key while another one is busy': async ({ store, dead, orderedId, one, list }) => {
    const keys = ['a', 'b', 'c'];
    await store(...keys.map((key) => dead(key, { subscriptionId: orderedId, key })));
    const busy = await begin(one);
    await one.store.deliveries.lockKeys(busy, { subscriptionId: orderedId, keys: ['b'], blocksKeys: true });
    const discarding = one.store.deadLetters.discard({ subscription: 'contract.ordered' }, BY);
    await eventually(list, (left) => left.length === 0);
    for (const key of ['a', 'c']) {
      const tx = await begin(one);
      await one.store.deliveries.lockKeys(tx, { subscriptionId: orderedId, keys: [key], blocksKeys: true });
      await tx.commit();
    }
    await busy.commit();
    assert.equal(await discarding, 3);
  },
  'are discarded, and redriven, also while one of their keys stays busy, and what waits in it is found later': async ({
    store,
    dead,
    orderedId,
    one,
    due,
    finish,
  }) => {
    const ordered = (name: string, also: Partial<DeliveryRecord> = {}) => dead(name, { subscriptionId: orderedId, key: name[0], ...also });
    await store(ordered('a1'), ordered('a2', { state: 'waiting' }), ordered('b1'));
    const busy = await begin(one);
    await one.store.deliveries.lockKeys(busy, { subscriptionId: orderedId, keys: ['a'], blocksKeys: true });
    await one.store.deliveries.record(busy, [ordered('a3', { state: 'waiting' })]);
    assert.equal(await one.store.deadLetters.discard({ key: 'a' }, BY), 1);
    assert.equal(await one.store.deadLetters.redrive({ key: 'b' }, BY), 1);
    await busy.commit();
    await one.store.deliveries.freeForgotten([{ subscriptionId: orderedId, blocksKeys: true }]);
    const [first] = await due(orderedId);
    await finish(orderedId, first as string);
    assert.deepEqual([first, ...(await due(orderedId))].sort(), ['a2', 'b1']);
  },
  'are gone when they are discarded, and free what waited behind them': async ({ store, dead, orderedId, one, idOf, list, due }) => {
    await store(dead('1', { subscriptionId: orderedId, key: 'k' }), dead('2', { subscriptionId: orderedId, key: 'k', state: 'waiting' }));
    assert.equal(await one.store.deadLetters.discard(await idOf('1'), BY), 1);
    assert.deepEqual(await list(), []);
    assert.deepEqual(await due(orderedId), ['2']);
  },
  'free what waited only when the last of them is gone that blocked the key': async ({ dead, orderedId, store, one, idOf, due }) => {
    const ordered = (name: string, state: DeliveryRecord['state']) => dead(name, { subscriptionId: orderedId, key: 'k', state });
    await store(ordered('1', 'dead'), ordered('2', 'invalid'), ordered('3', 'waiting'));
    await one.store.deadLetters.discard(await idOf('2'), BY);
    assert.deepEqual(await due(orderedId), []);
    await one.store.deadLetters.discard(await idOf('1'), BY);
    assert.deepEqual(await due(orderedId), ['3']);
  },
  'free what another transaction is just putting behind them when they are discarded': async ({ store, dead, orderedId, one, due }) => {
    await store(dead('1', { subscriptionId: orderedId, key: 'k' }));
    const putting = await begin(one);
    await one.store.deliveries.lockKeys(putting, { subscriptionId: orderedId, keys: ['k'], blocksKeys: true });
    await one.store.deliveries.record(putting, [dead('2', { subscriptionId: orderedId, key: 'k', state: 'waiting' })]);
    const discarding = one.store.deadLetters.discard({ key: 'k' }, BY);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await putting.commit();
    assert.equal(await discarding, 1);
    assert.deepEqual(await due(orderedId), ['2']);
  },
  'of an ordered key do not wait for ever behind one that is just being closed when they are redriven': async ({
    store,
    dead,
    orderedId,
    one,
    due,
  }) => {
    await store(dead('1', { subscriptionId: orderedId, key: 'k', state: 'retry' }), dead('2', { subscriptionId: orderedId, key: 'k' }));
    const closing = await begin(one);
    await one.store.deliveries.close(closing, { subscriptionId: orderedId, blocksKeys: true }, [{ source: 'orders', id: '1' }]);
    const redriving = one.store.deadLetters.redrive({ key: 'k' }, BY);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await closing.commit();
    assert.equal(await redriving, 1);
    assert.deepEqual(await due(orderedId), ['2']);
  },
});
