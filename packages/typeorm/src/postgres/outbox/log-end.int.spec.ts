import { createStoreDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { systemClock } from '@holdfast/core';
import { type LaneScene, openScene } from '../../../../../test/log/support/lane-scene.js';
import { SteeredPool } from '../../../../../test/log/support/steered-pool.js';
import { Tables } from '../schema/tables.js';
import { LaneMarks } from './lane-marks.js';
import { LogEnd } from './log-end.js';

describe('a log that was moved', () => {
  let database: TestDatabase;
  let scene: LaneScene;
  let pool: SteeredPool;
  let end: LogEnd;
  const isClosed = async () => (await scene.query<{ is_log_closed: boolean }>('select is_log_closed from holdfast_lane'))[0]?.is_log_closed;

  beforeEach(async () => {
    database = await createStoreDatabase(1);
    scene = await openScene(database.url);
    pool = new SteeredPool(scene.dataSource);
    end = new LogEnd({
      service: 'orders',
      tables: new Tables(undefined),
      pool,
      clock: systemClock,
      marks: new LaneMarks(),
      firstLanes: new Map(),
      lanes: 1,
      nodeId: scene.nodeId,
    });
    await pool.transaction((sql) => sql.run(end.setting()));
    await end.raise();
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  // The sequences and the transactions that hold them are each looked at once.
  it.each([
    ['all was read from', ['before', 'before']],
    ['its sequences were read from', ['before']],
  ])('is not closed on a server other than the one that %s', async (_, lives) => {
    pool.lives.push(...lives);
    expect(await end.close()).toBe(true);
    expect(await isClosed()).toBe(false);
    await end.close();
    expect(await isClosed()).toBe(true);
  });
});
