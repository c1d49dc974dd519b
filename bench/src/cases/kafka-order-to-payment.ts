import type { Bench, Case } from '../runner/bench.js';
import { ratioAtLeast, type Result } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { placeAndPay, type Shop } from '../shop/shop.js';
import { handKafkaIn, oursIn, type Side } from '../shop/side.js';

/** The main case over Kafka: a message a transaction, 32 callers, against the same by hand. */
export const kafkaOrderToPayment: Case = {
  name: 'kafka-order-to-payment',
  run: (bench) => compared(bench, { name: 'Kafka: order → payment, one message a transaction, 32 callers', batchSize: 1 }),
};

/** The same with batches on both sides. */
export const kafkaOrderToPaymentBatched: Case = {
  name: 'kafka-order-to-payment-batched',
  run: (bench) => compared(bench, { name: 'Kafka: the same with batchSize 64, against batches by hand', batchSize: 64 }),
};

async function compared(
  bench: Bench,
  { name, batchSize }: { readonly name: string; readonly batchSize: number },
): Promise<readonly Result[]> {
  const count = bench.size(6000, 800);
  const warmUp = bench.size(200, 100);
  const ours = await oursIn(bench, { kafka: await bench.kafka(), payments: { batchSize } });
  const hand = await handKafkaIn(bench, batchSize);
  const round = async (side: Side<Shop>): Promise<number> => {
    side.orders += warmUp + count;
    await placeAndPay(side.shop, side.ledger, warmUp);
    return placeAndPay(side.shop, side.ledger, count);
  };
  const byHand = async (): Promise<number> => {
    hand.shop.startPolling();
    const perSecond = await round(hand);
    await hand.shop.stopPolling();
    return perSecond;
  };
  const measured = await alternate(bench.size(7, 3), () => round(ours), byHand);
  await ours.end();
  await hand.end();
  return [ratioAtLeast(0.8, { name, unit: 'orders/s', ...measured })];
}
