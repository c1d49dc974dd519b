import { servers, type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { type LaneScene, openScene, takeAndCommit } from './support/lane-scene.js';
import { openStore, type OpenStore } from './support/open-store.js';
import { ShiftedClock } from './support/shifted-clock.js';
import { begin } from './support/writers.js';

describe.each(servers())('news of the lanes on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;
  let other: OpenStore;
  const cursor = () => ({ subscriptionId: scene.subscriptionId, lane: 0 });
  const news = ({ store }: OpenStore) => store.cursors.news([scene.subscriptionId]);

  beforeEach(async () => {
    database = await createStoreDatabase(1, server);
    scene = await openScene(database.url);
    other = await openStore(database.url, { lanes: 1 });
  });

  afterEach(async () => {
    await Promise.all([scene.close(), other.close()]);
    await database.drop();
  });

  it('tell of what was committed, and nothing when all of it was read', async () => {
    expect(await news(scene)).toEqual([]);
    await scene.publish('a');
    expect(await news(scene)).toEqual([cursor()]);
    await scene.take();
    expect(await news(scene)).toEqual([]);
  });

  it('tell of a hole that turned up', async () => {
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    await scene.take();
    expect(await news(scene)).toEqual([]);
    await writer.commit();
    expect(await news(scene)).toEqual([cursor()]);
    expect(await scene.take()).toEqual(['slow']);
    expect(await news(scene)).toEqual([]);
  });

  it('tell again of what was taken in a transaction that was rolled back', async () => {
    await scene.publish('a');
    const tx = await begin(scene.store);
    expect((await scene.store.cursors.take(tx, cursor(), 10)).messages).toHaveLength(1);
    await tx.rollback();
    expect(await news(scene)).toEqual([cursor()]);
  });

  it('tell again of what another process had in hand and did not finish', async () => {
    await scene.publish('a');
    const mine = await begin(scene.store);
    await scene.store.cursors.take(mine, cursor(), 10);
    await mine.rollback();
    const theirs = await begin(other.store);
    expect((await other.store.cursors.take(theirs, cursor(), 10)).messages).toHaveLength(1);
    expect((await takeAndCommit(scene, scene.subscriptionId, { limit: 10 })).messages).toEqual([]);
    await theirs.rollback();
    expect(await news(scene)).toEqual([cursor()]);
    expect(await scene.take()).toEqual(['a']);
  });

  it('tell again of what was leased and given back', async () => {
    await scene.publish('a');
    const lease = await scene.store.cursors.lease(cursor(), 1, 10_000);
    expect(lease?.messages).toHaveLength(1);
    await lease?.release();
    expect(await news(scene)).toEqual([cursor()]);
  });

  it('tell of what is unread after a fail-over to an older state', async () => {
    await scene.publish('a', 'b', 'c');
    await scene.take();
    expect(await news(scene)).toEqual([]);
    await scene.query('delete from holdfast_outbox where id > 2');
    await scene.query('update holdfast_cursor set position = 1');
    await news(scene);
    expect(await news(scene)).toEqual([cursor()]);
  });

  it('tell within seconds of what was read in a move that a crash of the server has undone', async () => {
    const clock = new ShiftedClock();
    const reader = await openStore(database.url, { lanes: 1, clock });
    await scene.publish('a');
    expect((await takeAndCommit(reader, scene.subscriptionId, { limit: 10 })).messages).toHaveLength(1);
    await takeAndCommit(reader, scene.subscriptionId, { limit: 10 });
    expect(await news(reader)).toEqual([]);
    await scene.query('update holdfast_cursor set position = position - 1');
    clock.aheadMs = 10_001;
    expect(await news(reader)).toEqual([cursor()]);
    await reader.close();
  });

  it('tell of it at once when the server has begun another life', async () => {
    // What PostgreSQL would answer after a start.
    await scene.query(`create table life as select now() as at`);
    await scene.query(`create function pg_postmaster_start_time() returns timestamptz stable language sql as 'select at from public.life'`);
    await scene.query(`do $$ begin execute format('alter database %I set search_path = public, pg_catalog', current_database()); end $$`);
    const reader = await openStore(database.url, { lanes: 1 });
    await scene.publish('a');
    await takeAndCommit(reader, scene.subscriptionId, { limit: 10 });
    await takeAndCommit(reader, scene.subscriptionId, { limit: 10 });
    expect(await news(reader)).toEqual([]);
    await scene.query('update holdfast_cursor set position = position - 1');
    await scene.query(`update life set at = at + interval '1 second'`);
    expect(await news(reader)).toEqual([cursor()]);
    await reader.close();
  });

  it('are looked for anew by refresh, which leaves out what another process has read', async () => {
    await scene.publish('a');
    expect(await news(other)).toEqual([cursor()]);
    await scene.take();
    expect(await other.store.cursors.refresh([cursor()])).toEqual([]);
    await scene.publish('b');
    expect(await other.store.cursors.refresh([cursor()])).toEqual([cursor()]);
    expect(await other.store.cursors.refresh([])).toEqual([]);
  });

  it('always tell of a cursor with more holes than a poll can look up', async () => {
    const writer = await scene.inFlight(...Array.from({ length: 100 }, (_, i) => `${i}`));
    await scene.publish('quick');
    await scene.take();
    expect(await news(scene)).toEqual([cursor()]);
    await writer.rollback();
    expect(await scene.fence()).toBe(100);
    await scene.take();
    expect(await news(scene)).toEqual([]);
  });
});
