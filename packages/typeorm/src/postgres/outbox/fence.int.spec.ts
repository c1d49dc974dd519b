import { servers, type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { systemClock } from '@holdfast/core';
import { type LaneScene, openScene } from '../../../../../test/log/support/lane-scene.js';
import { SteeredPool } from '../../../../../test/log/support/steered-pool.js';
import type { PostgresContext } from '../context.js';
import { Fence } from './fence.js';
import { LaneMarks } from './lane-marks.js';
import { Tables } from '../schema/tables.js';

const nothing = async () => undefined;

describe.each(servers())('a verdict of the fence on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;
  let pool: SteeredPool;
  let fence: Fence;

  beforeEach(async () => {
    database = await createStoreDatabase(1, server);
    scene = await openScene(database.url);
    pool = new SteeredPool(scene.dataSource);
    const context: PostgresContext = {
      service: 'orders',
      tables: new Tables(undefined),
      pool,
      clock: systemClock,
      marks: new LaneMarks(),
      firstLanes: new Map(),
      lanes: 1,
      nodeId: scene.nodeId,
    };
    fence = new Fence(context);
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  it('is not given against a writer that commits after the holes were read and before the holders are', async () => {
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    await scene.take();
    // The holes; the holders, of whom there are none any more; the verdict, which looks again.
    pool.before.push(nothing, () => writer.commit());
    expect(await fence.run()).toBe(0);
    expect(await scene.query('select dead::text from holdfast_lane')).toEqual([{ dead: '{}' }]);
    expect(await scene.take()).toEqual(['slow']);
  });

  it('names those that were rolled back among those that were committed meanwhile', async () => {
    const [one, two, three] = [await scene.inFlight('1'), await scene.inFlight('2'), await scene.inFlight('3')];
    await scene.publish('quick');
    await scene.take();
    expect(await fence.run()).toBe(0);
    pool.before.push(async () => {
      await one.commit();
      await two.rollback();
      await three.commit();
    });
    expect(await fence.run()).toBe(1);
    expect(await scene.query('select dead::text from holdfast_lane')).toEqual([{ dead: '{[2,3)}' }]);
    expect(await scene.take()).toEqual(['1', '3']);
  });

  it('is left to whoever has the lane, and given at the next look', async () => {
    const writer = await scene.inFlight('slow');
    await scene.publish('quick');
    await scene.take();
    await writer.rollback();
    const other = await scene.inFlight();
    await other.run({ text: `select pg_advisory_xact_lock(hashtextextended('holdfast:holdfast_lane/0', 0))` });
    expect(await fence.run()).toBe(0);
    await other.rollback();
    expect(await fence.run()).toBe(1);
  });

  it('does not count a hole that opened after the holders were read', async () => {
    const first = await scene.inFlight('1');
    await scene.publish('quick');
    await scene.take();
    expect(await fence.run()).toBe(0);
    const second = await scene.inFlight('3');
    await scene.publish('quick too');
    await scene.take();
    await first.rollback();
    expect(await fence.run()).toBe(1);
    expect(await fence.run()).toBe(0);
    await second.commit();
    expect(await scene.take()).toEqual(['3']);
  });

  it.each([
    ['all was read from', ['before', 'before']],
    ['the holes were read from', ['before']],
  ])('is not given by a server other than the one that %s', async (_, lives) => {
    await scene.rollBack('gone there');
    await scene.publish('quick');
    await scene.take();
    pool.lives.push(...lives);
    expect(await fence.run()).toBe(0);
    expect(await scene.query('select dead::text from holdfast_lane')).toEqual([{ dead: '{}' }]);
    expect(await fence.run()).toBe(1);
  });

  it('is not taken to the cursors of a server other than the one that gave it', async () => {
    await scene.rollBack('gone there');
    await scene.publish('quick');
    await scene.take();
    const other = await scene.inFlight();
    await other.run({ text: 'select from holdfast_cursor for update' });
    expect(await fence.run()).toBe(1);
    await other.rollback();
    // The holes; those of the relay; the verdicts.
    pool.lives.push(undefined, undefined, 'before');
    await fence.run();
    expect((await scene.cursor()).holes).toBe('{[1,2)}');
    await fence.run();
    expect((await scene.cursor()).holes).toBe('{}');
  });

  it('is given by looks whose sessions have different time zones', async () => {
    const first = await scene.inFlight('1');
    await scene.publish('quick');
    await scene.take();
    expect(await fence.run()).toBe(0);
    const second = await scene.inFlight('3');
    await first.rollback();
    pool.zone = 'Asia/Tokyo';
    expect(await fence.run()).toBe(1);
    await second.rollback();
  });

  it('is kept, of the newest, up to a bound', async () => {
    await scene.query(
      `insert into holdfast_outbox (lane, id, type, key, attributes, body) select 0, 2 * g, 'test.happened', '', '{}', '' from generate_series(1, 1500) g`,
    );
    await scene.query(`select setval('holdfast_lane_0', 3000)`);
    for (let more = true; more; ) {
      const { length } = await scene.take(1000);
      const written = await fence.run();
      more = length > 0 || written > 0;
    }
    const [lane] = await scene.query<{ n: string; low: string }>(
      `select (select count(*) from unnest(dead) r) as n, lower(dead) as low from holdfast_lane`,
    );
    expect(lane).toEqual({ n: '1000', low: '1001' });
    expect((await scene.cursor()).holes).toBe('{}');
  });
});
