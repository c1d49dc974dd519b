import { setTimeout as sleep } from 'node:timers/promises';
import type { Bench, Case } from '../runner/bench.js';
import { type Result, valueAtMost } from '../runner/result.js';
import { idleMs } from '../runner/server-log.js';
import { until } from '../runner/wait.js';
import { NestSagas } from '../shop/nest-sagas.js';
import { sagaLedger } from '../shop/saga-shop.js';
import type { Ledger } from '../shop/shop.js';

const SLEEPING = 100_000;
/** Rows of the table that a start may look at: its own questions, and none of those that sleep. */
const FEW_ROWS = 100;

/** What sagas cost that have nothing to do for a day: the looks of an idle process, and its start. */
export const sagaSleeping: Case = {
  name: 'saga-sleeping',
  async run(bench) {
    const url = await bench.database();
    const ledger = await sagaLedger(url);
    await putToSleep(url, ledger);
    const before = await rowsRead(ledger);
    await (await NestSagas.open(url)).close();
    const rows = (await rowsRead(ledger)) - before;
    const results: Result[] = [
      valueAtMost(FEW_ROWS, { name: `sagas read by start and stop, ${SLEEPING.toLocaleString('en')} asleep`, value: rows, unit: 'rows' }),
      valueAtMost(2, {
        name: `idle poll, database time, ${SLEEPING.toLocaleString('en')} sagas asleep`,
        value: await idle(bench, url, ledger),
        unit: 'ms',
      }),
    ];
    await ledger.close();
    return results;
  },
};

async function idle(bench: Bench, url: string, ledger: Ledger): Promise<number> {
  const database = new URL(url).pathname.slice(1);
  await ledger.query(`alter database ${database} set log_min_duration_statement = 0`);
  const shop = await NestSagas.open(url);
  await sleep(2000);
  const ms = await idleMs(bench, database);
  await shop.close();
  return ms;
}

/** One that was started as any other, and copies of it. */
async function putToSleep(url: string, ledger: Ledger): Promise<void> {
  const shop = await NestSagas.open(url);
  await shop.startSleeping('sleeps');
  const asleep = `select count(*) as n from holdfast_saga where due_at > now() + interval '1 hour'`;
  await until('the saga to sleep', 10_000, async () => Number((await ledger.query<{ n: string }>(asleep))[0]?.n) === 1);
  await shop.close();
  const columns = await ledger.query<{ name: string }>(
    `select quote_ident(column_name) as name from information_schema.columns
     where table_name = 'holdfast_saga' and is_identity = 'NO' and column_name <> 'id'`,
  );
  const names = columns.map(({ name }) => name).join(', ');
  await ledger.query(
    `insert into holdfast_saga (id, ${names}) select id || n, ${names} from holdfast_saga, generate_series(2, $1::int) n`,
    [SLEEPING],
  );
  await ledger.query('vacuum analyze holdfast_saga');
}

/** Rows and index entries of sagas that were read so far; sessions tell theirs when they end. */
async function rowsRead(ledger: Ledger): Promise<number> {
  await sleep(2000);
  const [row] = await ledger.query<{ n: string }>(
    `select (select sum(seq_tup_read) from pg_stat_user_tables where relname = 'holdfast_saga')
       + (select sum(idx_tup_read) from pg_stat_user_indexes where relname = 'holdfast_saga') as n`,
  );
  return Number(row?.n);
}
