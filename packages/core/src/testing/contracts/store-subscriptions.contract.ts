import { strict as assert } from 'node:assert';
import { laneOfSlot, slotOf } from '../../outbox/lanes.js';
import { assertFields, assertBetween } from './assertions.js';
import { factsOf, type StoreFact } from './store-fact.js';
import {
  begin,
  codeOf,
  declare,
  failureOf,
  inTransaction,
  JOIN_SILENT_MS,
  keyOf,
  messageOf,
  publish,
  recordOf,
  register,
  rowOf,
  type StoreFixture,
  type StoreProcess,
  start,
  TYPE,
  takeFrom,
  takeIds,
} from './store-kit.js';

const BY = { by: 'contract', reason: 'the contract' };

const LANES = 4;

/** Longer than a busy machine takes for a heartbeat and what follows. */
const SILENT_MS = 1500;

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const opened: StoreProcess[] = [];
  async function node(service = 'contract'): Promise<StoreProcess> {
    const process = await start(database, { service, lanes: LANES, poolSize: 4 });
    opened.push(process);
    return process;
  }
  const stateOf = async ({ store }: StoreProcess, name: string) =>
    (await store.subscriptions.list()).find((info) => info.name === name)?.state;
  const take = ({ store }: StoreProcess, subscriptionId: number, key: string) =>
    takeFrom({ store }, { subscriptionId, lane: laneOfSlot(slotOf(key), LANES) }, 10);
  const pause = () => new Promise((resolve) => setTimeout(resolve, 60));
  return {
    node,
    take,
    pause,
    stateOf,
    /** It was heard of for the last time an hour ago. */
    silence: ({ nodeId }: StoreProcess) =>
      database.execute(`update holdfast_node set seen_at = seen_at - interval '1 hour' where id = '${nodeId}'`),
    /** Whoever left did so an hour earlier. */
    age: () => database.execute(`update holdfast_taken_type set left_at = left_at - interval '1 hour'`),
    end: async () => {
      await Promise.all(opened.splice(0).map((process) => process.close()));
      await database.drop();
    },
  };
}

const OF_SUBSCRIPTIONS = factsOf('subscriptions', scene, {
  'are made once, whoever registers them first': async ({ node }) => {
    const [one, two] = [await node(), await node()];
    const both = await Promise.all(
      [one, two].map(({ store, nodeId }) => store.subscriptions.register(nodeId, [declare('contract.reader'), declare('contract.second')])),
    );
    assert.deepEqual(
      both[0]?.map(({ id }) => id),
      both[1]?.map(({ id }) => id),
    );
    assert.equal(both.flatMap((rows) => rows.map(({ isNew }) => isNew)).filter((isNew) => isNew).length, 2);
    assertFields(await one.store.subscriptions.register(one.nodeId, [declare('contract.reader'), declare('contract.second')]), [
      { isNew: false },
      { isNew: false },
    ]);
  },
  'are listed with their types, backlog and dead letters': async ({ node }) => {
    const one = await node();
    const [id] = (await register(
      one,
      declare('contract.reader', { types: [TYPE, 'b'] }),
      declare('contract.method', { isHandler: false, types: [] }),
    )) as [number];
    await one.store.cursors.create(id, 'now');
    await publish(one, 'a', 'b');
    await inTransaction(one, (tx) =>
      one.store.deliveries.record(tx, [
        {
          subscriptionId: id,
          message: messageOf('1'),
          identity: undefined,
          key: undefined,
          state: 'dead',
          attempts: 1,
          delayMs: 0,
          failure: failureOf('x'),
          isSuspect: false,
        },
      ]),
    );
    const [info, ...others] = await one.store.subscriptions.list();
    assert.deepEqual(others, []);
    assertFields(info, { name: 'contract.reader', types: [TYPE, 'b'], state: 'active', backlog: 2, deadLetters: 1 });
    assertBetween(info?.oldestAgeMs ?? -1, { least: 0 });
  },
  'take on new types': async ({ node }) => {
    const one = await node();
    await register(one, declare('contract.reader'));
    await register(one, declare('contract.reader', { types: ['other'] }));
    assert.deepEqual(
      (await one.store.subscriptions.list()).map(({ types }) => types),
      [['other']],
    );
  },
  'take what another version takes, whoever registered last, and for a while after it has left': async ({ node, take, age }) => {
    const [older, newer] = [await node(), await node()];
    const [id] = (await register(older, declare('contract.reader', { types: [TYPE, 'contract.gone'] }))) as [number];
    await older.store.cursors.create(id, 'now');
    await register(newer, declare('contract.reader'));
    const typesOf = ({ store }: StoreProcess) => inTransaction({ store }, (tx) => store.subscriptions.takenTypes(tx, id));
    const taken = async (key: string) => {
      await inTransaction(newer, (tx) => newer.store.log.append(tx, [rowOf(key, { type: 'contract.gone' })]));
      const [one] = await newer.store.subscriptions.list();
      assert.deepEqual(one?.types, [...(await typesOf(newer))]);
      return { keys: (await take(older, id, key)).messages.map(keyOf), backlog: one?.backlog, types: one?.types };
    };
    const both = { backlog: 1, types: [TYPE, 'contract.gone'] };
    assert.deepEqual(await taken('a'), { keys: ['a'], ...both });
    await older.store.nodes.leave(older.nodeId);
    assert.deepEqual(await taken('b'), { keys: ['b'], ...both });
    await age();
    assert.deepEqual(await taken('c'), { keys: [], backlog: 0, types: [TYPE] });
  },
  'take for a while what a process took that died': async ({ node, take, pause, age }) => {
    const [dead, one] = [await node(), await node()];
    const [id] = (await register(dead, declare('contract.reader', { types: [TYPE, 'contract.gone'] }))) as [number];
    await dead.store.cursors.create(id, 'now');
    await register(one, declare('contract.reader'));
    await pause();
    await one.store.nodes.heartbeat(one.nodeId);
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, 50), [dead.nodeId]);
    const taken = async (key: string) => {
      await inTransaction(one, (tx) => one.store.log.append(tx, [rowOf(key, { type: 'contract.gone' })]));
      return (await take(one, id, key)).messages.map(keyOf);
    };
    assert.deepEqual(await taken('a'), ['a']);
    await age();
    assert.deepEqual(await taken('b'), []);
  },
  'keep their number and their place when they are renamed': async ({ node, take, stateOf }) => {
    const one = await node();
    const [id] = (await register(one, declare('contract.old'))) as [number];
    await one.store.cursors.create(id, 'now');
    await publish(one, 'a');
    assert.deepEqual(
      await one.store.subscriptions.register(one.nodeId, [declare('contract.new', { formerly: ['contract.older', 'contract.old'] })]),
      [{ name: 'contract.new', id, isNew: false }],
    );
    await one.store.cursors.create(id, 'now');
    assert.deepEqual((await take(one, id, 'a')).messages.map(keyOf), ['a']);
    assert.equal(await stateOf(one, 'contract.old'), undefined);
  },
  'may not vanish: nobody serves one, and the start is refused with its name': async ({ node }) => {
    const one = await node();
    await register(one, declare('contract.reader'), declare('contract.gone'), declare('contract.gone too'));
    const start = one.store.subscriptions.register(one.nodeId, [declare('contract.reader'), declare('contract.fresh')]);
    await assert.rejects(start, { code: 'HF_SUBSCRIPTION_MISSING', details: { name: 'contract.gone, contract.gone too' } });
    assert.deepEqual(
      (await one.store.subscriptions.list()).map(({ name }) => name),
      ['contract.gone', 'contract.gone too', 'contract.reader'],
    );
  },
  'may be missing here while another live node serves them, of this service': async ({ node }) => {
    const [older, newer, stranger] = [await node(), await node(), await node('stranger')];
    await register(older, declare('contract.reader'), declare('contract.old version'));
    await register(newer, declare('contract.reader'));
    await register(stranger, declare('contract.reader'));
    await older.store.nodes.leave(older.nodeId);
    assert.equal(await codeOf(register(newer, declare('contract.reader'))), 'HF_SUBSCRIPTION_MISSING');
    assert.equal(await codeOf(register(stranger, declare('contract.reader'))), undefined);
  },
  'of methods have no messages and may come and go': async ({ node }) => {
    const one = await node();
    await register(one, declare('contract.reader'), declare('contract.method', { isHandler: false, types: [] }));
    assert.equal(await codeOf(register(one, declare('contract.reader'))), undefined);
  },
  'are paused for everybody, over restarts, and resumed': async ({ node, stateOf }) => {
    const one = await node();
    await register(one, declare('contract.reader'));
    assert.equal(await one.store.subscriptions.setState('contract.reader', 'paused', BY), true);
    const two = await node();
    await register(two, declare('contract.reader'));
    assert.deepEqual([...(await two.store.subscriptions.paused())], ['contract.reader']);
    assert.deepEqual([await stateOf(one, 'contract.reader'), await stateOf(two, 'contract.reader')], ['paused', 'paused']);
    assert.equal(await two.store.subscriptions.setState('contract.reader', 'active', BY), true);
    assert.deepEqual([...(await one.store.subscriptions.paused())], []);
  },
  'are known by name within their service only': async ({ node }) => {
    const [one, stranger] = [await node(), await node('stranger')];
    await register(one, declare('contract.reader'));
    assert.equal(await stranger.store.subscriptions.setState('contract.reader', 'paused', BY), false);
    assert.equal(await one.store.subscriptions.setState('contract.unknown', 'paused', BY), false);
    assert.deepEqual(await stranger.store.subscriptions.list(), []);
  },
  'are retired when no node serves them, and begin anew when they come back': async ({ node, stateOf, take }) => {
    const one = await node();
    const [id] = (await register(one, declare('contract.reader'))) as [number];
    await one.store.cursors.create(id, 'now');
    assert.equal(await codeOf(one.store.subscriptions.setState('contract.reader', 'retired', BY)), 'HF_SUBSCRIPTION_IN_USE');
    await one.store.nodes.leave(one.nodeId);
    assert.equal(await stateOf(one, 'contract.reader'), 'missing');
    assert.equal(await one.store.subscriptions.setState('contract.reader', 'retired', BY), true);
    await publish(one, 'a');
    await one.store.nodes.join(one.nodeId, JOIN_SILENT_MS);
    assert.equal(await codeOf(register(one)), undefined);
    assertFields(await one.store.subscriptions.register(one.nodeId, [declare('contract.reader')]), [{ isNew: true }]);
    await one.store.cursors.create(id, 'now');
    assert.deepEqual((await take(one, id, 'a')).messages, []);
    assert.equal(await stateOf(one, 'contract.reader'), 'active');
  },
  'that are retired are neither paused nor resumed: that would bring them back with nobody to serve them': async ({ node, stateOf }) => {
    const one = await node();
    await register(one, declare('contract.reader'));
    await one.store.nodes.leave(one.nodeId);
    await one.store.subscriptions.setState('contract.reader', 'retired', BY);
    for (const state of ['paused', 'active'] as const)
      assert.equal(await codeOf(one.store.subscriptions.setState('contract.reader', state, BY)), 'HF_SUBSCRIPTION_RETIRED');
    assert.equal(await stateOf(one, 'contract.reader'), 'retired');
    assert.equal(await one.store.subscriptions.setState('contract.reader', 'retired', BY), true);
  },
  'that are retired leave what was still to be tried as dead letters, in its order': async ({ node }) => {
    const one = await node();
    const reader = declare('contract.reader', { ordering: 'key' });
    const [id, other] = (await register(one, reader, declare('contract.other'))) as [number, number];
    const { deadLetters, deliveries, nodes, subscriptions } = one.store;
    await inTransaction(one, (tx) =>
      deliveries.record(tx, [
        recordOf(id, '1', { key: 'k', delayMs: 60_000 }),
        recordOf(id, '2', { key: 'k', state: 'waiting' }),
        recordOf(id, '3', { isSuspect: true }),
        recordOf(other, '4'),
      ]),
    );
    await nodes.leave(one.nodeId);
    await subscriptions.setState('contract.reader', 'retired', BY);
    const { items } = await deadLetters.list({});
    assert.deepEqual(
      items.map(({ message, error }) => [message.id, error.code]),
      ['3', '2', '1'].map((name) => [name, 'HF_SUBSCRIPTION_RETIRED']),
    );
    await nodes.join(one.nodeId, JOIN_SILENT_MS);
    await register(one, reader, declare('contract.other'));
    assert.equal(await deadLetters.redrive({ subscription: 'contract.reader' }, BY), 3);
    assert.deepEqual(await takeIds(one, deliveries.intake(id)), ['1']);
    assert.deepEqual(await takeIds(one, deliveries.intake(other)), ['4']);
  },
  'of processes that are silent for long are missing, and can be retired, though nobody has found those dead': async ({
    node,
    stateOf,
    silence,
  }) => {
    const [one, operator] = [await node(), await node('stranger')];
    await register(one, declare('contract.reader'));
    assert.equal(await stateOf(one, 'contract.reader'), 'active');
    await silence(one);
    assert.equal(await stateOf(one, 'contract.reader'), 'missing');
    assert.equal(await operator.store.subscriptions.setState('contract.reader', 'retired', BY), false);
    assert.equal(await one.store.subscriptions.setState('contract.reader', 'retired', BY), true);
  },
  'that are retired keep their dead letters, which are redriven only when they come back': async ({ node }) => {
    const one = await node();
    const ids = await register(one, declare('contract.reader'), declare('contract.other'));
    const dead = ids.map((id, n) => recordOf(id, String(n), { state: 'dead' }));
    await inTransaction(one, (tx) => one.store.deliveries.record(tx, dead));
    const { deadLetters, nodes, subscriptions } = one.store;
    const listed = async () => (await deadLetters.list({})).items.map(({ subscription }) => subscription).sort();
    const [letter] = (await deadLetters.list({ subscription: 'contract.reader' })).items;
    await nodes.leave(one.nodeId);
    await subscriptions.setState('contract.reader', 'retired', BY);
    for (const which of [letter?.id as string, { subscription: 'contract.reader' }])
      await assert.rejects(deadLetters.redrive(which, BY), { code: 'HF_DEAD_LETTER_RETIRED', details: { names: 'contract.reader' } });
    assert.deepEqual(await listed(), ['contract.other', 'contract.reader']);
    assert.equal(await deadLetters.redrive({ type: TYPE }, BY), 1);
    assert.deepEqual(await listed(), ['contract.reader']);
    await nodes.join(one.nodeId, JOIN_SILENT_MS);
    await register(one, declare('contract.reader'), declare('contract.other'));
    assert.equal(await deadLetters.redrive(letter?.id as string, BY), 1);
    assert.deepEqual(await takeIds(one, one.store.deliveries.intake(ids[0] as number)), ['0']);
  },
});

const OF_PROCESSES = factsOf('processes', scene, {
  'serve nothing any more when they were silent as another one joined': async ({ node }) => {
    const [one, two] = [await node(), await node()];
    await register(one, declare('contract.reader'));
    assert.equal(await codeOf(register(two)), undefined);
    await new Promise((resolve) => setTimeout(resolve, SILENT_MS + 10));
    await two.store.nodes.join(two.nodeId, SILENT_MS);
    assert.equal(await codeOf(register(two)), 'HF_SUBSCRIPTION_MISSING');
    await one.store.nodes.heartbeat(one.nodeId);
    assert.equal(await codeOf(register(two)), undefined);
  },
  'are known from join to leave, to their service': async ({ node }) => {
    const [one, two, stranger] = [await node(), await node(), await node('stranger')];
    assert.deepEqual([...(await one.store.nodes.live())].sort(), [one.nodeId, two.nodeId].sort());
    assert.deepEqual(await stranger.store.nodes.live(), [stranger.nodeId]);
    await two.store.nodes.leave(two.nodeId);
    assert.deepEqual(await one.store.nodes.live(), [one.nodeId]);
  },
  'are found dead by others of their service when they are silent, once, and never by themselves': async ({ node, pause }) => {
    const [one, two, stranger] = [await node(), await node(), await node('stranger')];
    await pause();
    assert.notEqual(await one.store.nodes.heartbeat(one.nodeId), undefined);
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, 60_000), []);
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, 50), [two.nodeId]);
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, 0), []);
    assert.deepEqual(await stranger.store.nodes.live(), [stranger.nodeId]);
  },
  'join again with their heartbeat when they were only frozen, and are told': async ({ node, pause }) => {
    const [one, two] = [await node(), await node()];
    await pause();
    await one.store.nodes.heartbeat(one.nodeId);
    await one.store.nodes.reap(one.nodeId, 50);
    assert.equal(await two.store.nodes.heartbeat(two.nodeId), undefined);
    assert.notEqual(await two.store.nodes.heartbeat(two.nodeId), undefined);
    assert.deepEqual([...(await one.store.nodes.live())].sort(), [one.nodeId, two.nodeId].sort());
  },
  'that froze with messages in hand lose them to others': async ({ node, take, pause }) => {
    const [one, frozen] = [await node(), await node()];
    const [id] = (await register(one, declare('contract.reader'))) as [number];
    await register(frozen, declare('contract.reader'));
    await one.store.cursors.create(id, 'now');
    await publish(one, 'a');
    const cursor = { subscriptionId: id, lane: laneOfSlot(slotOf('a'), LANES) };
    const tx = await begin(frozen);
    assert.equal((await frozen.store.cursors.take(tx, cursor, 10)).messages.length, 1);
    assert.deepEqual((await take(one, id, 'a')).messages, []);
    await pause();
    await one.store.nodes.heartbeat(one.nodeId);
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, 50), [frozen.nodeId]);
    const taken = await take(one, id, 'a');
    assert.deepEqual(taken.messages.map(keyOf), ['a']);
    assert.equal(taken.isSuspect, true);
    await assert.rejects(tx.commit());
    await tx.rollback();
  },
  'that die leave their places suspect, each once, and not those of other services': async ({ node, pause, take }) => {
    const [one, dead, stranger] = [await node(), await node(), await node('stranger')];
    const [id] = (await register(one, declare('contract.reader'))) as [number];
    await register(dead, declare('contract.reader'));
    const [theirs] = (await register(stranger, declare('contract.reader'))) as [number];
    await one.store.cursors.create(id, 'now');
    await stranger.store.cursors.create(theirs, 'now');
    await publish(one, 'a');
    await pause();
    await one.store.nodes.heartbeat(one.nodeId);
    await one.store.nodes.reap(one.nodeId, 50);
    assert.equal((await take(stranger, theirs, 'a')).isSuspect, false);
    assert.equal((await take(one, id, 'a')).isSuspect, true);
    await publish(one, 'a');
    assert.equal((await take(one, id, 'a')).isSuspect, false);
  },
  'that stop in good order leave nothing suspect': async ({ node, pause, take }) => {
    const [one, two] = [await node(), await node()];
    const [id] = (await register(one, declare('contract.reader'))) as [number];
    await register(two, declare('contract.reader'));
    await one.store.cursors.create(id, 'now');
    await two.store.nodes.leave(two.nodeId);
    await pause();
    await one.store.nodes.reap(one.nodeId, 0);
    await publish(one, 'a');
    assert.equal((await take(one, id, 'a')).isSuspect, false);
  },
});

/** Known subscriptions and live processes, as every store must keep them. */
export const SUBSCRIPTION_FACTS: readonly StoreFact[] = [...OF_SUBSCRIPTIONS, ...OF_PROCESSES];
