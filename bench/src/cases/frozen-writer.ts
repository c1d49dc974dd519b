import { setTimeout as sleep } from 'node:timers/promises';
import { subscribe } from '@holdfast/nest';
import { ServiceProcess } from '../child/service-process.js';
import type { Bench, Case } from '../runner/bench.js';
import { nowMs } from '../runner/clock.js';
import { valueAtMost } from '../runner/result.js';
import { until } from '../runner/wait.js';
import { NestShop } from '../shop/nest-shop.js';
import { CALLERS, Ledger, newOrder } from '../shop/shop.js';

const LATE_MS = 100;
const FREEZE_MS = 2000;
/** What is committed before that is not counted: connections are opened and code is compiled. */
const WARM_UP_MS = { full: 5000, quick: 3000 } as const;
const FREEZES = { full: 2, quick: 1 } as const;
/** Time between the starts of two orders of one caller: together far below what the machine can do, so that nothing but the frozen one delays. */
const PACE_MS = 250;
/** Share of transactions whose COMMIT fails, after their message got its number. */
const ROLLBACKS = 0.03;

/** A deferred check: the order and its message are written, and the commit refuses them. */
const REFUSAL = `
  create function refuse() returns trigger language plpgsql as $$ begin raise 'refused at commit'; end $$;
  create constraint trigger refuse after insert on orders deferrable initially deferred for each row when (new.total < 0) execute function refuse()`;

/** One process is frozen with its message written and not committed: messages of others must not wait for it. */
export const frozenWriter: Case = {
  name: 'frozen-writer',
  async run(bench) {
    const value = await lateMessages(bench, bench.size(FREEZES.full, FREEZES.quick));
    const reference = await lateMessages(bench, 0);
    return [
      valueAtMost(0, {
        name: 'later than 100 ms beside a writer frozen for 2 s, 3 % rollbacks, 32 callers',
        unit: 'messages',
        value,
        reference,
      }),
    ];
  },
};

/** How many of the others' messages were late while a writer was frozen `freezes` times. */
async function lateMessages(bench: Bench, freezes: number): Promise<number> {
  const url = await bench.database();
  const ledger = new Ledger(url);
  await ledger.createTables();
  await ledger.query(REFUSAL);
  const paid = new Map<string, number>();
  const stop = subscribe('delivery:succeeded', ({ key }) => paid.set(key as string, nowMs()));
  const shop = await NestShop.open({ url, payments: {} });
  const writer = await ServiceProcess.start({ url, service: 'frozen', poolSize: 6 });
  const load = new Load(shop);
  await sleep(bench.size(WARM_UP_MS.full, WARM_UP_MS.quick));
  const startedMs = nowMs();
  for (let done = 0; done < Math.max(freezes, 1); done += 1)
    await (freezes > 0 ? writer.ask({ do: 'freeze', ms: FREEZE_MS }) : sleep(FREEZE_MS));
  const committed = await load.stop();
  await until('all orders paid', 30_000, () => paid.size >= committed.size + freezes);
  stop();
  await writer.stop();
  await shop.close();
  await ledger.check(committed.size + freezes);
  await ledger.close();
  const delays = [...committed].filter(([, atMs]) => atMs >= startedMs).map(([id, atMs]) => (paid.get(id) as number) - atMs);
  bench.note(`${freezes} freezes: ${delays.length} messages, the slowest after ${Math.max(...delays).toFixed(0)} ms`);
  return delays.filter((delay) => delay > LATE_MS).length;
}

/** Callers at a steady pace. */
class Load {
  private readonly committed = new Map<string, number>();
  private readonly callers: readonly Promise<void>[];
  private isStopped = false;

  constructor(private readonly shop: NestShop) {
    this.callers = Array.from({ length: CALLERS }, () => this.call());
  }

  /** Ends it; orders and when their commit was known. */
  async stop(): Promise<ReadonlyMap<string, number>> {
    this.isStopped = true;
    await Promise.all(this.callers);
    return this.committed;
  }

  private async call(): Promise<void> {
    await sleep(Math.random() * PACE_MS);
    while (!this.isStopped) {
      const startedMs = nowMs();
      await this.placeOne();
      await sleep(Math.max(0, PACE_MS - (nowMs() - startedMs)));
    }
  }

  private async placeOne(): Promise<void> {
    const order = newOrder();
    if (Math.random() < ROLLBACKS) {
      await this.shop.place({ ...order, total: -1 }).catch(() => undefined);
      return;
    }
    await this.shop.place(order);
    this.committed.set(order.id, nowMs());
  }
}
