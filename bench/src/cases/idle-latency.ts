import { setTimeout as sleep } from 'node:timers/promises';
import { subscribe } from '@holdfast/nest';
import { ServiceProcess } from '../child/service-process.js';
import type { Bench, Case } from '../runner/bench.js';
import { nowMs } from '../runner/clock.js';
import { type Result, valueAtMost } from '../runner/result.js';
import { percentile } from '../runner/statistics.js';
import { until } from '../runner/wait.js';
import { NestShop } from '../shop/nest-shop.js';
import { Ledger, newOrder, type Shop } from '../shop/shop.js';

/** Orders that are not measured. */
const WARM_UP = 30;
/** Time between two orders: anything from here … */
const PAUSE_MS = 20;
/** … to as much more, so that they fall anywhere between two looks of a poll. */
const MORE_PAUSE_MS = 40;

/** How long a message takes when nothing else goes on: from the commit, as the caller sees it, to the committed effect. */
export const idleLatency: Case = {
  name: 'idle-latency',
  async run(bench) {
    return [...(await inOneProcess(bench)), ...(await betweenProcesses(bench))];
  },
};

async function inOneProcess(bench: Bench): Promise<readonly Result[]> {
  const url = await bench.database();
  const ledger = new Ledger(url);
  await ledger.createTables();
  const paid = new Map<string, number>();
  const stop = subscribe('delivery:succeeded', ({ key }) => paid.set(key as string, nowMs()));
  const shop = await NestShop.open({ url, payments: {} });
  const latencies = await latenciesOf(shop, paid, bench.size(400, 200));
  stop();
  await shop.close();
  await ledger.close();
  return resultsOf('same process', latencies);
}

async function betweenProcesses(bench: Bench): Promise<readonly Result[]> {
  const url = await bench.database();
  const ledger = new Ledger(url);
  await ledger.createTables();
  const paid = new Map<string, number>();
  const payment = await ServiceProcess.start({ url, service: 'payment', payments: {}, tellsPayments: true }, (id, atMs) =>
    paid.set(id, atMs),
  );
  const shop = await NestShop.open({ url, service: 'orders' });
  const latencies = await latenciesOf(shop, paid, bench.size(400, 200));
  await shop.close();
  await payment.stop();
  await ledger.close();
  return resultsOf('two processes', latencies);
}

/** Places orders one by one; how long each took from its commit to its payment, in milliseconds. @param paid when each order was paid, by its id */
export async function latenciesOf(shop: Shop, paid: ReadonlyMap<string, number>, count: number): Promise<readonly number[]> {
  const committed: { id: string; atMs: number }[] = [];
  for (let done = 0; done < WARM_UP + count; done += 1) {
    const order = newOrder();
    await shop.place(order);
    committed.push({ id: order.id, atMs: nowMs() });
    await sleep(PAUSE_MS + Math.random() * MORE_PAUSE_MS);
  }
  await until('all orders paid', 30_000, () => paid.size >= committed.length);
  // The effect may be there before the caller hears of his commit.
  return committed.slice(WARM_UP).map(({ id, atMs }) => Math.max(0, (paid.get(id) as number) - atMs));
}

function resultsOf(where: string, latencies: readonly number[]): readonly Result[] {
  const name = (part: string) => `idle latency commit → effect, ${where}, ${part}`;
  return [
    valueAtMost(8, { name: name('p50'), value: percentile(latencies, 0.5), unit: 'ms' }),
    valueAtMost(50, { name: name('p99'), value: percentile(latencies, 0.99), unit: 'ms' }),
  ];
}
