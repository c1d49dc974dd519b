import type { Bench, Case } from '../runner/bench.js';
import { ratioAtLeast, type Result } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { placeAndPay, type Shop } from '../shop/shop.js';
import { handKafkaIn, handRabbitIn, oursIn, type Side } from '../shop/side.js';

/** Both sides over one broker, with batches of this size. */
type SidesOver = (bench: Bench, batchSize: number) => Promise<{ readonly ours: Side<Shop>; readonly hand: Side<PollingShop> }>;
/** A shop by hand, whose poller is a part of it. */
type PollingShop = Shop & { startPolling(): void; stopPolling(): Promise<void> };

const overRabbit: SidesOver = async (bench, batchSize) => ({
  ours: await oursIn(bench, { rabbit: await bench.rabbit(), payments: { batchSize } }),
  hand: await handRabbitIn(bench, batchSize),
});
const overKafka: SidesOver = async (bench, batchSize) => ({
  ours: await oursIn(bench, { kafka: await bench.kafka(), payments: { batchSize } }),
  hand: await handKafkaIn(bench, batchSize),
});

/** The main case over a broker, a message a transaction, 32 callers, against the same by hand; and the same with batches on both sides. */
function casesOver(broker: string, sidesOver: SidesOver): readonly [Case, Case] {
  const prefix = broker.toLowerCase();
  return [
    {
      name: `${prefix}-order-to-payment`,
      run: (bench) =>
        compared(bench, sidesOver, { name: `${broker}: order → payment, one message a transaction, 32 callers`, batchSize: 1 }),
    },
    {
      name: `${prefix}-order-to-payment-batched`,
      run: (bench) => compared(bench, sidesOver, { name: `${broker}: the same with batchSize 64, against batches by hand`, batchSize: 64 }),
    },
  ];
}

export const rabbitmqOrderToPayment = casesOver('RabbitMQ', overRabbit);
export const kafkaOrderToPayment = casesOver('Kafka', overKafka);

async function compared(
  bench: Bench,
  sidesOver: SidesOver,
  { name, batchSize }: { readonly name: string; readonly batchSize: number },
): Promise<readonly Result[]> {
  const count = bench.size(6000, 800);
  const warmUp = bench.size(200, 100);
  const { ours, hand } = await sidesOver(bench, batchSize);
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
