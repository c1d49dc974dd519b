import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';
import type { Bench, Case } from '../runner/bench.js';
import { type Result, valueAtMost } from '../runner/result.js';
import { idleMs } from '../runner/server-log.js';
import { until } from '../runner/wait.js';
import { NestShop, type PaymentOptions } from '../shop/nest-shop.js';
import { Ledger } from '../shop/shop.js';
import { fill } from '../shop/side.js';

const SCHEDULED = 100_000;
const BLOCKED = 40_000;
const BATCH = 64;

/** What makes an idle poll dear elsewhere. */
interface Situation {
  readonly name: string;
  readonly payments: PaymentOptions;
  /** Brings it about; answers with what ends it. */
  arrange(bench: Bench, shop: NestShop, ledger: Ledger): Promise<() => Promise<void>>;
}

const SITUATIONS: readonly Situation[] = [
  { name: 'empty', payments: {}, arrange: async () => async () => undefined },
  { name: '100,000 scheduled rows', payments: {}, arrange: scheduledRows },
  { name: 'a blocked key with 40,000 behind it', payments: { batchSize: BATCH, ordering: 'key', refusesFirst: true }, arrange: blockedKey },
  { name: 'an old transaction held open', payments: { batchSize: BATCH }, arrange: oldTransaction },
];

/** What a process costs the server per second while there is nothing to do: all its looks and all its house-keeping. */
export const idlePoll: Case = {
  name: 'idle-poll',
  async run(bench) {
    const results: Result[] = [];
    for (const situation of SITUATIONS) results.push(await measure(bench, situation));
    return results;
  },
};

async function measure(bench: Bench, { name, payments, arrange }: Situation): Promise<Result> {
  const url = await bench.database();
  const database = new URL(url).pathname.slice(1);
  const ledger = new Ledger(url);
  await ledger.createTables();
  const prepared = await NestShop.open({ url, payments });
  const undo = await arrange(bench, prepared, ledger);
  await prepared.close();
  // Sessions opened from here on are logged.
  await ledger.query(`alter database ${database} set log_min_duration_statement = 0`);
  const shop = await NestShop.open({ url, payments: { ...payments, refusesFirst: false } });
  await sleep(2000);
  const ms = await idleMs(bench, database);
  await shop.close();
  await undo();
  await ledger.close();
  return valueAtMost(2, { name: `idle poll, database time, ${name}`, value: ms, unit: 'ms' });
}

async function scheduledRows(_: Bench, __: NestShop, ledger: Ledger): Promise<() => Promise<void>> {
  await ledger.query(
    `insert into holdfast_scheduled (due_at, lane, type, attributes, body)
     select clock_timestamp() + interval '1 day' + n * interval '1 second', n % 32, 'order.placed', '{}', '{}' from generate_series(1, $1::int) n`,
    [SCHEDULED],
  );
  return async () => undefined;
}

async function blockedKey(_: Bench, shop: NestShop, ledger: Ledger): Promise<() => Promise<void>> {
  await fill(BLOCKED + 1, (orders) => shop.placeAll(orders, () => 'blocked'));
  const stored = async () => Number((await ledger.query<{ n: string }>('select count(*) as n from holdfast_delivery'))[0]?.n);
  await until('all messages of the key to wait', 300_000, async () => (await stored()) >= BLOCKED + 1);
  return async () => undefined;
}

/** Somebody forgot a transaction: nothing that became dead since can be cleaned up. */
async function oldTransaction(bench: Bench, shop: NestShop, ledger: Ledger): Promise<() => Promise<void>> {
  const count = bench.size(200_000, 10_000);
  const client = new Client({ connectionString: ledger.url });
  await client.connect();
  await client.query('begin isolation level repeatable read');
  await client.query('select count(*) from orders');
  await fill(count, (orders) => shop.placeAll(orders));
  await until('all orders paid', 600_000, async () => (await ledger.payments()) >= count);
  return () => client.end();
}
