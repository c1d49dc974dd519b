import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceProcess } from '../child/service-process.js';
import type { Bench, Case } from '../runner/bench.js';
import { valueAtMost } from '../runner/result.js';
import { median } from '../runner/statistics.js';
import { until } from '../runner/wait.js';
import { NestShop } from '../shop/nest-shop.js';
import { Ledger } from '../shop/shop.js';
import { fill } from '../shop/side.js';

const IN_FLIGHT = 3000;
/** Payments that must be there before the process goes: it is then in the middle of its work. */
const BEGUN = 100;

type End = (service: ServiceProcess) => Promise<void>;

/** Two processes share the work and one of them goes: how much longer it takes than the other one alone needs for what is left. */
export const recovery: Case = {
  name: 'recovery',
  async run(bench) {
    const rounds = bench.size(3, 1);
    const results = [];
    for (const [bound, how, end] of [
      [10, 'kill -9', (service: ServiceProcess) => service.kill()],
      [1, 'a clean stop', (service: ServiceProcess) => service.stop()],
    ] as const) {
      const seconds = [];
      for (let round = 0; round < rounds; round += 1) seconds.push(await oneRound(bench, end));
      results.push(
        valueAtMost(bound, {
          name: `recovery after ${how} with 3,000 in flight, beyond the work itself`,
          value: median(seconds),
          unit: 's',
        }),
      );
    }
    return results;
  },
};

/** Seconds beyond the work itself. */
async function oneRound(bench: Bench, end: End): Promise<number> {
  const url = await bench.database();
  const ledger = new Ledger(url);
  await ledger.createTables();
  const orders = await NestShop.open({ url, service: 'orders', poolSize: 10 });
  const survivor = await ServiceProcess.start({ url, service: 'payment', payments: {}, poolSize: 14 });
  const alone = await workOff({ ledger, orders, survivor }, undefined);
  const leaving = await ServiceProcess.start({ url, service: 'payment', payments: {}, poolSize: 14 });
  // Both have counted each other.
  await sleep(1500);
  const together = await workOff({ ledger, orders, survivor }, () => end(leaving));
  await survivor.stop();
  await orders.close();
  await ledger.check(2 * IN_FLIGHT);
  await ledger.close();
  bench.note(
    `alone ${alone.perSecond.toFixed(0)}/s; ${together.left} left when the other one went, paid after ${together.seconds.toFixed(2)} s`,
  );
  return Math.max(0, together.seconds - together.left / alone.perSecond);
}

interface Shops {
  readonly ledger: Ledger;
  readonly orders: NestShop;
  readonly survivor: ServiceProcess;
}

/** Fills the log, lets the work begin, ends a process, and waits; from that moment on it is measured. */
async function workOff(
  { ledger, orders, survivor }: Shops,
  end: (() => Promise<void>) | undefined,
): Promise<{ seconds: number; left: number; perSecond: number }> {
  const before = await ledger.payments();
  await survivor.ask({ do: 'pause' });
  await fill(IN_FLIGHT, (some) => orders.placeAll(some));
  await survivor.ask({ do: 'resume' });
  await until('the work to begin', 30_000, async () => (await ledger.payments()) >= before + BEGUN);
  const left = before + IN_FLIGHT - (await ledger.payments());
  const startedMs = performance.now();
  const ended = end?.();
  await until('all orders paid', 120_000, async () => (await ledger.payments()) >= before + IN_FLIGHT);
  const seconds = (performance.now() - startedMs) / 1000;
  await ended;
  return { seconds, left, perSecond: left / seconds };
}
