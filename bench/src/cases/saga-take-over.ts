import { setTimeout as sleep } from 'node:timers/promises';
import { ServiceProcess } from '../child/service-process.js';
import type { Bench, Case } from '../runner/bench.js';
import { valueAtMost } from '../runner/result.js';
import { until } from '../runner/wait.js';
import { NestSagas } from '../shop/nest-sagas.js';
import { checkEffects, sagaLedger } from '../shop/saga-shop.js';
import { type Ledger, newOrder } from '../shop/shop.js';

const OPEN = 10_000;
/** Sagas that must have ended with both at work before one is killed. */
const BEGUN = 200;
const TIMEOUT_MS = 600_000;
/** Between two looks: each counts rows beside the work. */
const LOOK_MS = 50;

/** Two processes work on many sagas and one is killed: when what it had in hand goes on, and how much longer all take than the other one alone needs for the work. */
export const sagaTakeOver: Case = {
  name: 'saga-take-over',
  async run(bench) {
    const { goOn, beyond } = await oneRound(bench);
    const open = OPEN.toLocaleString('en');
    return [
      valueAtMost(15, { name: `kill -9 of one of two with ${open} sagas open, until what it had in hand goes on`, value: goOn, unit: 's' }),
      valueAtMost(15, { name: 'the same, until all have ended, beyond the work itself', value: beyond, unit: 's' }),
    ];
  },
};

async function oneRound(bench: Bench): Promise<{ readonly goOn: number; readonly beyond: number }> {
  const url = await bench.database();
  const ledger = await sagaLedger(url);
  const starter = await NestSagas.open(url);
  await starter.startAll(Array.from({ length: OPEN }, newOrder));
  await starter.close();
  const survivor = await ServiceProcess.startSagas(url);
  const [staying] = await nodes(ledger);
  const leaving = await ServiceProcess.startSagas(url);
  const dead = (await nodes(ledger)).find((id) => id !== staying) as string;
  await bothAtWork(ledger, [staying as string, dead]);
  await leaving.kill();
  const killedMs = performance.now();
  const seconds = () => (performance.now() - killedMs) / 1000;
  const left = await openSagas(ledger);
  const inHand = await inHandOf(ledger, dead);
  if (inHand.length === 0) throw new Error('the process that was killed had nothing in hand');
  await looking('what was in hand to go on', async () => (await unchanged(ledger, inHand)) === 0);
  const goOn = seconds();
  const [leftThen, thenMs] = [await openSagas(ledger), performance.now()];
  await looking('all sagas ended', async () => (await openSagas(ledger)) === 0);
  const perSecond = (leftThen / (performance.now() - thenMs)) * 1000;
  const all = seconds();
  await survivor.stop();
  await checkEffects(ledger, OPEN);
  await ledger.close();
  bench.note(
    `${left} open when one was killed with ${inHand.length} in hand, which went on after ${goOn.toFixed(2)} s; all ended after ${all.toFixed(2)} s, ${perSecond.toFixed(0)}/s alone`,
  );
  return { goOn, beyond: Math.max(0, all - left / perSecond) };
}

async function nodes(ledger: Ledger): Promise<readonly string[]> {
  return (await ledger.query<{ id: string }>('select id from holdfast_node')).map(({ id }) => id);
}

async function bothAtWork(ledger: Ledger, ids: readonly string[]): Promise<void> {
  await looking('both to work', async () => {
    const all = await Promise.all(ids.map((id) => inHandOf(ledger, id)));
    return all.every((inHand) => inHand.length > 0) && (await openSagas(ledger)) <= OPEN - BEGUN;
  });
}

interface InHand {
  readonly id: string;
  readonly revision: string;
}

/** Sagas that have not ended and are claimed by a process. */
async function inHandOf(ledger: Ledger, worker: string): Promise<readonly InHand[]> {
  return ledger.query<InHand>('select id, revision from holdfast_saga where ended_at is null and worker = $1', [worker]);
}

/** How many of these no attempt has changed since. */
async function unchanged(ledger: Ledger, sagas: readonly InHand[]): Promise<number> {
  return count(
    ledger,
    `select count(*) as n from holdfast_saga s join unnest($1::text[], $2::bigint[]) w(id, revision) on s.id = w.id and s.revision = w.revision`,
    [sagas.map(({ id }) => id), sagas.map(({ revision }) => revision)],
  );
}

async function openSagas(ledger: Ledger): Promise<number> {
  return count(ledger, 'select count(*) as n from holdfast_saga where ended_at is null');
}

async function count(ledger: Ledger, sql: string, values: unknown[] = []): Promise<number> {
  return Number((await ledger.query<{ n: string }>(sql, values))[0]?.n);
}

async function looking(what: string, isDone: () => Promise<boolean>): Promise<void> {
  await until(what, TIMEOUT_MS, async () => {
    if (await isDone()) return true;
    await sleep(LOOK_MS);
    return false;
  });
}
