import { strict as assert } from 'node:assert';
import type { CheckedUnit, HalfMessage } from '../../half-message/half-message.store.port.js';
import { DEFAULT_TRANSPORT } from '../../transport/transport-name.js';
import type { Isolation } from '../../unit-of-work/unit-of-work.js';
import { assertFields } from './assertions.js';
import { eachOf, factsOf } from './store-fact.js';
import {
  begin,
  codeOf,
  declare,
  inTransaction,
  register,
  rowOf,
  start,
  type StoreFixture,
  type StoreProcess,
  takeFrom,
} from './store-kit.js';

const LATER_MS = 60_000;
const TERMS = { limit: 10, againMs: LATER_MS };
const DAY_MS = 86_400_000;
const ISOLATIONS: readonly Isolation[] = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'];

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const other = await start(database);
  const [reader] = (await register(one, declare('contract.reader'))) as [number];
  await one.store.cursors.create(reader, 'now');

  const messagesOf = (unitId: string, count = 1): HalfMessage[] =>
    Array.from({ length: count }, (_, ordinal) => {
      const { type, attributes } = rowOf(undefined);
      return { unitId, ordinal, transport: DEFAULT_TRANSPORT, type, attributes, body: Buffer.from(`${unitId} ${ordinal}`) };
    });
  /** Registered, and due for a question at once. */
  const registered = async (unitId: string, count = 1) => {
    const messages = messagesOf(unitId, count);
    await one.store.halfMessages.register(messages, 0);
    return messages;
  };
  const server = await one.store.halfMessages.register([], 0);
  const commitWith = (unitId: string, process = one) =>
    inTransaction(process, (tx) => process.store.halfMessages.commitWith(tx, { unitId, server }));
  const check = async (process: StoreProcess = other): Promise<readonly CheckedUnit[]> =>
    (await process.store.halfMessages.checkBack(TERMS)).units;
  /** Bodies that subscriptions get from the log. */
  const logged = async (): Promise<string[]> => {
    const bodies: string[] = [];
    for (const cursor of await one.store.cursors.news([reader]))
      for (const { body } of (await takeFrom(one, cursor, 100)).messages) bodies.push(Buffer.from(body).toString());
    return bodies.sort();
  };
  return {
    database,
    one,
    other,
    messagesOf,
    registered,
    server,
    commitWith,
    check,
    logged,
    end: async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    },
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Half messages: what is registered is seen when its unit has committed, and never when it has not. */
export const HALF_MESSAGE_FACTS = factsOf('half messages', scene, {
  'of a unit that committed go into the log when somebody asks, once': async ({ registered, commitWith, check, logged }) => {
    await registered('u', 2);
    await commitWith('u');
    assert.deepEqual(await check(), [{ unitId: 'u', outcome: 'committed', messages: 2 }]);
    assert.deepEqual(await check(), []);
    assert.deepEqual(await logged(), ['u 0', 'u 1']);
  },
  'of a unit that nobody heard of are dropped, and it cannot commit any more': async ({ registered, commitWith, check, logged }) => {
    await registered('u');
    assert.deepEqual(await check(), [{ unitId: 'u', outcome: 'rolled-back', messages: 1 }]);
    assert.equal(await codeOf(commitWith('u')), 'HF_HALF_MESSAGE_ROLLED_BACK');
    assert.deepEqual(await check(), []);
    assert.deepEqual(await logged(), []);
  },
  'get the same answer however often and late somebody asks': async ({ registered, commitWith, check, logged, one }) => {
    await registered('yes');
    await commitWith('yes');
    await registered('no');
    await check();
    for (const unit of ['yes', 'no']) await registered(unit);
    assertFields(await check(one), [
      { unitId: 'no', outcome: 'rolled-back' },
      { unitId: 'yes', outcome: 'committed' },
    ]);
    assert.deepEqual(await logged(), ['yes 0', 'yes 0']);
  },
  ...eachOf(
    ISOLATIONS,
    'are decided by whoever is first, with a unit at %s',
    (isolation) =>
      async ({ one, server, registered, check, logged }: Scene) => {
        const { transactions } = one.store;
        const tx = await transactions.begin({ dataSource: transactions.dataSources[0], isolation, readOnly: false });
        // Its snapshot is older than the register and the decision.
        await one.store.inbox.remember(tx, { subscriptionId: 1, keys: [{ source: 's', id: '1' }], ttlMs: DAY_MS });
        await registered('u');
        assertFields(await check(), [{ unitId: 'u', outcome: 'rolled-back' }]);
        await one.store.halfMessages.commitWith(tx, { unitId: 'u', server });
        const code = await codeOf(tx.commit());
        assert.ok(code !== undefined, 'the unit committed after it had been decided against');
        await tx.rollback();
        assert.deepEqual(await logged(), []);
      },
  ),
  'are not asked about before their time': async ({ one, messagesOf, check }) => {
    await one.store.halfMessages.register(messagesOf('u'), LATER_MS);
    assert.deepEqual(await check(), []);
  },
  'are registered by many units at once, also when the pool has no connection left': async ({ server, one, messagesOf, check }) => {
    const held = await Promise.all(Array.from({ length: 8 }, () => begin(one)));
    const units = held.map((_, n) => `u${n}`);
    for (const tx of held)
      await one.store.inbox.remember(tx, { subscriptionId: 1, keys: [{ source: 's', id: String(held.indexOf(tx)) }], ttlMs: DAY_MS });
    await Promise.all(units.map((unit) => one.store.halfMessages.register(messagesOf(unit), 0)));
    await Promise.all(
      held.map(async (tx, n) => {
        await one.store.halfMessages.commitWith(tx, { unitId: units[n] as string, server });
        await tx.commit();
      }),
    );
    assert.deepEqual(
      (await check()).map(({ unitId }) => unitId),
      units,
    );
  },
  'that were sent or rolled back leave the register, and those that were not sent go into the log': async ({
    server,
    one,
    messagesOf,
    check,
    logged,
  }) => {
    const messages = messagesOf('u', 3);
    const [first, second, third] = messages as [HalfMessage, HalfMessage, HalfMessage];
    await one.store.halfMessages.register(messages, 0);
    await inTransaction(one, (tx) => one.store.halfMessages.commitWith(tx, { unitId: 'u', server }));
    const lanes = await one.store.halfMessages.settle({ gone: [first], logged: [second] });
    assert.equal(lanes.length, 1);
    assert.deepEqual(await logged(), ['u 1']);
    // What has been dealt with is no business of a second one.
    assert.deepEqual(await one.store.halfMessages.settle({ gone: [first], logged: [second] }), []);
    assert.deepEqual(await check(), [{ unitId: 'u', outcome: 'committed', messages: 1 }]);
    assert.deepEqual(await logged(), [`u ${third.ordinal}`]);
  },
  'are dealt with by one of several processes that ask at the same time': async ({ one, other, registered, commitWith, logged }) => {
    for (const unit of ['a', 'b', 'c', 'd']) {
      await registered(unit);
      if (unit !== 'd') await commitWith(unit);
    }
    const both = await Promise.all([one, other].map(({ store }) => store.halfMessages.checkBack(TERMS)));
    const outcomes = both.flatMap(({ units }) => units).map(({ unitId, outcome }) => `${unitId} ${outcome}`);
    assert.deepEqual(outcomes.sort(), ['a committed', 'b committed', 'c committed', 'd rolled-back']);
    assert.deepEqual(await logged(), ['a 0', 'b 0', 'c 0']);
  },
  'count as what waits when their time has come': async ({ one, registered, messagesOf, check }) => {
    await one.store.halfMessages.register(messagesOf('early'), LATER_MS);
    assertFields(await one.store.log.stats(), { halfMessages: 1, backlog: 0 });
    assert.equal(await one.store.log.lagMs(), 0);
    await registered('late');
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.ok((await one.store.log.lagMs()) >= 20);
    await check();
    assertFields(await one.store.log.stats(), { halfMessages: 1 });
  },
  'have decisions that are kept while a message of theirs is registered, and for a long time when a check-back made them': async ({
    database,
    one,
    registered,
    commitWith,
    check,
  }) => {
    const { halfMessages } = one.store;
    for (const unit of ['done', 'waiting']) await commitWith(unit);
    await registered('no');
    await check();
    await one.store.halfMessages.register([{ ...rowOf(undefined), transport: DEFAULT_TRANSPORT, unitId: 'waiting', ordinal: 0 }], 0);
    assert.equal(await halfMessages.trim(DAY_MS, 10), 0);
    await database.execute(`update holdfast_guard set decided_at = decided_at - interval '2 days'`);
    assert.deepEqual([await halfMessages.trim(DAY_MS, 10), await halfMessages.trim(DAY_MS, 10)], [1, 0]);
    assert.equal(await codeOf(commitWith('no')), 'HF_HALF_MESSAGE_ROLLED_BACK');
    assertFields(await check(), [{ unitId: 'waiting', outcome: 'committed' }]);
    await database.execute(`update holdfast_guard set decided_at = decided_at - interval '30 days'`);
    assert.deepEqual([await halfMessages.trim(DAY_MS, 1), await halfMessages.trim(DAY_MS, 10)], [1, 1]);
  },
});
