import { strict as assert } from 'node:assert';
import { assertFields, assertIncludes, assertBetween } from './assertions.js';
import { factsOf } from './store-fact.js';
import {
  begin,
  codeOf,
  declare,
  inTransaction,
  JOIN_SILENT_MS,
  publish,
  register,
  rowOf,
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
} from './store-kit.js';

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const opened: StoreProcess[] = [];
  async function open(options: Parameters<StoreDatabase['open']>[0] = {}): Promise<StoreProcess> {
    const process = await database.open({ lanes: 4, ...options });
    opened.push(process);
    return process;
  }
  return {
    open,
    database,
    end: async () => {
      await Promise.all(opened.splice(0).map((process) => process.close()));
      await database.drop();
    },
  };
}

/** The tables of a store: made, checked, never made twice. */
export const SCHEMA_FACTS = factsOf('the schema', scene, {
  'is missing in an empty database, and what code writes is known': async ({ open }) => {
    const { store } = await open();
    const { found, wanted } = await store.schema.status();
    assert.equal(found, 0);
    assertBetween(wanted, { least: 1 });
  },
  'is made by migrate, and left alone by the next one': async ({ open }) => {
    const { store } = await open();
    const { wanted } = await store.schema.status();
    assert.deepEqual(await store.schema.migrate(), { found: wanted, wanted });
    assert.deepEqual(await store.schema.migrate(), { found: wanted, wanted });
    assert.deepEqual(await store.schema.status(), { found: wanted, wanted });
    await store.ready();
  },
  'is made once by two processes that start at the same time': async ({ open }) => {
    const both = [await open(), await open()];
    const { wanted } = await both[0]!.store.schema.status();
    assert.deepEqual(await Promise.all(both.map(({ store }) => store.schema.migrate())), [
      { found: wanted, wanted },
      { found: wanted, wanted },
    ]);
    for (const { store } of both) await store.ready();
  },
  'is the same when its statements are run as a script': async ({ open, database }) => {
    const scripted = await open();
    const { wanted } = await scripted.store.schema.status();
    assert.equal(scripted.store.schema.sql(wanted), '');
    await database.execute(scripted.store.schema.sql(0));
    assert.deepEqual(await scripted.store.schema.status(), { found: wanted, wanted });
    await scripted.store.ready();
    await scripted.store.nodes.join(scripted.nodeId, JOIN_SILENT_MS);
    const [id] = (await register(scripted, declare('contract.reader'))) as [number];
    await scripted.store.cursors.create(id, 'now');
    const lanes = await publish(scripted, 'a');
    assert.deepEqual(
      await scripted.store.cursors.news([id]),
      lanes.map((lane) => ({ subscriptionId: id, lane })),
    );
  },
  'of a later version is refused, and left as it is': async ({ open, database }) => {
    const { store } = await open();
    const { wanted } = await store.schema.migrate();
    await database.execute(`update holdfast_meta set value = '${wanted + 1}' where name = 'version'`);
    assert.deepEqual(await store.schema.status(), { found: wanted + 1, wanted });
    assert.equal(await codeOf(store.schema.migrate()), 'HF_SCHEMA_AHEAD');
    assert.equal((await store.schema.status()).found, wanted + 1);
  },
  'fixes the number of lanes, whatever a later process asks for': async ({ database, open }) => {
    await start({ ...database, open: (options) => open(options) });
    const other = await open({ lanes: 32 });
    await other.store.ready();
    const lanes = await inTransaction(other, (tx) =>
      other.store.log.append(
        tx,
        Array.from({ length: 100 }, (_, i) => rowOf(`${i}`)),
      ),
    );
    assert.equal(Math.max(...lanes), 3);
    assert.equal((await other.store.log.stats()).lanes.length, 4);
  },
  'can have a name of its own, beside another one in the same database': async ({ open }) => {
    const [bus, plain] = [await open({ schema: 'bus_1' }), await open()];
    await bus.store.schema.migrate();
    assert.equal((await plain.store.schema.status()).found, 0);
    await plain.store.schema.migrate();
    for (const process of [bus, plain]) {
      await process.store.ready();
      await process.store.nodes.join(process.nodeId, JOIN_SILENT_MS);
      await process.store.cursors.create((await register(process, declare('contract.reader')))[0]!, 'now');
    }
    assertIncludes(bus.store.description, 'bus_1');
    await publish(bus, 'a', 'b');
    assertFields([await bus.store.log.stats(), await plain.store.log.stats()], [{ backlog: 2 }, { backlog: 0 }]);
    const tx = await begin(plain);
    await tx.rollback();
  },
});
