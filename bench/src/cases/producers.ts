import type { Bench, Case } from '../runner/bench.js';
import { ratioAtLeast, type Result } from '../runner/result.js';
import { alternate, WARM_UP_ROUNDS } from '../runner/statistics.js';
import { inParallel } from '../runner/wait.js';
import { NestShop } from '../shop/nest-shop.js';
import { CALLERS, Ledger, newOrder, rate } from '../shop/shop.js';

/** Publishing where commits are slow: a transaction with a message must not wait for others' messages. */
export const producers: Case = {
  name: 'producers',
  async run(bench) {
    return [await atLatency(bench, 2), await atLatency(bench, 10)];
  },
};

async function atLatency(bench: Bench, latencyMs: number): Promise<Result> {
  const url = await bench.database({ commit_delay: String(latencyMs * 1000), commit_siblings: '0' });
  const ledger = new Ledger(url);
  await ledger.createTables();
  const shop = await NestShop.open({ url });
  const count = bench.size(6000, 1500);
  const round = (place: () => Promise<void>) => async () => {
    const startedMs = performance.now();
    return rate(count, startedMs, () => inParallel(count, CALLERS, place));
  };
  const measured = await alternate(
    bench.size(9, 3),
    round(() => shop.place(newOrder())),
    round(() => shop.placeSilently(newOrder())),
  );
  const [rows] = await ledger.query<{ n: string }>('select count(*) as n from holdfast_outbox');
  const expected = count * (bench.size(9, 3) + WARM_UP_ROUNDS);
  if (Number(rows?.n) !== expected) throw new Error(`wrong data: ${rows?.n} messages in the log, expected ${expected}`);
  await shop.close();
  await ledger.close();
  return ratioAtLeast(0.9, {
    name: `producers at a commit latency of ${latencyMs} ms, against no outbox rows`,
    unit: 'orders/s',
    ...measured,
  });
}
