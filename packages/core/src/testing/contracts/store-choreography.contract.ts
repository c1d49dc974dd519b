import { strict as assert } from 'node:assert';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import { assertFields, assertIncludes } from './assertions.js';
import { factsOf } from './store-fact.js';
import {
  answerBehind,
  begin,
  codeOf,
  declare,
  inTransaction,
  recordOf,
  register,
  type StoreFixture,
  type StoreProcess,
  start,
  takeIds,
  TYPE,
} from './store-kit.js';

const DAY_MS = 86_400_000;
const BY = { by: 'anna', reason: 'done by hand' };

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const undos = (await register(one, declare('a.undo', { types: [] }), declare('b.undo', { types: [] }))) as [number, number];
  const { choreography, deliveries, deadLetters } = one.store;
  const record = (tx: Transaction, sagaId: string, [id, subscriptionId = undos[0]]: readonly [id: string, undo?: number]) =>
    choreography.record(tx, {
      sagaId,
      subscriptionId,
      message: { source: 'shop', id, type: TYPE, attributes: JSON.stringify({ id }), body: Buffer.from(`body of ${id}`) },
    });
  const recorded = (sagaId: string, id: string, subscriptionId?: number) =>
    inTransaction(one, (tx) => record(tx, sagaId, [id, subscriptionId]));
  const abort = (id: string, process: StoreProcess = one) =>
    inTransaction(process, (tx) => process.store.choreography.abort(tx, { id, reason: 'too dear' }));
  /** What is to be undone now, by the subscriptions that do it. */
  const due = () => Promise.all(undos.map((id) => takeIds(one, deliveries.intake(id))));
  /** Undoes one part, as its handler does. */
  const undo = (sagaId: string, subscriptionId: number, id: string) =>
    inTransaction(one, async (tx) => {
      const isMore = await choreography.undone(tx, sagaId);
      await deliveries.close(tx, { subscriptionId, blocksKeys: false }, [{ source: 'shop', id }]);
      return isMore;
    });
  /** Nobody serves `b.undo` any more. */
  const retire = async () => {
    await database.execute(`update holdfast_subscription set served_by = '{}' where name = 'b.undo'`);
    return one.store.subscriptions.setState('b.undo', 'retired', BY);
  };
  return {
    database,
    one,
    retire,
    undos,
    choreography,
    deliveries,
    deadLetters,
    record,
    recorded,
    abort,
    due,
    undo,
    end: async () => {
      await one.close();
      await database.drop();
    },
  };
}

/** Choreographed sagas, as every store must keep them. */
export const CHOREOGRAPHY_FACTS = factsOf('choreographed sagas', scene, {
  'tell a part that was recorded before, which is undone once': async ({ recorded, abort, due, undos: [a, b] }) => {
    assert.deepEqual(
      [await recorded('s', '1', a), await recorded('s', '1', a), await recorded('s', '1', b)],
      ['recorded', 'repeated', 'recorded'],
    );
    assert.equal((await abort('s')).parts, 2);
    assert.deepEqual(await due(), [[], ['1']]);
  },
  'let what was recorded go one by one, the last first, over all subscriptions': async ({ recorded, abort, due, undo, undos: [a, b] }) => {
    for (const [id, subscription] of [
      ['1', a],
      ['2', b],
      ['3', a],
    ] as const)
      assert.equal(await recorded('s', id, subscription), 'recorded');
    await recorded('other', '4');
    assert.deepEqual(await due(), [[], []]);
    assert.deepEqual(await abort('s'), { isNew: true, parts: 3 });
    assert.deepEqual(await due(), [['3'], []]);
    assert.equal(await undo('s', a, '3'), true);
    assert.deepEqual(await due(), [[], ['2']]);
    assert.equal(await undo('s', b, '2'), true);
    assert.deepEqual(await due(), [['1'], []]);
    assert.equal(await undo('s', a, '1'), false);
    assert.deepEqual(await due(), [[], []]);
  },
  'are aborted once, also before anything of them is known, and nothing is recorded from then on': async ({ recorded, abort, due }) => {
    assert.deepEqual(await abort('s'), { isNew: true, parts: 0 });
    assert.deepEqual(await abort('s'), { isNew: false, parts: 0 });
    assert.equal(await recorded('s', '1'), 'aborted');
    assert.equal(await recorded('other', '1'), 'recorded');
    assert.deepEqual(await due(), [[], []]);
  },
  'have no part and no abort of a transaction that is rolled back': async ({ one, record, recorded, abort, choreography, due }) => {
    const failing = (work: (tx: Transaction) => Promise<unknown>) =>
      assert.rejects(
        inTransaction(one, async (tx) => {
          await work(tx);
          throw new Error('no');
        }),
        /no/,
      );
    await failing((tx) => record(tx, 's', ['1']));
    await recorded('s', '2');
    await failing((tx) => choreography.abort(tx, { id: 's', reason: 'no' }));
    assert.equal(await recorded('s', '3'), 'recorded');
    assert.deepEqual(await abort('s'), { isNew: true, parts: 2 });
    assert.deepEqual(await due(), [['3'], []]);
  },
  'keep an abort waiting while something is recorded, and it finds that then': async ({ one, record, abort, due }) => {
    const tx = await begin(one);
    await record(tx, 's', ['1']);
    const aborted = await answerBehind(
      () => tx.commit(),
      () => abort('s'),
    );
    assert.deepEqual(aborted, { isNew: true, parts: 1 });
    assert.deepEqual(await due(), [['1'], []]);
  },
  'keep what is to be recorded waiting while they are aborted, and it is refused then': async ({ one, recorded, choreography }) => {
    await recorded('s', '1');
    const tx = await begin(one);
    await choreography.abort(tx, { id: 's', reason: 'too dear' });
    const outcome = await answerBehind(
      () => tx.commit(),
      () => recorded('s', '2'),
    );
    assert.equal(outcome, 'aborted');
  },
  'keep what is to be recorded waiting while they are aborted for the first time they are heard of': async ({
    one,
    recorded,
    choreography,
  }) => {
    const tx = await begin(one);
    await choreography.abort(tx, { id: 's', reason: 'too dear' });
    const outcome = await answerBehind(
      () => tx.commit(),
      () => recorded('s', '1'),
    );
    assert.equal(outcome, 'aborted');
  },
  'have their parts in the order of the commits': async ({ one, record, recorded, abort, due }) => {
    const tx = await begin(one);
    await record(tx, 's', ['1']);
    await answerBehind(
      () => tx.commit(),
      () => recorded('s', '2'),
    );
    await abort('s');
    assert.deepEqual(await due(), [['2'], []]);
  },
  'make nobody wait for long': async ({ one, record, recorded, abort }) => {
    const tx = await begin(one);
    await record(tx, 's', ['1']);
    const since = performance.now();
    assert.deepEqual(await Promise.all([codeOf(recorded('s', '2')), codeOf(abort('s'))]), ['HF_SAGA_BUSY', 'HF_SAGA_BUSY']);
    assert.ok(performance.now() - since < 10_000, 'it took more than ten seconds');
    assert.equal(await recorded('other', '1'), 'recorded');
    await tx.rollback();
  },
  'are those of each service alone': async ({ database, recorded, abort, due }) => {
    const other = await start(database, { service: 'elsewhere' });
    await recorded('s', '1');
    assert.deepEqual(await abort('s', other), { isNew: true, parts: 0 });
    assert.equal(await recorded('s', '2'), 'recorded');
    assert.deepEqual(await due(), [[], []]);
    await other.close();
  },
  'go on behind what an operator discards': async ({ database, recorded, abort, due, deadLetters }) => {
    await recorded('s', '1');
    await recorded('s', '2');
    await abort('s');
    await database.execute(`update holdfast_delivery set state = 'dead'`);
    const { items } = await deadLetters.list({ key: 's' });
    assert.deepEqual(
      items.map(({ message: { id } }) => id),
      ['2'],
    );
    assert.equal(await deadLetters.discard({ key: 's' }, BY), 1);
    assert.deepEqual(await due(), [['1'], []]);
  },
  'have a part that a retired subscription was to undo as a dead letter, behind which they go on': async (given) => {
    const { one, recorded, abort, due, deadLetters, undos } = given;
    const [a, b] = undos;
    await recorded('s', '1', a);
    await recorded('s', '2', b);
    await recorded('s', '3', b);
    await given.retire();
    await abort('s');
    for (const id of ['3', '2']) {
      assert.deepEqual(await due(), [[], []]);
      const { items } = await deadLetters.list({});
      assertFields(items, [{ subscription: 'b.undo', message: { id, key: 's' }, error: { code: 'HF_SAGA_UNDO_RETIRED' } }]);
      assertIncludes(items[0]!.error.message, 'b.undo');
      assert.equal(await codeOf(deadLetters.redrive({ key: 's' }, BY)), 'HF_DEAD_LETTER_RETIRED');
      await deadLetters.discard({ key: 's' }, BY);
    }
    assert.deepEqual(await due(), [['1'], []]);
    assert.equal(await inTransaction(one, (tx) => given.choreography.undone(tx, 's')), false);
  },
  'have what was to be undone as a dead letter when its subscription is retired, with a reason of its own': async (given) => {
    const { one, undos, recorded, abort, due, deadLetters } = given;
    await recorded('s', '1', undos[1]);
    await abort('s');
    await inTransaction(one, (tx) => one.store.deliveries.record(tx, [recordOf(undos[1], 'of no saga', { key: 's' })]));
    await given.retire();
    const { items } = await deadLetters.list({});
    const codeOf = (id: string) => items.find(({ message }) => message.id === id)?.error.code;
    assert.deepEqual([items.length, codeOf('1'), codeOf('of no saga')], [2, 'HF_SAGA_UNDO_RETIRED', 'HF_SUBSCRIPTION_RETIRED']);
    await register(one, declare('a.undo', { types: [] }), declare('b.undo', { types: [] }));
    assert.equal(await deadLetters.redrive({ key: 's' }, BY), 2);
    // The other one waits behind it: they have one key.
    assert.deepEqual((await due())[1], ['1']);
  },
  'lose no part whose subscription is retired while they are aborted': async (given) => {
    const { one, recorded, choreography, deadLetters, undos } = given;
    await recorded('s', '1', undos[1]);
    const aborting = await begin(one);
    await choreography.abort(aborting, { id: 's', reason: 'too dear' });
    await answerBehind(
      () => aborting.commit(),
      () => given.retire(),
    );
    assertFields((await deadLetters.list({ key: 's' })).items, [{ error: { code: 'HF_SAGA_UNDO_RETIRED' } }]);
  },
  'lose no part whose subscription is just being retired when they are aborted': async ({
    database,
    recorded,
    abort,
    deadLetters,
    undos,
  }) => {
    await recorded('s', '1', undos[1]);
    const retiring = database.execute(`begin; select from holdfast_subscription where name = 'b.undo' for update;
      update holdfast_subscription set state = 'retired' where name = 'b.undo'; select pg_sleep(1); commit`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await Promise.all([retiring, abort('s')]);
    assertFields((await deadLetters.list({ key: 's' })).items, [{ error: { code: 'HF_SAGA_UNDO_RETIRED' } }]);
  },
  'keep neither what undoes them nor an operator who discards that waiting for long': async (given) => {
    const { database, one, record, recorded, abort, choreography, deadLetters } = given;
    await recorded('s', '1');
    await abort('s');
    await database.execute(`update holdfast_delivery set state = 'dead'`);
    const tx = await begin(one);
    await record(tx, 's', ['2']);
    const all = Promise.all([
      codeOf(inTransaction(one, (second) => choreography.undone(second, 's'))),
      codeOf(deadLetters.discard({ key: 's' }, BY)),
    ]);
    const first = await Promise.race([all, new Promise((resolve) => setTimeout(() => resolve('they wait'), 60_000).unref())]);
    await tx.rollback();
    await all;
    assert.deepEqual(first, ['HF_SAGA_BUSY', 'HF_SAGA_BUSY']);
  },
  'are trimmed when they are old, a bounded number, with their parts, and not while they are undone': async ({
    database,
    recorded,
    abort,
    due,
    choreography,
  }) => {
    for (const id of ['1', '2', '3', '4']) await recorded(id, id);
    await abort('4');
    assert.equal(await choreography.trim(DAY_MS, 10), 0);
    await database.execute(`update holdfast_choreography set updated_at = updated_at - interval '2 days'`);
    assert.equal(await choreography.trim(3 * DAY_MS, 10), 0);
    assert.deepEqual([await choreography.trim(DAY_MS, 2), await choreography.trim(DAY_MS, 2)], [2, 1]);
    assert.deepEqual(await abort('1'), { isNew: true, parts: 0 });
    assert.deepEqual(await abort('4'), { isNew: false, parts: 0 });
    assert.deepEqual(await due(), [['4'], []]);
  },
});
