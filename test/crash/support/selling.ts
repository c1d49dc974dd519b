import { PATIENCE_MS } from '@holdfast-internal/test-support';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FailpointName } from '@holdfast/core';
import type { Carrier } from '../programs/carriers.js';
import type { Selling } from '../programs/options.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';
import { accountOfTries, faultsOf, triedEach, tryEach } from './tries.js';

/** Where the two ends of sagas are in one round. */
export interface SellingDeath {
  readonly shop: `${FailpointName}=kill@${number}`;
  readonly bank: `${FailpointName}=kill@${number}`;
}

export const SELLING_DEATHS: readonly SellingDeath[] = [
  { shop: 'saga:after-lock=kill@12', bank: 'inbox:after-insert=kill@7' },
  { shop: 'saga:after-call=kill@15', bank: 'handler:after=kill@9' },
  { shop: 'unit:before-commit=kill@30', bank: 'guard:after-write=kill@2' },
  { shop: 'unit:after-commit=kill@30', bank: 'unit:before-commit=kill@14' },
  { shop: 'saga:after-step=kill@15', bank: 'unit:after-commit=kill@14' },
];

/** For a broker whose consumers take seconds to join again. */
const FEW_DEATHS: readonly SellingDeath[] = [
  { shop: 'saga:after-call=kill@12', bank: 'handler:after=kill@5' },
  { shop: 'unit:after-commit=kill@30', bank: 'unit:before-commit=kill@8' },
];

const HOWS: readonly Selling['how'][] = ['well', 'declined', 'no van'];
const EACH = 4;
/** How long a round is given: who has not died by then is killed. */
const ROUND_MS = 5000;

/** Sagas over two services whose processes are killed again and again; what is wrong when all have ended. */
export function killBoth(arena: Arena, carrier: Carrier) {
  return killAgainAndAgain(arena, carrier, { deaths: SELLING_DEATHS });
}

/** The same a few times, of sagas and tries at once; what is wrong with either. */
export async function killAFewTimes(arena: Arena, carrier: Carrier) {
  const outcome = await killAgainAndAgain(arena, carrier, { deaths: FEW_DEATHS, hasTries: true });
  return { ...outcome, faultsOfTries: faultsOf(await accountOfTries(arena)) };
}

async function killAgainAndAgain(
  arena: Arena,
  carrier: Carrier,
  { deaths, hasTries = false }: { readonly deaths: readonly SellingDeath[]; readonly hasTries?: boolean },
) {
  const options = { lanes: 4, subscriptions: [], url: arena.url, ...carrier } as const;
  const shop = { ...options, service: 'shop', selling: 'shop', hasTries } as const;
  const bank = { ...options, service: 'bank', selling: 'bank' } as const;
  // Both have their queues before anything is sent.
  for (const each of [bank, shop]) await (await new Program(each).ready()).stop();
  for (const [round, death] of deaths.entries()) {
    const both = [new Program(shop, { failpoint: death.shop }), new Program(bank, { failpoint: death.bank })] as const;
    // What waits from the round before may kill one while it starts.
    await Promise.all(both.map((program) => Promise.race([program.ready().catch(() => undefined), program.ended])));
    start(both[0], `round ${round}`);
    if (hasTries) tryEach(both[0], `tried in round ${round}`);
    await Promise.race([Promise.all(both.map(({ ended }) => ended)), sleep(ROUND_MS)]);
    for (const program of both) await program.kill();
  }
  const last = await Promise.all([new Program(shop).ready(), new Program(bank).ready()]);
  for (const round of deaths.keys()) start(last[0], `round ${round}`);
  await untilEnded(arena, deaths.length * HOWS.length * EACH);
  // By now both are known to be at work.
  start(last[0], 'undisturbed');
  if (hasTries) {
    tryEach(last[0], 'tried undisturbed');
    await triedEach(last[0], 'tried undisturbed');
  }
  const outcome = await accountOfSelling(arena, (deaths.length + 1) * HOWS.length * EACH);
  for (const program of last) await program.stop();
  return outcome;
}

function start(program: Program, prefix: string): void {
  for (const how of HOWS) program.order({ sell: { prefix: `${how} ${prefix}`, count: EACH, how } });
}

/**
 * What is wrong with the sagas of an arena once so many have ended. One that went well has reserved, charged and shipped once; of one that was undone
 * nothing is left, and whatever was done was undone once, in the reverse order.
 */
export async function accountOfSelling(arena: Arena, total: number) {
  await untilEnded(arena, total);
  // What would be one too many comes late.
  await sleep(1000);
  const sagas = await arena.look<{ id: string; status: string; what: string[] }>(
    `select s.id, s.status, array_remove(array_agg(e.subscription order by e.n), null) as what from holdfast_saga s left join effect e on e.message_id = s.id group by 1, 2 order by 1`,
  );
  const wrong = sagas.filter(({ id, status, what }) => !possible(id, status).includes(what.join()));
  const completed = sagas.filter(({ status }) => status === 'completed').length;
  return { wrong, ended: await endedIn(arena), hasCompleted: completed > 0 };
}

async function untilEnded(arena: Arena, total: number): Promise<void> {
  for (const until = performance.now() + PATIENCE_MS; performance.now() < until; await sleep(100))
    if ((await endedIn(arena)) >= total) return;
}

async function endedIn(arena: Arena): Promise<number> {
  return Number((await arena.look<{ n: string }>('select count(*) as n from holdfast_saga where ended_at is not null'))[0]?.n);
}

function possible(id: string, status: string): readonly string[] {
  const undone = ['reserve,release', 'reserve,charge,refund,release'];
  if (id.startsWith('declined')) return status === 'compensated' ? ['reserve,release'] : [];
  if (status === 'completed') return id.startsWith('well') ? ['reserve,charge,ship'] : [];
  return status === 'compensated' ? undone : [];
}
