import type { DeliveryRecord } from '@holdfast/core';
import { type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
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
});
