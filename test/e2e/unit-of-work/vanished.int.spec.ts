import { type BlackHole, createTestDatabase, openBlackHole, type TestDatabase } from '@holdfast-internal/test-support';
import { type OpenStore, openStore } from '../../log/support/open-store.js';
import { RawTransaction } from '../../log/support/raw-transaction.js';
import { begin } from '../../log/support/writers.js';

jest.setTimeout(60_000);

describe('connections that vanish without a word', () => {
  let database: TestDatabase;
  let way: BlackHole;
  let open: OpenStore;

  beforeEach(async () => {
    database = await createTestDatabase();
    way = await openBlackHole(database.url);
    open = await openStore(way.url, { lanes: 2, poolSize: 3 });
  });

  afterEach(async () => {
    await way.close();
    await open.close();
    await database.drop();
  });

  const free = async (): Promise<boolean> => {
    const direct = await RawTransaction.open(database.url);
    const { rows } = await direct.run<{ is_free: boolean }>({ text: 'select pg_try_advisory_xact_lock(7) as is_free' });
    await direct.rollback();
    return rows[0]?.is_free === true;
  };

  it('do not keep a rollback waiting, nor what its transaction held', async () => {
    const tx = await begin(open.store);
    await tx.run({ text: `select set_config('application_name', 'holdfast of the test', true), pg_advisory_xact_lock(7)` });
    way.swallow();
    const startedMs = performance.now();
    await tx.rollback();
    expect(performance.now() - startedMs).toBeLessThan(9000);
    while (!(await free())) await new Promise((resolve) => setTimeout(resolve, 100));
    expect(performance.now() - startedMs).toBeLessThan(25_000);
  });

  it('cost a look one time-out, and not the next one', async () => {
    await open.store.nodes.join(open.nodeId);
    way.swallow();
    const beats = async (): Promise<unknown> => open.store.nodes.heartbeat(open.nodeId).catch((error: { code: string }) => error.code);
    expect(await beats()).toBe('HF_STORE_UNANSWERED');
    let last: unknown;
    // As many as lay in the pool.
    for (let left = 3; left > 0 && last !== false; left -= 1) last = await beats();
    expect(last).toBe(false);
  });
});
