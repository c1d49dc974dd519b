import { borrowTestDatabase, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { systemClock } from '@holdfast/core';
import { type LaneScene, openScene } from '../../../../../test/log/support/lane-scene.js';
import { connectRaw } from '../../unit-of-work/connections.js';
import type { PostgresContext } from '../context.js';
import { Fence } from './fence.js';
import { LaneMarks } from './lane-marks.js';
import { Tables } from '../schema/tables.js';
import { type RawConnection, type SqlResult, type SqlRunner, SqlPool, type Statement } from '../sql/sql.js';

/** A pool that lets a test do something between two statements of the fence. */
class PausingPool extends SqlPool {
  readonly before: (() => Promise<unknown>)[] = [];

  override async run<Row>(statement: Statement): Promise<SqlResult<Row>> {
    await this.before.shift()?.();
    return super.run<Row>(statement);
  }

  override async transaction<T>(work: (sql: SqlRunner) => Promise<T>): Promise<T> {
    await this.before.shift()?.();
    return super.transaction(work);
  }
}

const nothing = async () => undefined;

describe.each(servers())('a verdict of the fence on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;
  let pool: PausingPool;
  let fence: Fence;

  beforeEach(async () => {
    database = await borrowTestDatabase(server);
    scene = await openScene(database.url);
    pool = new PausingPool(() => connectRaw(scene.dataSource) as Promise<RawConnection>, true);
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
