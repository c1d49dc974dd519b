import { type DeliveryRecord, type Lease, laneOfSlot, slotOf } from '@holdfast/core';
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
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
  takeIds,
} from './store-kit.js';

const LANES = 4;
const SILENT_MS = 50;

/** What is known of messages near which a process died, as every store must keep it. */
export function storeDeathsContract(fixture: StoreFixture): void {
  describe('a process that died', () => {
    let database: StoreDatabase;
    let one: StoreProcess;
    let other: StoreProcess;
    let id: number;
    const opened: StoreProcess[] = [];

    beforeEach(async () => {
      database = await fixture();
      [one, other] = [await node(), await node()];
      [id] = (await register(one, declare('contract.reader'))) as [number];
      await register(other, declare('contract.reader'));
      await one.store.cursors.create(id, 'now');
    });

    afterEach(async () => {
      await Promise.all(opened.splice(0).map((process) => process.close()));
      await database.drop();
    });

    async function node(): Promise<StoreProcess> {
      const process = await start(database, { lanes: LANES, poolSize: 4 });
      opened.push(process);
      return process;
    }
    /** A process that served the subscription is found dead. */
    const someoneDies = async () => {
      const dead = await node();
      await register(dead, declare('contract.reader'));
      await found(dead);
    };
    const found = async (dead: StoreProcess) => {
      await new Promise((resolve) => setTimeout(resolve, SILENT_MS + 10));
      for (const { store, nodeId } of opened) if (nodeId !== dead.nodeId) await store.nodes.heartbeat(nodeId);
      expect(await one.store.nodes.reap(one.nodeId, SILENT_MS)).toEqual([dead.nodeId]);
    };
    const cursor = () => ({ subscriptionId: id, lane: laneOfSlot(slotOf('a'), LANES) });
    const take = ({ store }: StoreProcess) => inTransaction({ store }, (tx) => store.cursors.take(tx, cursor(), 1));
    const record = (name: string, also: Partial<DeliveryRecord> = {}): DeliveryRecord => recordOf(id, name, also);
    const store = (...records: readonly DeliveryRecord[]) => inTransaction(one, (tx) => one.store.deliveries.record(tx, records));
    const intake = () => one.store.deliveries.intake(id);
    const count = async ({ store: { deliveries } }: StoreProcess = one) => {
      const counted = await deliveries.countSuspect(id, 60_000);
      return counted && (await inTransaction(one, async (tx) => (await counted.take(tx, 1)).messages[0]));
    };
    const isDue = async () => (await one.store.deliveries.due([id])).get(id);

    it('leaves a place suspect that another one had in work meanwhile, until that one moves it', async () => {
      await publish(one, 'a', 'a', 'a');
      const working = await begin(other);
      await other.store.cursors.take(working, cursor(), 1);
      await someoneDies();
      await working.rollback();
      expect((await take(one)).isSuspect).toBe(true);
      const working2 = await begin(other);
      await other.store.cursors.take(working2, cursor(), 1);
      await someoneDies();
      await working2.commit();
      expect((await take(one)).isSuspect).toBe(false);
    });

    it('leaves no place suspect that others have moved since, long before it was found', async () => {
      const dead = await node();
      await register(dead, declare('contract.reader'));
      await publish(one, 'a', 'a');
      await new Promise((resolve) => setTimeout(resolve, 2500));
      await take(other);
      await found(dead);
      expect((await take(one)).isSuspect).toBe(false);
    });

    it('leaves a place suspect that another one had leased meanwhile, until that one has finished', async () => {
      await publish(one, 'a', 'a');
      const first = (await other.store.cursors.lease(cursor(), 1, 60_000)) as Lease;
      await someoneDies();
      await first.release();
      const second = (await other.store.cursors.lease(cursor(), 1, 60_000)) as Lease;
      expect(second.isSuspect).toBe(true);
      await second.finish(undefined);
      expect((await take(one)).isSuspect).toBe(false);
    });

    it('leaves a place suspect until a message is taken, whatever is passed before that', async () => {
      await inTransaction(one, (tx) =>
        one.store.log.append(
          tx,
          Array.from({ length: 20 }, () => rowOf('a', { type: 'unwanted' })),
        ),
      );
      await publish(one, 'a');
      await someoneDies();
      const passing = await take(one);
      expect(passing).toMatchObject({ messages: [], isMoved: true, isSuspect: true });
      for (;;) {
        const taken = await take(one);
        if (taken.messages.length === 0 && taken.isMoved) continue;
        expect({ keys: taken.messages.map(keyOf), isSuspect: taken.isSuspect }).toEqual({ keys: ['a'], isSuspect: true });
        break;
      }
    });

    it('makes stored deliveries suspect that were due then', async () => {
      await store(record('1'));
      await someoneDies();
      expect(await isDue()).toEqual({ ms: undefined, suspectMs: 0 });
      expect(await takeIds(one, intake())).toEqual([]);
      expect(await intake().lease(1, 1000)).toBeUndefined();
      expect(await count()).toMatchObject({ attempts: 1, hasFailure: false, isCounted: true });
    });

    it('makes those suspect that another one had in work, when that one dies too', async () => {
      await store(record('taken'), record('leased'));
      const working = await begin(other);
      expect((await other.store.deliveries.intake(id).take(working, 1)).messages.map(idOf)).toEqual(['taken']);
      await other.store.deliveries.intake(id).lease(1, 100);
      await someoneDies();
      await working.rollback();
      expect((await count())?.deliveryId).toBeDefined();
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect((await count())?.deliveryId).toBeDefined();
      expect(await takeIds(one, intake())).toEqual([]);
    });

    it('leaves those alone that were not due, and those that were recorded since', async () => {
      await store(record('later', { delayMs: 60_000 }), record('again'));
      await someoneDies();
      const again = await count();
      await store(record('again', { message: again, attempts: 2 }));
      await store(record('new'));
      expect(await isDue()).toEqual({ ms: 0, suspectMs: undefined });
      expect(await takeIds(one, intake())).toEqual(['again']);
      expect(await count()).toBeUndefined();
    });

    it.each(['retaken', 'leased'])('loses what it had %s to store what became of it', async (how) => {
      await store(record('1'));
      const tx = await begin(other);
      if (how === 'retaken') {
        const { messages } = await inTransaction(other, (first) => other.store.deliveries.intake(id).take(first, 1));
        expect(await other.store.deliveries.intake(id).retake(tx, messages[0]!)).toBe(true);
      } else await ((await other.store.deliveries.intake(id).lease(1, 100)) as Lease).finish(tx);
      await new Promise((resolve) => setTimeout(resolve, 100));
      expect(await count()).toBeUndefined();
      await found(other);
      expect((await count())?.attempts).toBe(1);
      await expect(tx.commit()).rejects.toThrow();
      await tx.rollback();
    });

    it('gives its counted deliveries to others at once, with their count; those of the living stay with them', async () => {
      await store(record('1', { isSuspect: true }), record('2', { isSuspect: true }));
      const mine = await count();
      const dead = await node();
      await register(dead, declare('contract.reader'));
      const theirs = await count(dead);
      await found(dead);
      expect((await isDue())?.suspectMs).toBe(0);
      expect(await count()).toMatchObject({ deliveryId: theirs?.deliveryId, attempts: 2 });
      expect(await count()).toBeUndefined();
      expect(mine?.deliveryId).not.toBe(theirs?.deliveryId);
    });

    it('after it was taken for dead, leaves its places suspect all the same', async () => {
      await found(other);
      await register(one, declare('contract.reader'));
      expect(await other.store.nodes.heartbeat(other.nodeId)).toBe(true);
      await publish(one, 'a', 'a');
      await take(one);
      await found(other);
      expect((await take(one)).isSuspect).toBe(true);
    });
  });
}
