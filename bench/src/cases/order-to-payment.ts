import type { HandShop } from '../hand/hand-shop.js';
import { HandTypeormShop } from '../hand/hand-typeorm-shop.js';
import type { Case } from '../runner/bench.js';
import { ratioAtLeast, told } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { placeAndPay, type Shop } from '../shop/shop.js';
import { handIn, oursIn, type Side } from '../shop/side.js';

const UNIT = 'orders/s';
/** Placed before each round, so that connections and statements are warm. */
const WARM_UP = 200;

/** The main case: a message a transaction, 32 callers, order and payment in one process, against the same by hand. */
export const orderToPayment: Case = {
  name: 'order-to-payment',
  async run(bench) {
    const count = bench.size(6000, 1500);
    const ours = await oursIn(bench, { payments: {} });
    const hand = await handIn(bench);
    const measured = await alternate(
      bench.size(7, 3),
      () => round(ours, count),
      () => handRound(hand, count),
    );
    await ours.end();
    await hand.end();
    return [ratioAtLeast(0.8, { name: 'order → payment, one message a transaction, 32 callers', unit: UNIT, ...measured })];
  },
};

/** How much of the distance is TypeORM: the reference within its transactions, against the reference on plain pg. */
export const orderToPaymentTypeorm: Case = {
  name: 'order-to-payment-typeorm',
  async run(bench) {
    const count = bench.size(6000, 1500);
    const typeorm = await handIn(bench, HandTypeormShop);
    const hand = await handIn(bench);
    const measured = await alternate(
      bench.size(7, 3),
      () => handRound(typeorm, count),
      () => handRound(hand, count),
    );
    await typeorm.end();
    await hand.end();
    return [told({ name: 'the same by hand over TypeORM, against plain pg', unit: UNIT, ...measured })];
  },
};

/** The same with batches on the handling side, against one message a transaction. */
export const orderToPaymentBatched: Case = {
  name: 'order-to-payment-batched',
  async run(bench) {
    const count = bench.size(6000, 1500);
    const batched = await oursIn(bench, { payments: { batchSize: 64 } });
    const single = await oursIn(bench, { payments: {} });
    const measured = await alternate(
      bench.size(5, 3),
      () => round(batched, count),
      () => round(single, count),
    );
    await batched.end();
    await single.end();
    return [ratioAtLeast(1.5, { name: 'the same with batchSize 64, against the case above', unit: UNIT, ...measured })];
  },
};

async function round(side: Side<Shop>, count: number): Promise<number> {
  await placeAndPay(side.shop, side.ledger, WARM_UP);
  side.orders += WARM_UP + count;
  return placeAndPay(side.shop, side.ledger, count);
}

async function handRound(side: Side<HandShop>, count: number): Promise<number> {
  side.shop.startPolling();
  const perSecond = await round(side, count);
  await side.shop.stopPolling();
  return perSecond;
}
