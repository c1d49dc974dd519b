import { servers, type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { systemClock, type Taken } from '@holdfast/core';
import { keysOf, type LaneScene, openScene, takeAndCommit } from './support/lane-scene.js';
import { rowOf } from './support/messages.js';
import { openStore, type OpenStore } from './support/open-store.js';
import { RawTransaction } from './support/raw-transaction.js';
import { begin } from './support/writers.js';

const LOST = expect.objectContaining({ code: 'HF_LEASE_LOST' });

describe.each(servers())('what was read ahead on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;
  let other: OpenStore;
  let nowMs: number;
  const cursor = () => ({ subscriptionId: scene.subscriptionId, lane: 0 });
  const one = (process: OpenStore = scene): Promise<Taken> => takeAndCommit(process, scene.subscriptionId, { limit: 1 });
  const key = async (process: OpenStore = scene): Promise<string | undefined> => keysOf(await one(process))[0];
  /** From memory, or looked up. */
  const isAhead = ({ confirm }: Taken): boolean => confirm !== undefined;

  beforeEach(async () => {
    database = await createStoreDatabase(1, server);
    nowMs = 0;
    scene = await openScene(database.url, { clock: { ...systemClock, monotonicMs: () => nowMs } });
    other = await openStore(database.url, { lanes: 1 });
  });

  afterEach(async () => {
    await Promise.all([scene.close(), other.close()]);
    await database.drop();
  });

  it('is handed over one by one, and then looked for again', async () => {
    await scene.publish('a', 'b', 'c');
    const taken = [await one(), await one(), await one(), await one()];
    expect(taken.map((each) => keysOf(each))).toEqual([['a'], ['b'], ['c'], []]);
    expect(taken.map(isAhead)).toEqual([false, true, true, false]);
    expect(taken.map(({ hasMore }) => hasMore)).toEqual([true, true, true, false]);
    expect(await scene.cursor()).toEqual({ position: 3, holes: '{}' });
  });

  it('grows older while it waits', async () => {
    await scene.publish('a', 'b');
    await one();
    nowMs += 900;
    const { messages } = await one();
    expect(messages[0]?.ageMs).toBeGreaterThan(900);
  });

  it('is ours with the first statement after it', async () => {
    await scene.publish('a', 'b', 'c');
    await one();
    const mine = await begin(scene.store);
    const { confirm } = await scene.store.cursors.take(mine, cursor(), 1);
    await confirm?.();
    expect(await key(other)).toBeUndefined();
    await mine.commit();
    expect(await key(other)).toBe('c');
  });

  it('is refused where another process has moved on, and nothing of the transaction is run', async () => {
    await scene.publish('a', 'b', 'c');
    await one();
    expect(await key(other)).toBe('b');
    await scene.query('create table effect (id integer)');
    const mine = await begin(scene.store);
    const { messages } = await scene.store.cursors.take(mine, cursor(), 1);
    const sql = mine as unknown as { run(statement: object): Promise<unknown> };
    const effect = await sql.run({ text: 'insert into effect values ($1)', values: [1] }).catch((error: unknown) => error);
    await mine.rollback();
    expect(keysOf({ messages })).toEqual(['b']);
    expect(effect).toEqual(LOST);
    expect(await scene.query('select * from effect')).toEqual([]);
    expect(await key()).toBe('c');
  });

  it('is refused while another process has the lane', async () => {
    await scene.publish('a', 'b');
    await one();
    const theirs = await begin(other.store);
    expect(keysOf(await other.store.cursors.take(theirs, cursor(), 1))).toEqual(['b']);
    await expect(one()).rejects.toEqual(LOST);
    expect(await key()).toBeUndefined();
    await theirs.rollback();
    expect(await key()).toBe('b');
  });

  it('is refused, and waits for nobody, while another process moves the lane', async () => {
    await scene.publish('a', 'b');
    await one();
    const theirs = await RawTransaction.open(database.url);
    await theirs.run({ text: 'update holdfast_cursor set moved_at = clock_timestamp()' });
    await expect(one()).rejects.toEqual(LOST);
    expect(await key()).toBeUndefined();
    await theirs.rollback();
    expect(await key()).toBe('b');
  });

  it('is refused when the cursor is gone', async () => {
    await scene.publish('a', 'b');
    await one();
    await scene.query('delete from holdfast_cursor');
    const mine = await begin(scene.store);
    const { confirm } = await scene.store.cursors.take(mine, cursor(), 1);
    await expect(confirm?.()).rejects.toEqual(LOST);
    await mine.rollback();
  });

  it('is refused when another process has read a row that turned up in a hole', async () => {
    const slow = await scene.inFlight('slow 1', 'slow 2');
    await scene.publish('quick');
    expect(await key()).toBe('quick');
    await slow.commit();
    await scene.publish('later');
    expect(await key()).toBe('slow 1');
    expect(await key(other)).toBe('slow 2');
    await expect(one()).rejects.toEqual(LOST);
    expect(await key()).toBe('later');
    expect(await scene.cursor()).toEqual({ position: 4, holes: '{}' });
  });

  it('is refused once the subscription is paused', async () => {
    await scene.publish('a', 'b');
    await one();
    await scene.query(`update holdfast_subscription set state = 'paused'`);
    await expect(one()).rejects.toEqual(LOST);
    expect(await key()).toBeUndefined();
  });

  it('leaves holes written off that were written off meanwhile', async () => {
    const slow = await scene.inFlight('slow');
    await scene.publish('a', 'b', 'c');
    expect(await key()).toBe('a');
    expect((await scene.cursor()).holes).toBe('{[1,2)}');
    await slow.rollback();
    expect(await scene.fence()).toBe(1);
    const taken = await one();
    expect([keysOf(taken), isAhead(taken)]).toEqual([['b'], true]);
    expect(await scene.cursor()).toEqual({ position: 3, holes: '{}' });
  });

  it('makes holes of the gaps that the look had shown, so that what turns up in them is found', async () => {
    await scene.publish('a');
    const slow = await scene.inFlight('slow');
    await scene.publish('b');
    expect(await key()).toBe('a');
    const taken = await one();
    expect([keysOf(taken), isAhead(taken)]).toEqual([['b'], true]);
    expect((await scene.cursor()).holes).toBe('{[2,3)}');
    await slow.commit();
    expect(await key()).toBe('slow');
  });

  it('is forgotten when the take before it is rolled back', async () => {
    await scene.publish('a', 'b');
    const mine = await begin(scene.store);
    await scene.store.cursors.take(mine, cursor(), 1);
    await mine.rollback();
    const taken = await one();
    expect([keysOf(taken), isAhead(taken)]).toEqual([['a'], false]);
    const again = await begin(scene.store);
    expect(keysOf(await scene.store.cursors.take(again, cursor(), 1))).toEqual(['b']);
    await again.rollback();
    const last = await one();
    expect([keysOf(last), isAhead(last)]).toEqual([['b'], false]);
  });

  it('is not suspect because the message before it was', async () => {
    await scene.publish('a', 'b', 'c');
    await scene.query('update holdfast_subscription set last_death_at = clock_timestamp()');
    const taken = [await one(), await one(), await one()];
    expect(taken.map(({ isSuspect }) => isSuspect)).toEqual([true, false, false]);
  });

  it('is not suspect because a process died while the message before it was long in work', async () => {
    await scene.publish('a', 'b', 'c');
    await one();
    const mine = await begin(scene.store);
    const { confirm } = await scene.store.cursors.take(mine, cursor(), 1);
    await confirm?.();
    await scene.query('update holdfast_subscription set last_death_at = clock_timestamp()');
    nowMs += 200;
    await mine.commit();
    const { isSuspect, messages } = await one();
    expect([isSuspect, keysOf({ messages })]).toEqual([false, ['c']]);
  });

  it('is refused when a process has died since', async () => {
    await scene.publish('a', 'b');
    await one();
    await scene.query('update holdfast_subscription set last_death_at = clock_timestamp()');
    await expect(one()).rejects.toEqual(LOST);
    expect((await one()).isSuspect).toBe(true);
  });

  it('is refused when the server has lost a take that had only filled a hole', async () => {
    const slow = await scene.inFlight('first', 'second');
    await scene.publish('above');
    await one();
    const { position, holes } = await scene.cursor();
    await slow.commit();
    await scene.publish('later');
    expect(await key()).toBe('first');
    // As a fail-over to a standby that had not heard of that commit leaves it.
    await scene.query('update holdfast_cursor set position = $1, holes = $2::int8multirange', [position, holes]);
    await expect(one()).rejects.toEqual(LOST);
    expect([await key(), await key(), await key()]).toEqual(['first', 'second', 'later']);
  });

  it('knows of deliveries that were stored since', async () => {
    await scene.publish('a', 'b', 'c');
    expect((await one()).hasStored).toBe(false);
    await scene.query(
      `insert into holdfast_delivery (subscription_id, state, type, attributes, body, next_attempt_at) values ($1, 'dead', 'test.happened', '{}', '', clock_timestamp())`,
      [scene.subscriptionId],
    );
    const taken = await one();
    expect([isAhead(taken), taken.hasStored]).toEqual([true, true]);
  });

  it('is forgotten after a second', async () => {
    await scene.publish('a', 'b');
    await one();
    nowMs += 1001;
    const taken = await one();
    expect([keysOf(taken), isAhead(taken)]).toEqual([['b'], false]);
  });

  it('is no more than 64 KiB of a lane', async () => {
    const tx = await begin(scene.store);
    const rows = ['a', 'b', 'c'].map((name) =>
      rowOf({ id: '00000000-0000-7000-8000-000000000000', key: name, n: 1 }, { body: Buffer.alloc(40_000) }),
    );
    await scene.store.log.append(tx, rows);
    await tx.commit();
    const taken = [await one(), await one(), await one()];
    expect(taken.map((each) => keysOf(each))).toEqual([['a'], ['b'], ['c']]);
    expect(taken.map(isAhead)).toEqual([false, true, false]);
  });
});
