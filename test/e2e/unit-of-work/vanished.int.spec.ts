import type { PostgresDriver } from 'typeorm/driver/postgres/PostgresDriver.js';
import { type BlackHole, createTestDatabase, openBlackHole, type TestDatabase } from '@holdfast-internal/test-support';
import { type OpenOptions, type OpenStore, openStore } from '../../log/support/open-store.js';
import { RawTransaction } from '../../log/support/raw-transaction.js';
import { begin } from '../../log/support/writers.js';

const POOL = 3;

interface Scene {
  readonly database: TestDatabase;
  readonly way: BlackHole;
  readonly open: OpenStore;
}

async function onScene(work: (scene: Scene) => Promise<void>, options: OpenOptions = {}): Promise<void> {
  const database = await createTestDatabase();
  const way = await openBlackHole(database.url);
  const open = await openStore(way.url, { lanes: 2, poolSize: POOL, ...options });
  try {
    await work({ database, way, open });
  } finally {
    await way.close();
    await open.close();
    await database.drop();
  }
}

// All wait for time-outs.
describe('connections that vanish without a word', () => {
  const isFree = async ({ url }: TestDatabase): Promise<boolean> => {
    const direct = await RawTransaction.open(url);
    const { rows } = await direct.run<{ is_free: boolean }>({ text: 'select pg_try_advisory_xact_lock(7) as is_free' });
    await direct.rollback();
    return rows[0]?.is_free === true;
  };

  it.concurrent('do not keep a rollback waiting, nor what its transaction held', () =>
    onScene(async ({ database, way, open }) => {
      const tx = await begin(open.store);
      await tx.run({ text: `select set_config('application_name', 'holdfast of the test', true), pg_advisory_xact_lock(7)` });
      way.swallow();
      const startedMs = performance.now();
      await tx.rollback();
      expect(performance.now() - startedMs).toBeLessThan(20_000);
      while (!(await isFree(database))) await new Promise((resolve) => setTimeout(resolve, 100));
      expect(performance.now() - startedMs).toBeLessThan(25_000);
    }));

  it.concurrent('cost a look one time-out, and not the next one', () =>
    onScene(async ({ way, open }) => {
      await open.store.nodes.join(open.nodeId, 60_000);
      way.swallow();
      const beats = async (): Promise<unknown> => open.store.nodes.heartbeat(open.nodeId).catch((error: { code: string }) => error.code);
      expect(await beats()).toBe('HF_STORE_UNANSWERED');
      let last: unknown;
      // As many as lay in the pool.
      for (let left = POOL; left > 0 && typeof last !== 'number'; left -= 1) last = await beats();
      expect(last).toEqual(expect.any(Number));
    }));

  it.concurrent('before they are open are given up, and leave their places in the pool', () =>
    onScene(
      async ({ way, open: { store, nodeId, dataSource } }) => {
        way.hold(true);
        way.cut();
        const { master } = dataSource.driver as PostgresDriver;
        while (master.totalCount > 0) await new Promise(setImmediate);
        const looks = Array.from({ length: POOL }, () => store.nodes.heartbeat(nodeId).then(String, String));
        const hang = new Promise((resolve) => setTimeout(() => resolve('they hang'), 25_000).unref());
        expect(await Promise.race([Promise.all(looks), hang])).toEqual(looks.map(() => expect.stringContaining('timeout')));
        way.hold(false);
        expect(await store.nodes.heartbeat(nodeId)).toEqual(expect.any(Number));
      },
      { hasTimeOut: false },
    ));
});
