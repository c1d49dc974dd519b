import { type BlackHole, createTestDatabase, openBlackHole, type TestDatabase } from '@holdfast-internal/test-support';
import { type OpenStore, openStore } from '../../log/support/open-store.js';
import { RawTransaction } from '../../log/support/raw-transaction.js';
import { begin } from '../../log/support/writers.js';

jest.setTimeout(60_000);

interface Scene {
  readonly database: TestDatabase;
  readonly way: BlackHole;
  readonly open: OpenStore;
}

async function onScene(work: (scene: Scene) => Promise<void>): Promise<void> {
  const database = await createTestDatabase();
  const way = await openBlackHole(database.url);
  const open = await openStore(way.url, { lanes: 2, poolSize: 3 });
  try {
    await work({ database, way, open });
  } finally {
    await way.close();
    await open.close();
    await database.drop();
  }
}

// Both wait for time-outs.
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
      expect(performance.now() - startedMs).toBeLessThan(9000);
      while (!(await isFree(database))) await new Promise((resolve) => setTimeout(resolve, 100));
      expect(performance.now() - startedMs).toBeLessThan(25_000);
    }));

  it.concurrent('cost a look one time-out, and not the next one', () =>
    onScene(async ({ way, open }) => {
      await open.store.nodes.join(open.nodeId);
      way.swallow();
      const beats = async (): Promise<unknown> => open.store.nodes.heartbeat(open.nodeId).catch((error: { code: string }) => error.code);
      expect(await beats()).toBe('HF_STORE_UNANSWERED');
      let last: unknown;
      // As many as lay in the pool.
      for (let left = 3; left > 0 && last !== false; left -= 1) last = await beats();
      expect(last).toBe(false);
    }));
});
