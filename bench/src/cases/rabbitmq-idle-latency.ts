import { subscribe } from '@holdfast/nest';
import type { Case } from '../runner/bench.js';
import { nowMs } from '../runner/clock.js';
import { atMostAbove, valueAtMost } from '../runner/result.js';
import { percentile } from '../runner/statistics.js';
import { handRabbitIn, oursIn } from '../shop/side.js';
import { latenciesOf } from './idle-latency.js';

/** How long a message takes over RabbitMQ when nothing else goes on, against a poller and a consumer by hand. */
export const rabbitmqIdleLatency: Case = {
  name: 'rabbitmq-idle-latency',
  async run(bench) {
    const count = bench.size(400, 150);
    const paid = new Map<string, number>();
    const stop = subscribe('delivery:succeeded', ({ key }) => paid.set(key as string, nowMs()));
    const ours = await oursIn(bench, { rabbit: await bench.rabbit(), payments: {} });
    const latencies = await latenciesOf(ours.shop, paid, count);
    stop();
    ours.orders = paid.size;
    await ours.end();
    const hand = await handRabbitIn(bench, 1);
    const paidByHand = new Map<string, number>();
    hand.shop.onPaid = (id) => paidByHand.set(id, nowMs());
    hand.shop.startPolling();
    const reference = percentile(await latenciesOf(hand.shop, paidByHand, count), 0.5);
    await hand.shop.stopPolling();
    hand.orders = paidByHand.size;
    await hand.end();
    const name = (part: string) => `RabbitMQ: idle latency commit → effect, same process, ${part}`;
    return [
      atMostAbove(3, { name: name('p50'), value: percentile(latencies, 0.5), unit: 'ms', reference }),
      valueAtMost(50, { name: name('p99'), value: percentile(latencies, 0.99), unit: 'ms' }),
    ];
  },
};
