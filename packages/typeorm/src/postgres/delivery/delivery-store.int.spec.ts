import { type DeliveryRecord, type Intake, type Lease, systemClock } from '@holdfast/core';
import { type BlackHole, createStoreDatabase, eventually, openBlackHole, pause, type TestDatabase } from '@holdfast-internal/test-support';
import { openStore, type OpenStore } from '../../../../../test/log/support/open-store.js';
import { begin } from '../../../../../test/log/support/writers.js';

/** Stored deliveries that wait. */
const COUNT = 8;

describe('stored deliveries in PostgreSQL', () => {
  let database: TestDatabase;
  let open: OpenStore;
  let subscriptionId: number;

  beforeEach(async () => {
    database = await createStoreDatabase(8);
    open = await openStore(database.url);
    [subscriptionId] = (await open.register('orders.reader')) as [number];
    // As autovacuum finds it now and then. A planner that expects one row looks for the first one again for each row there is, and finds another each time.
    await open.query(`update pg_class set relpages = 1, reltuples = 0 where relname = 'holdfast_delivery'`);
  });

  afterEach(async () => {
    await open.close();
    await database.drop();
  });

  async function stored(isSuspect: boolean): Promise<void> {
    const tx = await begin(open.store);
    const records = Array.from({ length: COUNT }, (_, n) => recordOf(`${n}`, isSuspect));
    await open.store.deliveries.record(tx, records);
    await tx.commit();
  }

  function recordOf(id: string, isSuspect: boolean): DeliveryRecord {
    const message = { type: 't', attributes: '{}', body: Buffer.from('{}'), place: id, lane: 0, writtenAt: undefined, attempts: 0 };
    return {
      subscriptionId,
      message: { ...message, isRedelivery: false, hasConsent: false, deliveryId: undefined },
      identity: { source: 'orders', id },
      key: undefined,
      state: 'retry',
      attempts: 1,
      delayMs: 0,
      failure: undefined,
      isSuspect,
    };
  }

  async function due(): Promise<number | undefined> {
    const [row] = await open.query<{ n: number }>(
      'select count(*)::int as n from holdfast_delivery where next_attempt_at <= clock_timestamp()',
    );
    return row?.n;
  }

  it('are counted one at a time', async () => {
    await stored(true);
    await open.store.deliveries.countSuspect(subscriptionId, 60_000);
    expect(await due()).toBe(COUNT - 1);
  });

  it('are leased one at a time', async () => {
    await stored(false);
    await open.store.deliveries.intake(subscriptionId).lease(1, 60_000);
    expect(await due()).toBe(COUNT - 1);
  });

  describe('when an answer is lost', () => {
    let way: BlackHole;
    let far: OpenStore;

    beforeEach(async () => {
      way = await openBlackHole(database.url);
      far = await openStore(way.url, { poolSize: 1 });
    });

    afterEach(async () => {
      await far.close();
      await way.close();
    });

    /** Does something that comes to the server, while its answer does not come back. */
    async function unheard(work: () => Promise<unknown>): Promise<void> {
      const read = async () => (await open.query<{ at: string }>('select max(next_attempt_at)::text as at from holdfast_delivery'))[0]?.at;
      const before = await read();
      // What is muted is the connections that are open.
      await far.query('select 1');
      way.mute();
      const failure = expect(work()).rejects.toThrow();
      await eventually(read, (at) => at !== before);
      way.cut();
      await failure;
    }

    /** The same, when it does not even come to the server. */
    async function unsaid(work: () => Promise<unknown>): Promise<void> {
      await far.query('select 1');
      way.swallow();
      const failure = expect(work()).rejects.toThrow();
      way.cut();
      await failure;
    }

    it.each([
      ['a lease', async ({ store }: OpenStore) => (await store.deliveries.intake(subscriptionId).lease(1, 60_000)) as Lease, false],
      [
        'a counted one',
        async ({ store }: OpenStore) => {
          const counted = (await store.deliveries.countSuspect(subscriptionId, 50_000)) as Intake;
          return (await counted.lease(1, 60_000)) as Lease;
        },
        true,
      ],
    ] as const)('to a renewal of %s, it is renewed, finished and given back all the same', async (_, lease, isSuspect) => {
      await stored(isSuspect);
      const kept = await lease(far);
      await unheard(() => kept.renew());
      await unheard(() => kept.renew());
      await unsaid(() => kept.renew());
      await kept.finish(undefined);
      await kept.renew();
      await kept.finish(undefined);
      expect(await due()).toBe(COUNT - 1);
      await unsaid(() => kept.renew());
      await kept.release();
      expect(await due()).toBe(COUNT);
      await expect(kept.finish(undefined)).rejects.toMatchObject({ code: 'HF_LEASE_LOST' });
    });

    it('when a counted one was leased, it is given back without the count', async () => {
      await stored(true);
      const counted = (await far.store.deliveries.countSuspect(subscriptionId, 60_000)) as Intake;
      await unheard(() => counted.lease(1, 50_000));
      await counted.settle([], 'requeue');
      expect(await due()).toBe(COUNT);
      expect(await open.query('select distinct attempts from holdfast_delivery')).toEqual([{ attempts: 1 }]);
    });
  });

  it('are renewed for the whole term', async () => {
    await stored(false);
    const lease = (await open.store.deliveries.intake(subscriptionId).lease(1, 60_000)) as Lease;
    const left = async () =>
      (
        await open.query<{ ms: number }>(
          `select extract(epoch from max(next_attempt_at) - clock_timestamp())::float8 * 1000 as ms from holdfast_delivery`,
        )
      )[0]?.ms;
    await lease.renew();
    expect(await left()).toBeGreaterThan(50_000);
    expect(await left()).toBeLessThanOrEqual(60_000);
  });

  it('are renewed by the time of the database when the clock of the machine stood still', async () => {
    await stored(false);
    const still = await openStore(database.url, { clock: { ...systemClock, monotonicMs: () => 0 } });
    const lease = (await still.store.deliveries.intake(subscriptionId).lease(1, 1000)) as Lease;
    const end = async () => (await open.query<{ at: Date }>('select max(next_attempt_at) as at from holdfast_delivery'))[0]?.at.getTime();
    const before = (await end()) as number;
    await pause(1100);
    await lease.renew();
    expect(await end()).toBeGreaterThanOrEqual(before + 1000);
    await still.close();
  });
});
