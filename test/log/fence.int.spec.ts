import { laneOfSlot, slotOf } from '@holdfast/core';
import { createStoreDatabase, ears, embeddedServer, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { HandRelay } from './support/hand-relay.js';
import { type LaneScene, openScene } from './support/lane-scene.js';
import type { RawTransaction } from './support/raw-transaction.js';

describe.each(servers())('the fence on $name', (server) => {
  const hear = ears();
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

  /** A writer whose id is a hole of the cursor: a later one was committed and read. */
  async function hole(): Promise<RawTransaction> {
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    expect(await scene.take()).toEqual(['quick']);
    expect(await scene.cursor()).toEqual({ position: 2, holes: '{[1,2)}' });
    return writer;
  }

  it('keeps a hole while its transaction is open, and the message is delivered when it commits', async () => {
    const writer = await hole();
    expect(await scene.fence()).toBe(0);
    expect((await scene.cursor()).holes).toBe('{[1,2)}');
    await writer.commit();
    expect(await scene.fence()).toBe(0);
    expect(await scene.take()).toEqual(['slow']);
    expect(await scene.cursor()).toEqual({ position: 2, holes: '{}' });
  });

  it('writes a hole off when its transaction was rolled back, and tells both', async () => {
    const [found, dead] = [hear('lane:hole-found'), hear('lane:hole-dead')];
    const writer = await hole();
    const facts = [{ lane: 0, from: 1n, to: 1n }];
    expect([found, dead]).toEqual([facts, []]);
    await writer.rollback();
    expect(await scene.fence(1)).toBe(1);
    expect([found, dead]).toEqual([facts, facts]);
    expect(await scene.cursor()).toEqual({ position: 2, holes: '{}' });
    expect(await scene.query('select dead::text from holdfast_lane')).toEqual([{ dead: '{[1,2)}' }]);
  });

  it('writes a hole off when the session of its transaction was terminated', async () => {
    const writer = await hole();
    const { rows } = await writer.run<{ pid: number }>({ text: 'select pg_backend_pid() as pid' });
    expect(await scene.fence()).toBe(0);
    await scene.query('select pg_terminate_backend($1, 5000)', [rows[0]?.pid]);
    expect(await scene.fence()).toBe(1);
    await writer.rollback();
  });

  it('keeps the hole of a savepoint that was rolled back until its transaction ends', async () => {
    const writer = await scene.inFlight();
    const savepoint = await writer.savepoint();
    await writer.run({ text: `select nextval('holdfast_lane_0')` });
    await savepoint.rollback();
    await scene.publish('quick');
    expect(await scene.take()).toEqual(['quick']);
    expect(await scene.fence()).toBe(0);
    await writer.commit();
    expect(await scene.fence()).toBe(1);
    expect((await scene.cursor()).holes).toBe('{}');
  });

  it('does not wait for transactions that began after the hole was seen', async () => {
    const writer = await hole();
    const younger = await scene.inFlight('younger');
    expect(await scene.fence()).toBe(0);
    const youngest = await scene.inFlight('youngest');
    await writer.rollback();
    expect(await scene.fence()).toBe(0);
    await younger.rollback();
    expect(await scene.fence()).toBeGreaterThan(0);
    expect((await scene.cursor()).holes).toBe('{}');
    await youngest.commit();
    expect(await scene.take()).toEqual(['youngest']);
  });

  it('asks about each lane apart: a writer of another lane keeps no hole', async () => {
    const other = await createStoreDatabase(2, server);
    const wide = await openScene(other.url, { lanes: 2 });
    // Keyless units take the lanes in turn: 1, 0, 1, 0.
    const draw = (lane: number) => wide.query(`select nextval('holdfast_lane_${lane}')`);
    await draw(0);
    const keyOfLane = (lane: number) => ['a', 'b', 'c', 'd', 'e', 'f'].find((key) => laneOfSlot(slotOf(key), 2) === lane) as string;
    const stranger = await wide.inFlight(keyOfLane(1));
    await wide.publish(keyOfLane(0));
    expect(await wide.take()).toEqual([keyOfLane(0)]);
    expect(await wide.fence(1)).toBe(1);
    await stranger.commit();
    await wide.close();
    await other.drop();
  });

  it('removes a verdict from the cursor of a reader that was at work when it was given', async () => {
    const writer = await hole();
    await writer.rollback();
    const reader = await scene.store.transactions.begin({ dataSource: 'default', isolation: undefined, readOnly: false });
    await scene.store.cursors.take(reader, { subscriptionId: scene.subscriptionId, lane: 0 }, 10);
    expect(await scene.fence(1)).toBe(1);
    await reader.commit();
    expect((await scene.cursor()).holes).toBe('{[1,2)}');
    expect(await scene.fence(1)).toBe(0);
    expect((await scene.cursor()).holes).toBe('{}');
  });

  it('writes off the holes of the relay as well', async () => {
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    const relay = await HandRelay.of(scene);
    const [batch] = await relay.read();
    expect(await relay.advance(batch!, 1)).toBe(true);
    expect(await scene.fence()).toBe(0);
    await writer.rollback();
    expect(await scene.fence()).toBe(1);
    expect(await scene.query('select relay_position, relay_holes::text from holdfast_lane')).toEqual([
      { relay_position: '2', relay_holes: '{}' },
    ]);
  });

  it('tells a reader that comes later at once which ids are dead', async () => {
    const writer = await hole();
    await writer.rollback();
    expect(await scene.fence()).toBe(1);
    const [late] = (await scene.register('orders.reader', 'orders.late')).slice(1);
    await scene.store.cursors.create(late!, 'earliest');
    const tx = await scene.store.transactions.begin({ dataSource: 'default', isolation: undefined, readOnly: false });
    const { messages } = await scene.store.cursors.take(tx, { subscriptionId: late!, lane: 0 }, 10);
    await tx.commit();
    expect(messages.map(({ place }) => place)).toEqual(['0/2']);
    expect(await scene.query('select holes::text from holdfast_cursor where subscription_id = $1', [late])).toEqual([{ holes: '{}' }]);
  });
});

// Off, as a rule, on the server of a machine.
const preparing = servers().filter(({ maxPreparedTransactions }) => maxPreparedTransactions > 0);
describe.each(preparing.length > 0 ? preparing : [embeddedServer()])('the fence and prepared transactions on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;
  const gid = `fence-${process.pid}`;

  beforeEach(async () => {
    database = await createStoreDatabase(1, server);
    scene = await openScene(database.url);
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    await scene.take();
    expect(await scene.fence()).toBe(0);
    await writer.prepare(gid);
    expect(await scene.fence()).toBe(0);
  });

  afterEach(async () => {
    await scene.query(`rollback prepared '${gid}'`).catch(() => undefined);
    await scene.close();
    await database.drop();
  });

  it('keep a hole until COMMIT PREPARED, which delivers it', async () => {
    await scene.query(`commit prepared '${gid}'`);
    expect(await scene.fence()).toBe(0);
    expect(await scene.take()).toEqual(['slow']);
  });

  it('keep a hole until ROLLBACK PREPARED, which lets it go', async () => {
    await scene.query(`rollback prepared '${gid}'`);
    expect(await scene.fence()).toBe(1);
    expect((await scene.cursor()).holes).toBe('{}');
  });
});
