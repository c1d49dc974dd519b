import { systemClock } from '@holdfast/core';
import { DataSource } from 'typeorm';
import { openScene, type Scene, sentenceOf } from '../../../../test/e2e/bad-input/support/scene.js';
import { connectRaw } from '../unit-of-work/connections.js';
import type { PostgresContext } from './context.js';
import { LaneMarks } from './outbox/lane-marks.js';
import { Tables } from './schema/tables.js';
import { assertSequenceLock, assertServer } from './server-checks.js';
import { type RawConnection, type SqlResult, type SqlRunner, SqlPool } from './sql/sql.js';

const FIX =
  'Use a PostgreSQL server whose nextval() shows its lock in pg_locks, reached directly or through a pool in session or transaction mode.';

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
  const first = scene.bus();
  await first.start();
  await first.stop();
});
afterEach(() => scene.close());

const start = () => sentenceOf(() => scene.bus().start());
const poolOf = (dataSource: DataSource) => new SqlPool(() => connectRaw(dataSource) as Promise<RawConnection>, true);

describe('a start is refused', () => {
  it('when the sequence of a lane caches numbers, and not when it is put right', async () => {
    await scene.look('alter sequence holdfast_lane_1 cache 5');
    expect(await start()).toBe(
      `HF_STORE_SEQUENCE_LOCK: The self-test of lane numbers failed: lane 1: its sequence caches 5 numbers, so ids would not be drawn in order; use CACHE 1. ${FIX}`,
    );
    await scene.look('alter sequence holdfast_lane_1 cache 1');
    await scene.bus().start();
  });

  it('when the sequence of a lane is missing', async () => {
    await scene.look('drop sequence holdfast_lane_0');
    expect(await start()).toBe(`HF_STORE_SEQUENCE_LOCK: The self-test of lane numbers failed: lane 0: its sequence is missing. ${FIX}`);
  });

  it('when a lane is missing', async () => {
    await scene.look('delete from holdfast_lane where lane = 1');
    expect(await start()).toBe(
      'HF_STORE_LANES_DIFFER: The tables were made with 1 lanes, asked for are 2. Leave the option out: the number of lanes is fixed by the first migration.',
    );
  });
});

describe('the self-test of the lock', () => {
  /** What a pool between us and the server does in statement mode: each statement is a transaction of its own. */
  class StatementMode extends SqlPool {
    override transaction<T>(work: (sql: SqlRunner) => Promise<T>): Promise<T> {
      return work(this);
    }
  }
  const contextOver = (pool: SqlPool): PostgresContext => ({
    service: 'shop',
    tables: new Tables(undefined),
    pool,
    clock: systemClock,
    marks: new LaneMarks(),
    firstLanes: new Map(),
    lanes: 2,
    nodeId: 'node',
  });

  it('is passed by the server itself', async () => {
    await assertSequenceLock(contextOver(poolOf(scene.dataSource)));
  });

  it('is failed by a pool in statement mode, where the lock is gone before anybody looks', async () => {
    const pool = new StatementMode(() => connectRaw(scene.dataSource) as Promise<RawConnection>, true);
    expect(await sentenceOf(() => assertSequenceLock(contextOver(pool)))).toBe(
      `HF_STORE_SEQUENCE_LOCK: The self-test of lane numbers failed: a transaction that had drawn a number was not seen to lock the sequence, so rolled-back messages could not be told from slow ones. ${FIX}`,
    );
  });
});

describe('a server', () => {
  /** A server that says this of itself. */
  class Saying extends SqlPool {
    constructor(private readonly row: { version: string; standby: boolean }) {
      super(() => Promise.reject(new Error('there is no connection')), true);
    }
    override async run<Row>(): Promise<SqlResult<Row>> {
      return { rows: [this.row as Row], rowCount: 1 };
    }
  }
  const shop = new DataSource({ type: 'postgres', url: 'postgres://localhost/shop' });
  const check = (version: string, standby: boolean) => sentenceOf(() => assertServer(new Saying({ version, standby }), shop));

  it('that is too old is refused', async () => {
    expect(await check('130014', false)).toBe(
      'HF_STORE_UNSUPPORTED: PostgreSQL 130014 cannot be the store: the log needs multiranges, which came with PostgreSQL 14. Use PostgreSQL 14 or newer; nothing else is supported yet.',
    );
  });

  it('that is a standby is refused, naming the database', async () => {
    expect(await check('160004', true)).toBe(
      'HF_STORE_NOT_PRIMARY: The database shop is a standby that takes no writes. Connect to the primary; during a fail-over this passes by itself.',
    );
  });
});
