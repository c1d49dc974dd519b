import type { Case } from '../runner/bench.js';
import { byHand, makeQueue, queuesIn } from '../runner/rabbit.js';
import { ratioAtLeast } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { inParallel, until } from '../runner/wait.js';
import { NestShop } from '../shop/nest-shop.js';
import { CALLERS, Ledger, newOrder, rate } from '../shop/shop.js';

const TIMEOUT_MS = 120_000;

/** From the call to the broker: a message a transaction, 32 callers, half messages against the outbox and its relay. */
export const halfMessage: Case = {
  name: 'half-message',
  async run(bench) {
    const [url, rabbit] = [await bench.database(), await bench.rabbit()];
    const ledger = new Ledger(url);
    await ledger.createTables();
    const shop = await NestShop.open({ url, rabbit });
    const watch = await byHand(rabbit);
    const channel = await watch.createChannel();
    const queue = queuesIn(rabbit).sink;
    await makeQueue(channel, rabbit, queue);
    const count = bench.size(6000, 800);
    const round = (place: () => Promise<void>) => async (): Promise<number> => {
      await channel.purgeQueue(queue);
      const startedMs = performance.now();
      await inParallel(count, CALLERS, place);
      const arrived = async () => (await channel.checkQueue(queue)).messageCount >= count;
      return rate(count, startedMs, () => until('all messages at the broker', TIMEOUT_MS, arrived));
    };
    const measured = await alternate(
      bench.size(7, 3),
      round(() => shop.placeHalf(newOrder())),
      round(() => shop.place(newOrder(), () => undefined)),
    );
    const [left] = await ledger.query<{ n: string }>('select count(*) as n from holdfast_half_message');
    await shop.close();
    await watch.close();
    await ledger.close();
    if (Number(left?.n) > 0) throw new Error(`wrong data: ${left?.n} messages are still registered`);
    return [
      ratioAtLeast(0.6, {
        name: 'RabbitMQ: half messages against the outbox, until they are at the broker',
        unit: 'orders/s',
        ...measured,
      }),
    ];
  },
};
