import type { Case } from '../runner/bench.js';
import { ratioAtLeast } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import type { KeyOf, NestShop } from '../shop/nest-shop.js';
import { allPaid, rate } from '../shop/shop.js';
import { fill, handIn, oursIn, type Side } from '../shop/side.js';

const UNIT = 'messages/s';
const BATCH = 64;

/** Consuming alone from a full log, in batches, against the same loop by hand. */
export const consuming: Case = {
  name: 'consuming',
  async run(bench) {
    const count = bench.size(20_000, 4000);
    const ours = await oursIn(bench, { payments: { batchSize: BATCH } });
    const hand = await handIn(bench);
    const byHand = async () => {
      await fill(count, (orders) => hand.shop.placeAll(orders));
      hand.orders += count;
      return rate(count, performance.now(), () => hand.shop.drain(BATCH));
    };
    const measured = await alternate(bench.size(7, 3), () => drain(ours, count, ({ id }) => id), byHand);
    await ours.end();
    await hand.end();
    return [ratioAtLeast(0.6, { name: 'consuming from a full log, batchSize 64', unit: UNIT, ...measured })];
  },
};

/** One key that gets everything, in order, against messages without a key. */
export const hotKey: Case = {
  name: 'hot-key',
  async run(bench) {
    const count = bench.size(20_000, 4000);
    const hot = await oursIn(bench, { payments: { batchSize: BATCH, ordering: 'key' } });
    const keyless = await oursIn(bench, { payments: { batchSize: BATCH } });
    const measured = await alternate(
      bench.size(5, 3),
      () => drain(hot, count, () => 'hot'),
      () => drain(keyless, count, () => undefined),
    );
    await hot.end();
    await keyless.end();
    return [ratioAtLeast(0.5, { name: "one hot key, ordering 'key', batchSize 64, against keyless", unit: UNIT, ...measured })];
  },
};

/** Fills the log while the subscription is paused, then measures how fast it is worked off. */
export async function drain(side: Side<NestShop>, count: number, keyOf: KeyOf): Promise<number> {
  const { shop, ledger } = side;
  await shop.pause();
  const [handled, paid] = [shop.handled + count, (await ledger.payments()) + count];
  await fill(count, (orders) => shop.placeAll(orders, keyOf));
  side.orders += count;
  const startedMs = performance.now();
  await shop.resume();
  return rate(count, startedMs, () => allPaid(shop, ledger, { handled, paid }));
}
