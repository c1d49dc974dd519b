import { createStoreDatabase, eventually, pause, type TestDatabase } from '@holdfast-internal/test-support';
import type { RelayBatch } from '@holdfast/core';
import { HandRelay } from '../../../../../test/log/support/hand-relay.js';
import { type LaneScene, openScene } from '../../../../../test/log/support/lane-scene.js';
import { declaration, openStore } from '../../../../../test/log/support/open-store.js';
import { connectRaw } from '../../unit-of-work/connections.js';
import { type RawConnection, SqlPool, type SqlRunner } from './sql.js';

interface Bench {
  readonly database: TestDatabase;
  readonly scene: LaneScene;
  /** Connections of a process of another service. */
  readonly theirs: SqlPool;
  readonly relay: HandRelay;
  /** A message that the relay has sent, and whose lane is still to be moved past it. */
  readonly sent: RelayBatch;
}

async function onBench(work: (bench: Bench) => Promise<void>): Promise<void> {
  const database = await createStoreDatabase(1);
  const scene = await openScene(database.url);
  const other = await openStore(database.url, { lanes: 1, service: 'billing' });
  const theirs = new SqlPool(() => connectRaw(other.dataSource) as Promise<RawConnection>, true);
  try {
    const relay = await HandRelay.of(scene);
    await scene.publish('a');
    const [sent] = await relay.read();
    await work({ database, scene, theirs, relay, sent: sent as RelayBatch });
  } finally {
    await Promise.all([scene.close(), other.close()]);
    await database.drop();
  }
}

const lockLane = (sql: SqlRunner) => sql.run({ text: 'select from holdfast_lane for update' });

// Each waits for a time-out.
describe('a transaction of the framework itself', () => {
  it.concurrent('in which a process froze keeps no process of another service from its work', () =>
    onBench(async ({ theirs, relay, sent }) => {
      let thaw = (): void => undefined;
      let frozen: Promise<unknown> = Promise.resolve();
      await new Promise<void>((held) => {
        frozen = theirs.transaction(async (sql) => {
          await lockLane(sql);
          held();
          await new Promise<void>((resolve) => (thaw = resolve));
          await lockLane(sql);
        });
      });
      expect(await relay.advance(sent, 1)).toBe(true);
      thaw();
      await expect(frozen).rejects.toThrow();
    }));

  it.concurrent('waits no longer on the server than its process does', () =>
    onBench(async ({ scene, relay, sent }) => {
      const person = await scene.inFlight();
      await lockLane(person);
      await expect(relay.advance(sent, 1)).rejects.toThrow();
      const waiting = () =>
        scene.query<{ query: string }>(
          `select query from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock' and state = 'active'`,
        );
      expect(await eventually(waiting, ({ length }) => length === 0)).toEqual([]);
      await person.rollback();
      expect(await relay.advance(sent, 1)).toBe(true);
    }));

  it.concurrent('lives on while a broker takes its time', () =>
    onBench(async ({ scene }) => {
      const { store, nodeId } = scene;
      await store.subscriptions.register(nodeId, [declaration('orders.reader', { types: ['old'] })]);
      await scene.query(
        `update holdfast_taken_type set node_id = gen_random_uuid(), left_at = now() - interval '1 hour' where type = 'old'`,
      );
      await store.subscriptions.register(nodeId, [declaration('orders.reader', { types: ['new'] })]);
      const unrouted: string[] = [];
      const unroute = async ({ types }: { readonly types: readonly string[] }) => {
        unrouted.push(...types);
        await pause(9000);
      };
      await store.subscriptions.clearLeftovers(1000, unroute);
      await store.subscriptions.clearLeftovers(1000, unroute);
      expect(unrouted).toEqual(['old']);
    }));
});
