import { borrowTestDatabase, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { type LaneScene, openScene } from './support/lane-scene.js';
import { openStore } from './support/open-store.js';

const SILENT_MS = 6000;

/** What was written before the database's clock was set back by an hour: its times lie an hour ahead of all that is written now. */
const BEFORE = `clock_timestamp() + interval '1 hour'`;

/** The most that each of these times lies ahead when it is written. */
const MOST = {
  cursor: ['lease_until', '9 seconds'],
  parked: ['next_attempt_at', '60 seconds'],
  half_message: ['check_at', '5 seconds'],
} as const;

describe.each(servers())('times from before the clock was set back on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;

  beforeEach(async () => {
    database = await borrowTestDatabase(server);
    scene = await openScene(database.url);
    await scene.store.nodes.join(scene.nodeId, SILENT_MS);
    await scene.query(`update holdfast_cursor set lease_until = ${BEFORE}, owner_token = gen_random_uuid()`);
    await scene.query(`insert into holdfast_parked (lane, row_id, written_at, type, attributes, body, reason, next_attempt_at)
      values (0, 1, now(), 'test.happened', '{}', '', 'rejected', ${BEFORE}), (0, 2, now(), 'test.happened', '{}', '', 'rejected', now() + interval '50 seconds')`);
    await scene.query(`insert into holdfast_half_message (unit_id, ordinal, transport, type, attributes, body, check_at)
      values ('unit', 0, 'default', 'test.happened', '{}', '', ${BEFORE})`);
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  const late = async () => {
    const counts = Object.entries(MOST).map(
      async ([table, [column, most]]) =>
        (await scene.query(`select from holdfast_${table} where ${column} > clock_timestamp() + interval '${most}'`)).length,
    );
    return Promise.all(counts);
  };

  it('are brought near by the next heartbeat of whoever lived then, and those that are near stay', async () => {
    expect(await late()).toEqual([1, 1, 1]);
    await scene.store.nodes.heartbeat(scene.nodeId);
    expect(await late()).toEqual([1, 1, 1]);
    await scene.query(`update holdfast_node set seen_at = ${BEFORE}`);
    await scene.store.nodes.heartbeat(scene.nodeId);
    expect(await late()).toEqual([0, 0, 0]);
    const [kept] = await scene.query(
      `select from holdfast_parked where row_id = 2 and next_attempt_at > clock_timestamp() + interval '20 seconds'`,
    );
    expect(kept).toBeDefined();
  });

  it('are brought near by whoever comes after those who died then', async () => {
    const dead = await openStore(database.url, { lanes: 1 });
    await dead.store.nodes.join(dead.nodeId, SILENT_MS);
    await scene.query(`update holdfast_node set seen_at = ${BEFORE} where id = $1`, [dead.nodeId]);
    await scene.store.nodes.reap(scene.nodeId, SILENT_MS);
    expect(await late()).toEqual([0, 0, 0]);
    await dead.close();
  });

  it('are brought near by whoever begins when nobody is left', async () => {
    await scene.store.nodes.leave(scene.nodeId);
    await scene.store.nodes.join(scene.nodeId, SILENT_MS);
    expect(await late()).toEqual([0, 0, 0]);
  });

  it('do not take a lease away from whoever still has it', async () => {
    await scene.query('update holdfast_cursor set lease_until = null, owner_token = null');
    await scene.publish('a');
    const lease = await scene.store.cursors.lease({ subscriptionId: scene.subscriptionId, lane: 0 }, 1, 9000);
    await scene.query(`update holdfast_cursor set lease_until = ${BEFORE}`);
    await scene.query(`update holdfast_node set seen_at = ${BEFORE}`);
    await scene.store.nodes.heartbeat(scene.nodeId);
    expect(await late()).toEqual([0, 0, 0]);
    await lease?.renew();
    await lease?.finish(undefined);
    expect(await scene.cursor()).toMatchObject({ position: 1 });
  });
});
