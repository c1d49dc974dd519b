import { type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { type LaneScene, openScene } from './support/lane-scene.js';
import { rowOf } from './support/messages.js';
import { type BusinessTransaction, begin } from './support/writers.js';

describe('a store behind a pooler that keeps no prepared statements', () => {
  let database: TestDatabase;
  let scene: LaneScene;

  beforeEach(async () => {
    database = await createStoreDatabase(1);
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  /** Publishes, takes and remembers in one transaction each; names of what the last one's connection keeps prepared. */
  async function statementsKept(): Promise<string[]> {
    const { store, subscriptionId } = scene;
    const writer = await begin(store);
    await store.log.append(
      writer,
      ['a', 'b'].map((key) => rowOf({ id: '00000000-0000-7000-8000-000000000000', key, n: 1 })),
    );
    await writer.commit();
    expect(await scene.take(1)).toEqual(['a']);
    const reader = (await begin(store)) as BusinessTransaction;
    expect((await store.cursors.take(reader, { subscriptionId, lane: 0 }, 1)).messages).toHaveLength(1);
    await store.inbox.remember(reader, { subscriptionId, keys: [{ source: 'orders', id: '1' }], ttlMs: 60_000 });
    const { rows } = await reader.run<{ name: string }>({ text: 'select name from pg_prepared_statements order by name' });
    await reader.commit();
    return rows.map(({ name }) => name);
  }

  it('prepares nothing by name, within transactions either', async () => {
    scene = await openScene(database.url, { prepare: false });
    expect(await statementsKept()).toEqual([]);
  });

  it('prepares by name without that option', async () => {
    scene = await openScene(database.url);
    expect(await statementsKept()).toContainEqual(expect.stringMatching(/^hf_/));
  });
});
