import { servers, type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { keysOf, type LaneScene, openScene, takeAndCommit } from './support/lane-scene.js';
import { History, verdictOf, type Fact } from './support/history.js';
import { factOf } from './support/messages.js';
import { committedFacts, createBusinessTables, Writers } from './support/writers.js';

describe.each(servers())('where a subscription begins on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;

  beforeEach(async () => {
    database = await createStoreDatabase(1, server);
    scene = await openScene(database.url);
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  async function subscribe(name: string, from: 'now' | 'earliest'): Promise<number> {
    const id = (await scene.register('orders.reader', 'orders.first', name)).at(-1)!;
    await scene.store.cursors.create(id, from);
    return id;
  }
  const take = async (id: number) => keysOf(await takeAndCommit(scene, id, { limit: 100 }));

  it("'now' leaves out what was committed before and gives what was in flight, however low its id", async () => {
    await scene.publish('committed');
    const [first, second] = [await scene.inFlight('in flight 2'), await scene.inFlight('in flight 3')];
    await scene.publish('committed too');
    const last = await scene.inFlight('in flight 5');
    const id = await subscribe('orders.now', 'now');
    await scene.publish('after');
    for (const tx of [last, second, first]) await tx.commit();
    expect(await take(id)).toEqual(['in flight 2', 'in flight 3', 'in flight 5', 'after']);
  });

  it("'now' gives what was in flight in a lane that has no rows yet", async () => {
    const writer = await scene.inFlight('in flight');
    const id = await subscribe('orders.now', 'now');
    await scene.publish('after');
    await writer.commit();
    expect(await take(id)).toEqual(['in flight', 'after']);
  });

  it("'now' counts ids that are known to be dead as read", async () => {
    const writer = await scene.inFlight('rolled back');
    await scene.publish('committed');
    await scene.take();
    await writer.rollback();
    expect(await scene.fence()).toBe(1);
    const id = await subscribe('orders.now', 'now');
    expect(await scene.query('select position, holes::text from holdfast_cursor where subscription_id = $1', [id])).toEqual([
      { position: '2', holes: '{}' },
    ]);
  });

  it("'earliest' gives everything that is kept, in order, and what was in flight", async () => {
    await scene.publish('a');
    const writer = await scene.inFlight('in flight');
    await scene.publish('b');
    const id = await subscribe('orders.earliest', 'earliest');
    expect(await take(id)).toEqual(['a', 'b']);
    await writer.commit();
    expect(await take(id)).toEqual(['in flight']);
  });

  it("'earliest' begins behind what was trimmed", async () => {
    await scene.publish('a', 'b');
    await scene.take();
    expect(await scene.store.upkeep.trim(0)).toBe(2);
    await scene.publish('c');
    expect(await take(await subscribe('orders.earliest', 'earliest'))).toEqual(['c']);
  });

  it('is not moved when the subscription is made again', async () => {
    await scene.publish('a');
    await scene.store.cursors.create(scene.subscriptionId, 'now');
    expect(await scene.take()).toEqual(['a']);
  });

  it("splits the stream exactly in two for 'now' under load: what was committed before, and what was not", async () => {
    const keys = Array.from({ length: 20 }, (_, i) => `key-${i}`);
    await createBusinessTables(scene, keys);
    const history = new History();
    const writers = new Writers({ open: scene, url: database.url, keys, history });
    writers.start(8);
    const ids: number[] = [];
    const before: Set<string>[] = [];
    for (let i = 0; i < 5; i += 1) {
      await new Promise((resolve) => setTimeout(resolve, 150));
      const name = `orders.late${i}`;
      ids.push((await scene.register('orders.reader', ...ids.map((_, n) => `orders.late${n}`), name)).at(-1)!);
      const acknowledged = new Set((await committedFacts(scene)).map(({ id }) => id));
      await scene.store.cursors.create(ids.at(-1)!, 'now');
      before.push(acknowledged);
    }
    await writers.stop();
    const committed = await committedFacts(scene);
    for (const [index, id] of ids.entries()) {
      const facts: Fact[] = [];
      for (let more = true; more; ) {
        const taken = await takeAndCommit(scene, id, { limit: 500 });
        facts.push(...taken.messages.map(factOf));
        more = taken.hasMore || taken.messages.length > 0;
      }
      expect(facts.filter((fact) => before[index]!.has(fact.id))).toEqual([]);
      // What became visible between the two statements may be on either side, and nothing else: per key it is a prefix that is left out.
      const { phantom, outOfOrder, repeats } = verdictOf(committed, { reader: 'late', facts });
      expect({ phantom, outOfOrder, repeats }).toEqual({ phantom: [], outOfOrder: [], repeats: 0 });
      for (const key of keys) {
        const all = committed.filter((fact) => fact.key === key).map(({ n }) => n);
        const seen = facts.filter((fact) => fact.key === key).map(({ n }) => n);
        expect(seen).toEqual(all.slice(all.length - seen.length));
      }
    }
    expect(committed.length).toBeGreaterThan(50);
  });
});
