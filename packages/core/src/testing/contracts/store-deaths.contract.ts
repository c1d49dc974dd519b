import { strict as assert } from 'node:assert';
import type { DeliveryRecord } from '../../delivery/delivery.store.port.js';
import type { Lease } from '../../delivery/intake.port.js';
import { laneOfSlot, slotOf } from '../../outbox/lanes.js';
import { assertBetween, assertFields, assertIncludes, eventually } from './assertions.js';
import { eachOf, factsOf } from './store-fact.js';
import {
  begin,
  declare,
  idOf,
  inTransaction,
  keyOf,
  publish,
  recordOf,
  register,
  rowOf,
  type StoreFixture,
  type StoreProcess,
  start,
  takeIds,
  takeFrom,
} from './store-kit.js';

const LANES = 4;

/** Longer than a busy machine takes for a heartbeat, and shorter than what a store may count to a process after its last word. */
const SILENT_MS = 1500;
/** For what must not be found dead. */
const LONG_MS = 60_000;
/** Longer than a busy machine takes for the next statement. */
const LEASE_MS = 5000;

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const opened: StoreProcess[] = [];
  async function node(): Promise<StoreProcess> {
    const process = await start(database, { lanes: LANES, poolSize: 4 });
    opened.push(process);
    return process;
  }
  const [one, other] = [await node(), await node()];
  const [id] = (await register(one, declare('contract.reader'))) as [number];
  await register(other, declare('contract.reader'));
  await one.store.cursors.create(id, 'now');
  /** A process that served the subscription is found dead. */
  const someoneDies = async () => {
    const dead = await node();
    await register(dead, declare('contract.reader'));
    await found(dead);
  };
  /** These times were written before the clock was set back by an hour. */
  const ahead = (table: string, column: string) =>
    database.execute(`update holdfast_${table} set ${column} = clock_timestamp() + interval '1 hour'`);
  const found = async (dead: StoreProcess) => {
    await new Promise((resolve) => setTimeout(resolve, SILENT_MS + 10));
    for (const { store, nodeId } of opened) if (nodeId !== dead.nodeId) await store.nodes.heartbeat(nodeId);
    // Their heartbeats are there, and a busy machine may take longer for the next statement than it takes to be silent.
    await database.execute(`do $$ begin assert (select min(seen_at) from holdfast_node where id <> '${dead.nodeId}') >=
        (select seen_at + interval '${SILENT_MS} milliseconds' from holdfast_node where id = '${dead.nodeId}'); end $$;
      update holdfast_node set seen_at = seen_at + interval '1 minute' where id <> '${dead.nodeId}'`);
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, SILENT_MS), [dead.nodeId]);
  };
  const cursor = () => ({ subscriptionId: id, lane: laneOfSlot(slotOf('a'), LANES) });
  const take = (process: StoreProcess) => takeFrom(process, cursor(), 1);
  const record = (name: string, also: Partial<DeliveryRecord> = {}): DeliveryRecord => recordOf(id, name, also);
  const store = (...records: readonly DeliveryRecord[]) => inTransaction(one, (tx) => one.store.deliveries.record(tx, records));
  const intake = () => one.store.deliveries.intake(id);
  const count = (process: StoreProcess = one) => countOf(process, id);
  const isDue = async () => (await one.store.deliveries.due([id])).get(id);
  return {
    database,
    one,
    other,
    cursor,
    someoneDies,
    ahead,
    take,
    node,
    found,
    store,
    record,
    isDue,
    intake,
    count,
    id,
    end: async () => {
      await Promise.all(opened.splice(0).map((process) => process.close()));
      await database.drop();
    },
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;

/** Counts a suspect delivery, if one is due; how it is handed over. */
async function countOf(process: StoreProcess, id: number) {
  const counted = await process.store.deliveries.countSuspect(id, 60_000);
  return counted && (await inTransaction(process, async (tx) => (await counted.take(tx, 1)).messages[0]));
}

/** Waits until one is due. */
function countedBy(process: StoreProcess, id: number) {
  return eventually(
    () => countOf(process, id),
    (counted) => counted !== undefined,
  );
}

/** What is known of messages near which a process died, as every store must keep it. */
export const DEATH_FACTS = factsOf('a process that died', scene, {
  'is not found by one that was silent too, which is told for how long': async ({ database, one, other }) => {
    await database.execute(`update holdfast_node set seen_at = seen_at - interval '1 minute'`);
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, 10_000), []);
    assertBetween((await one.store.nodes.heartbeat(one.nodeId)) ?? 0, { least: 60_000 });
    assertBetween((await one.store.nodes.heartbeat(one.nodeId)) ?? 60_000, { most: 50_000 });
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, 10_000), [other.nodeId]);
  },
  'is suspected by one that joins, and loses nothing until it is found': async ({ node, one, other, take, id }) => {
    await publish(one, 'a', 'a');
    const working = await begin(other);
    await other.store.deliveries.begin(working, id);
    await new Promise((resolve) => setTimeout(resolve, SILENT_MS + 10));
    await one.store.nodes.heartbeat(one.nodeId);
    const joining = await node();
    await joining.store.nodes.join(joining.nodeId, SILENT_MS);
    await working.commit();
    assert.equal((await take(one)).isSuspect, true);
    assertIncludes(await one.store.nodes.live(), other.nodeId);
    assert.notEqual(await other.store.nodes.heartbeat(other.nodeId), undefined);
  },
  'has its transactions ended that hand something over, and no others': async ({ node, one, other, found, id }) => {
    const frozen = await node();
    const [signed, unsigned, others] = [await begin(frozen), await begin(frozen), await begin(other)];
    const keyIn = (name: string) => ({ subscriptionId: id, keys: [{ source: 'contract', id: name }], ttlMs: 60_000 });
    await frozen.store.deliveries.begin(signed, id);
    await frozen.store.inbox.remember(signed, keyIn('of the frozen one'));
    await frozen.store.inbox.remember(unsigned, keyIn('unsigned'));
    await other.store.deliveries.begin(others, id);
    await other.store.inbox.remember(others, keyIn('of another one'));
    await found(frozen);
    await inTransaction(one, async (tx) =>
      assert.deepEqual(await one.store.inbox.remember(tx, keyIn('of the frozen one')), [true], 'what it held is free'),
    );
    await assert.rejects(signed.commit());
    await unsigned.commit();
    await others.commit();
  },
  'leaves a place suspect that another one had in work meanwhile, until that one moves it': async ({
    one,
    other,
    cursor,
    someoneDies,
    take,
  }) => {
    await publish(one, 'a', 'a', 'a');
    const working = await begin(other);
    await other.store.cursors.take(working, cursor(), 1);
    await someoneDies();
    await working.rollback();
    assert.equal((await take(one)).isSuspect, true);
    const working2 = await begin(other);
    await other.store.cursors.take(working2, cursor(), 1);
    await someoneDies();
    await working2.commit();
    assert.equal((await take(one)).isSuspect, false);
  },
  'leaves no place suspect that others have moved since, long before it was found': async ({ node, one, take, other, found }) => {
    const dead = await node();
    await register(dead, declare('contract.reader'));
    await publish(one, 'a', 'a');
    await new Promise((resolve) => setTimeout(resolve, 2500));
    await take(other);
    await found(dead);
    assert.equal((await take(one)).isSuspect, false);
  },
  'leaves a place suspect that another one had leased meanwhile, until that one has finished': async ({
    one,
    other,
    cursor,
    someoneDies,
    take,
  }) => {
    await publish(one, 'a', 'a');
    const first = (await other.store.cursors.lease(cursor(), 1, 60_000)) as Lease;
    await someoneDies();
    await first.release();
    const second = (await other.store.cursors.lease(cursor(), 1, 60_000)) as Lease;
    assert.equal(second.isSuspect, true);
    await second.finish(undefined);
    assert.equal((await take(one)).isSuspect, false);
  },
  'leaves a place suspect until a message is taken, whatever is passed before that': async ({ one, someoneDies, take }) => {
    await inTransaction(one, (tx) =>
      one.store.log.append(
        tx,
        Array.from({ length: 20 }, () => rowOf('a', { type: 'unwanted' })),
      ),
    );
    await publish(one, 'a');
    await someoneDies();
    const passing = await take(one);
    assertFields(passing, { messages: [], isMoved: true, isSuspect: true });
    for (;;) {
      const taken = await take(one);
      if (taken.messages.length === 0 && taken.isMoved) continue;
      assert.deepEqual({ keys: taken.messages.map(keyOf), isSuspect: taken.isSuspect }, { keys: ['a'], isSuspect: true });
      break;
    }
  },
  'makes stored deliveries suspect that were due then': async ({ store, record, someoneDies, isDue, one, intake, count }) => {
    await store(record('1'));
    await someoneDies();
    assert.deepEqual(await isDue(), { ms: undefined, suspectMs: 0 });
    assert.deepEqual(await takeIds(one, intake()), []);
    assert.equal(await intake().lease(1, 1000), undefined);
    assertFields(await count(), { attempts: 1, hasFailure: false, isCounted: true });
  },
  'makes those suspect that another one had in work, when that one dies too': async ({
    store,
    record,
    other,
    id,
    someoneDies,
    count,
    one,
    intake,
  }) => {
    await store(record('taken'), record('leased'));
    const working = await begin(other);
    assert.deepEqual((await other.store.deliveries.intake(id).take(working, 1)).messages.map(idOf), ['taken']);
    await other.store.deliveries.intake(id).lease(1, 100);
    await someoneDies();
    await working.rollback();
    assert.notEqual((await count())?.deliveryId, undefined);
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.notEqual((await count())?.deliveryId, undefined);
    assert.deepEqual(await takeIds(one, intake()), []);
  },
  'leaves those alone that were not due, and those that were recorded since': async ({
    store,
    record,
    someoneDies,
    count,
    isDue,
    one,
    intake,
  }) => {
    await store(record('later', { delayMs: 60_000 }), record('again'));
    await someoneDies();
    const again = await count();
    await store(record('again', { message: again, attempts: 2 }));
    await store(record('new'));
    assert.deepEqual(await isDue(), { ms: 0, suspectMs: undefined });
    assert.deepEqual(await takeIds(one, intake()), ['again']);
    assert.equal(await count(), undefined);
  },
  ...eachOf<Scene, string>(
    ['retaken', 'leased'],
    'loses what it had %s to store what became of it',
    (how) =>
      async ({ store, record, other, id, count, found }) => {
        await store(record('1'));
        const tx = await begin(other);
        if (how === 'retaken') {
          const { messages } = await inTransaction(other, (first) => other.store.deliveries.intake(id).take(first, 1));
          assert.equal(await other.store.deliveries.intake(id).retake(tx, messages[0]!), true);
        } else await ((await other.store.deliveries.intake(id).lease(1, LEASE_MS)) as Lease).finish(tx);
        await new Promise((resolve) => setTimeout(resolve, LEASE_MS));
        assert.equal(await count(), undefined);
        await found(other);
        assert.equal((await count())?.attempts, 1);
        await assert.rejects(tx.commit());
        await tx.rollback();
      },
  ),
  'gives its counted deliveries to others at once, with their count; those of the living stay with them': async ({
    store,
    record,
    count,
    node,
    found,
    isDue,
  }) => {
    await store(record('1', { isSuspect: true }), record('2', { isSuspect: true }));
    const mine = await count();
    const dead = await node();
    await register(dead, declare('contract.reader'));
    const theirs = await count(dead);
    await found(dead);
    assert.equal((await isDue())?.suspectMs, 0);
    assertFields(await count(), { deliveryId: theirs?.deliveryId, attempts: 2 });
    assert.equal(await count(), undefined);
    assert.notEqual(mine?.deliveryId, theirs?.deliveryId);
  },
  'has counted what it may have died of, and is followed by the next count before it is found': async ({
    node,
    store,
    record,
    id,
    one,
  }) => {
    await store(record('suspect', { isSuspect: true, attempts: 1 }));
    const dying = await node();
    await dying.store.deliveries.countSuspect(id, 50);
    assertFields(await countedBy(one, id), { attempts: 2 });
  },
  'has not died of what it had counted when it was heard afterwards': async ({ node, store, record, id, one }) => {
    await store(record('suspect', { isSuspect: true, attempts: 1 }));
    const living = await node();
    await living.store.deliveries.countSuspect(id, 50);
    await new Promise((resolve) => setTimeout(resolve, 100));
    await living.store.nodes.heartbeat(living.nodeId);
    assertFields(await countedBy(one, id), { attempts: 1 });
  },
  'is not waited for at a lane that it was waiting for': async ({ node, one, other, cursor, found, take }) => {
    await publish(one, 'a');
    const working = await begin(other);
    await other.store.cursors.take(working, cursor(), 1);
    const frozen = await node();
    const waiting = await begin(frozen);
    const locked = frozen.store.cursors.lock(waiting, cursor());
    await working.rollback();
    await locked;
    assert.equal((await take(one)).messages.length, 0);
    await found(frozen);
    assert.equal((await take(one)).messages.length, 1);
    await waiting.rollback().catch(() => undefined);
  },
  'before the clock was set back by an hour, is found all the same, and its places are suspect until they are moved': async (bench) => {
    const { one, node, ahead, found, take } = bench;
    const dead = await node();
    await register(dead, declare('contract.reader'));
    await publish(one, 'a', 'a', 'a');
    await ahead('node', 'seen_at');
    assert.deepEqual(await one.store.nodes.reap(one.nodeId, SILENT_MS), []);
    await found(dead);
    await ahead('subscription', 'last_death_at');
    await one.store.nodes.reap(one.nodeId, LONG_MS);
    assert.equal((await take(one)).isSuspect, true);
    assert.equal((await take(one)).isSuspect, false);
  },
  'leaves a place suspect that was moved before the clock was set back': async ({ one, other, ahead, someoneDies, take }) => {
    await publish(one, 'a', 'a', 'a');
    await take(other);
    await ahead('cursor', 'moved_at');
    await someoneDies();
    assert.equal((await take(one)).isSuspect, true);
    assert.equal((await take(one)).isSuspect, false);
  },
  'after it was taken for dead, leaves its places suspect all the same': async ({ found, other, one, take }) => {
    await found(other);
    await register(one, declare('contract.reader'));
    assert.equal(await other.store.nodes.heartbeat(other.nodeId), undefined);
    await publish(one, 'a', 'a');
    await take(one);
    await found(other);
    assert.equal((await take(one)).isSuspect, true);
  },
});
