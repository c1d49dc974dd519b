import {
  begin,
  codeOf,
  declare,
  inTransaction,
  publish,
  register,
  rowOf,
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
} from './store-kit.js';

/** The tables of a store: made, checked, never made twice. */
export function storeSchemaContract(fixture: StoreFixture): void {
  describe('the schema', () => {
    let database: StoreDatabase;
    const opened: StoreProcess[] = [];

    beforeEach(async () => {
      database = await fixture();
    });

    afterEach(async () => {
      await Promise.all(opened.splice(0).map((process) => process.close()));
      await database.drop();
    });

    async function open(options: Parameters<StoreDatabase['open']>[0] = {}): Promise<StoreProcess> {
      const process = await database.open({ lanes: 4, ...options });
      opened.push(process);
      return process;
    }

    it('is missing in an empty database, and what code writes is known', async () => {
      const { store } = await open();
      const { found, wanted } = await store.schema.status();
      expect(found).toBe(0);
      expect(wanted).toBeGreaterThan(0);
    });

    it('is made by migrate, and left alone by the next one', async () => {
      const { store } = await open();
      const { wanted } = await store.schema.status();
      expect(await store.schema.migrate()).toEqual({ found: wanted, wanted });
      expect(await store.schema.migrate()).toEqual({ found: wanted, wanted });
      expect(await store.schema.status()).toEqual({ found: wanted, wanted });
      await store.ready();
    });

    it('is made once by two processes that start at the same time', async () => {
      const both = [await open(), await open()];
      const { wanted } = await both[0]!.store.schema.status();
      expect(await Promise.all(both.map(({ store }) => store.schema.migrate()))).toEqual([
        { found: wanted, wanted },
        { found: wanted, wanted },
      ]);
      for (const { store } of both) await store.ready();
    });

    it('is the same when its statements are run as a script', async () => {
      const scripted = await open();
      const { wanted } = await scripted.store.schema.status();
      expect(scripted.store.schema.sql(wanted)).toBe('');
      await database.execute(scripted.store.schema.sql(0));
      expect(await scripted.store.schema.status()).toEqual({ found: wanted, wanted });
      await scripted.store.ready();
      await scripted.store.nodes.join(scripted.nodeId);
      const [id] = (await register(scripted, declare('contract.reader'))) as [number];
      await scripted.store.cursors.create(id, 'now');
      const lanes = await publish(scripted, 'a');
      expect(await scripted.store.cursors.news([id])).toEqual(lanes.map((lane) => ({ subscriptionId: id, lane })));
    });

    it('of a later version is refused, and left as it is', async () => {
      const { store } = await open();
      const { wanted } = await store.schema.migrate();
      await database.execute(`update holdfast_meta set value = '${wanted + 1}' where name = 'version'`);
      expect(await store.schema.status()).toEqual({ found: wanted + 1, wanted });
      expect(await codeOf(store.schema.migrate())).toBe('HF_SCHEMA_AHEAD');
      expect((await store.schema.status()).found).toBe(wanted + 1);
    });

    it('fixes the number of lanes, whatever a later process asks for', async () => {
      await start({ ...database, open: (options) => open(options) });
      const other = await open({ lanes: 32 });
      await other.store.ready();
      const lanes = await inTransaction(other, (tx) =>
        other.store.log.append(
          tx,
          Array.from({ length: 100 }, (_, i) => rowOf(`${i}`)),
        ),
      );
      expect(Math.max(...lanes)).toBe(3);
      expect((await other.store.log.stats()).lanes).toHaveLength(4);
    });

    it('can have a name of its own, beside another one in the same database', async () => {
      const [bus, plain] = [await open({ schema: 'bus_1' }), await open()];
      await bus.store.schema.migrate();
      expect((await plain.store.schema.status()).found).toBe(0);
      await plain.store.schema.migrate();
      for (const process of [bus, plain]) {
        await process.store.ready();
        await process.store.nodes.join(process.nodeId);
        await process.store.cursors.create((await register(process, declare('contract.reader')))[0]!, 'now');
      }
      expect(bus.store.description).toContain('bus_1');
      await publish(bus, 'a', 'b');
      expect([await bus.store.log.stats(), await plain.store.log.stats()]).toMatchObject([{ backlog: 2 }, { backlog: 0 }]);
      const tx = await begin(plain);
      await tx.rollback();
    });
  });
}
