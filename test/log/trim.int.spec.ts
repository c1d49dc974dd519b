import { setTimeout as sleep } from 'node:timers/promises';
import { createStoreDatabase, ears, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { armFailpoint } from '@holdfast/core';
import { HandRelay } from './support/hand-relay.js';
import { keysOf, type LaneScene, openScene, takeAndCommit } from './support/lane-scene.js';

const DAY_MS = 86_400_000;
const BY = { by: 'test' };

describe.each(servers())('trimming on $name', (server) => {
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

  const trim = (retentionMs = 0) => scene.store.upkeep.trim(retentionMs);
  const ids = async () => (await scene.query<{ id: string }>('select id from holdfast_outbox order by id')).map(({ id }) => Number(id));
  const trimmedTo = async () => Number((await scene.query<{ to: string }>('select trimmed_to as to from holdfast_lane'))[0]?.to);

  it('deletes what every reader has passed, remembers how far, and tells it', async () => {
    const told = hear('lane:trimmed');
    await scene.publish('a', 'b', 'c');
    expect(await trim()).toBe(0);
    await scene.take(2);
    expect(await trim()).toBe(2);
    expect(await ids()).toEqual([3]);
    expect(await trimmedTo()).toBe(2);
    expect(await scene.take()).toEqual(['c']);
    expect(await trim()).toBe(1);
    expect(await trimmedTo()).toBe(3);
    expect(await trim()).toBe(0);
    expect(told).toEqual([
      { lane: 0, count: 2, trimmedTo: 2n },
      { lane: 0, count: 1, trimmedTo: 3n },
    ]);
  });

  it('keeps rows as long as the retention says, and all behind the first young one', async () => {
    await scene.publish('a', 'b', 'c', 'd');
    await scene.take();
    expect(await trim(DAY_MS)).toBe(0);
    await scene.query(`update holdfast_outbox set written_at = written_at - interval '25 hours' where id in (1, 2, 4)`);
    expect(await trim(DAY_MS)).toBe(2);
    expect(await ids()).toEqual([3, 4]);
  });

  it('never passes the first hole of a cursor: its row may still turn up', async () => {
    await scene.publish('a');
    const writer = await scene.inFlight('slow');
    await scene.publish('b');
    await scene.take();
    expect(await trim()).toBe(1);
    expect(await ids()).toEqual([3]);
    await writer.commit();
    expect(await trim()).toBe(0);
    expect(await scene.take()).toEqual(['slow']);
    expect(await trim()).toBe(2);
  });

  it('never passes the relay, nor the first hole of the relay', async () => {
    await scene.publish('a');
    const writer = await scene.inFlight('slow');
    await scene.publish('b', 'c');
    await scene.take();
    await writer.commit();
    await scene.take();
    const relay = await HandRelay.of(scene);
    const [batch] = await relay.read();
    expect(await trim()).toBe(0);
    await relay.advance({ ...batch!, rows: batch!.rows.filter(({ id }) => id !== 2n) }, 2);
    expect(await trim()).toBe(1);
    const [late] = await relay.read();
    expect(late?.rows.map(({ id }) => id)).toEqual([2n, 4n]);
    await relay.advance(late!, 2);
    expect(await trim()).toBe(3);
  });

  it('keeps what a relay has not sent, also when it has never sent anything', async () => {
    await scene.store.subscriptions.setState('orders.reader', 'paused', BY);
    await scene.query('delete from holdfast_cursor');
    const relay = await HandRelay.of(scene);
    expect(await relay.read()).toEqual([]);
    await scene.publish('a');
    expect(await trim()).toBe(0);
    const [batch] = await relay.read();
    expect(await relay.advance(batch!, 1)).toBe(true);
    expect(await trim()).toBe(1);
  });

  it('waits for a paused subscription, and not for a retired one', async () => {
    await scene.publish('a');
    await scene.store.subscriptions.setState('orders.reader', 'paused', BY);
    expect(await trim()).toBe(0);
    await scene.store.nodes.leave(scene.nodeId);
    await scene.store.subscriptions.setState('orders.reader', 'retired', BY);
    expect(await trim()).toBe(1);
  });

  it('deletes a bounded number of rows at a time', async () => {
    await scene.query(
      `insert into holdfast_outbox (lane, id, type, attributes, body) select 0, g, 't', '{}', '' from generate_series(1, 2500) g`,
    );
    await scene.query('update holdfast_cursor set position = 2500');
    expect([await trim(), await trim(), await trim(), await trim()]).toEqual([1000, 1000, 500, 0]);
  });

  it('forgets verdicts on ids it has passed', async () => {
    await scene.rollBack('dead');
    await scene.publish('a');
    await scene.rollBack('dead too');
    await scene.publish('b');
    await scene.take();
    expect(await scene.fence()).toBe(2);
    const dead = async () => (await scene.query<{ dead: string }>('select dead::text from holdfast_lane'))[0]?.dead;
    expect(await dead()).toBe('{[1,2),[3,4)}');
    expect(await trim()).toBe(2);
    expect(await dead()).toBe('{}');
  });

  it('goes on behind dead ids at the end of what it may delete', async () => {
    await scene.publish('a');
    await scene.rollBack('dead');
    await scene.publish('b');
    await scene.take();
    await scene.fence();
    await scene.publish('c');
    expect(await trim()).toBe(2);
    expect(await ids()).toEqual([4]);
    expect(await scene.take()).toEqual(['c']);
  });

  it('leaves a lane alone while a cursor is being made there', async () => {
    await scene.publish('a', 'b');
    await scene.take();
    const maker = await scene.inFlight();
    await maker.run({ text: 'select lane from holdfast_lane order by lane for share' });
    expect(await trim()).toBe(0);
    await maker.rollback();
    expect(await trim()).toBe(2);
  });

  it('is over before a cursor is made that would begin with a row that is going', async () => {
    await scene.publish('a', 'b', 'c');
    await scene.take(2);
    const [late] = (await scene.register('orders.reader', 'orders.late')).slice(1);
    const trimmer = await scene.inFlight();
    await trimmer.run({ text: 'select from holdfast_lane where lane = 0 for update' });
    await trimmer.run({ text: 'delete from holdfast_outbox where id <= 2' });
    await trimmer.run({ text: 'update holdfast_lane set trimmed_to = 2' });
    const made = scene.store.cursors.create(late!, 'earliest');
    await sleep(200);
    await trimmer.commit();
    await made;
    expect(await scene.query('select position::int, holes::text from holdfast_cursor where subscription_id = $1', [late])).toEqual([
      { position: 2, holes: '{}' },
    ]);
    expect(keysOf(await takeAndCommit(scene, late!, { limit: 10 }))).toEqual(['c']);
  });

  it('undoes itself when it is cut off in the middle', async () => {
    await scene.publish('a', 'b');
    await scene.take();
    armFailpoint('trim:after-delete', 'throw');
    await expect(trim()).rejects.toThrow('trim:after-delete');
    expect(await ids()).toEqual([1, 2]);
    expect(await trimmedTo()).toBe(0);
    expect(await trim()).toBe(2);
  });
});
