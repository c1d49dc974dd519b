import { PATIENCE_MS } from '@holdfast-internal/test-support';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FailpointName } from '@holdfast/core';
import type { Carrier } from '../programs/carriers.js';
import type { Selling } from '../programs/options.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';
import { accountOfTries, faultsOf, triedEach, tryEach } from './tries.js';

/** Where the two ends of sagas are in one round. */
interface SellingDeath {
  readonly shop: `${FailpointName}=kill@${number}`;
  readonly bank: `${FailpointName}=kill@${number}`;
}

/** What is one commit at either end, before and after it. */
const DEATHS_AT_STEPS: readonly SellingDeath[] = [
  { shop: 'saga:after-lock=kill@12', bank: 'inbox:after-insert=kill@7' },
  { shop: 'saga:after-call=kill@15', bank: 'handler:after=kill@9' },
  { shop: 'unit:before-commit=kill@30', bank: 'guard:after-write=kill@2' },
  { shop: 'unit:after-commit=kill@30', bank: 'unit:before-commit=kill@14' },
  { shop: 'saga:after-step=kill@15', bank: 'unit:after-commit=kill@14' },
];

/** Wherever else they pass, whatever carries the messages. */
const DEATHS_BETWEEN: readonly SellingDeath[] = [
  { shop: 'saga:after-claim=kill@2', bank: 'failure:before-record=kill@1' },
  { shop: 'unit:after-take=kill@6', bank: 'failure:after-record=kill@2' },
  { shop: 'unit:after-handling=kill@6', bank: 'unit:after-take=kill@8' },
  { shop: 'unit:before-outbox=kill@12', bank: 'unit:after-handling=kill@8' },
  { shop: 'unit:after-outbox=kill@12', bank: 'unit:before-outbox=kill@8' },
  { shop: 'handler:after=kill@6', bank: 'unit:after-outbox=kill@8' },
];

/** And between the log and a broker. */
const DEATHS_OF_RELAYS: readonly SellingDeath[] = [
  { shop: 'relay:after-read=kill@3', bank: 'relay:after-read=kill@3' },
  { shop: 'relay:after-publish=kill@3', bank: 'relay:after-publish=kill@3' },
  { shop: 'relay:after-advance=kill@3', bank: 'relay:after-advance=kill@3' },
];

/** For a broker whose consumers take seconds to join again. */
const FEW_DEATHS: readonly SellingDeath[] = [
  { shop: 'saga:after-call=kill@12', bank: 'handler:after=kill@5' },
  { shop: 'unit:after-commit=kill@30', bank: 'unit:before-commit=kill@8' },
];

const HOWS: readonly Selling['how'][] = ['well', 'declined', 'no van'];
const EACH = 4;
/** Each round begins so many. */
const PER_ROUND = 2 * HOWS.length * EACH;

/** Sagas over two services whose processes are killed again and again; what is wrong when all have ended. */
export function killBoth(arena: Arena, carrier: Carrier) {
  const ofRelays = carrier.broker === undefined ? [] : DEATHS_OF_RELAYS;
  return killAgainAndAgain(arena, carrier, { deaths: [...DEATHS_AT_STEPS, ...DEATHS_BETWEEN, ...ofRelays] });
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
  const survivors: string[] = [];
  for (const [round, death] of deaths.entries()) {
    const both = [new Program(shop, { failpoint: death.shop }), new Program(bank, { failpoint: death.bank })] as const;
    // What waits from the round before may kill one while it starts.
    await Promise.all(both.map((program) => Promise.race([program.ready().catch(() => undefined), program.ended])));
    start(both[0], `round ${round}`);
    if (hasTries) tryEach(both[0], `tried in round ${round}`);
    const patience = () => sleep(PATIENCE_MS, undefined, { ref: false });
    await Promise.race([...both.map(({ ended }) => ended), patience()]);
    // Whoever is left needs the other one to come to its place.
    const [shopHeir, bankHeir] = [both[0].hasEnded ? new Program(shop) : undefined, both[1].hasEnded ? new Program(bank) : undefined];
    await Promise.all([shopHeir?.ready(), bankHeir?.ready()]);
    start(shopHeir ?? both[0], `round ${round}, again`);
    await Promise.race([Promise.all(both.map(({ ended }) => ended)), patience()]);
    survivors.push(...(await survivorsOf(both, death)));
    for (const program of [...both, shopHeir, bankHeir]) await program?.kill();
  }
  const last = await Promise.all([new Program(shop).ready(), new Program(bank).ready()]);
  for (const round of deaths.keys()) for (const prefix of [`round ${round}`, `round ${round}, again`]) start(last[0], prefix);
  await untilEnded(arena, deaths.length * PER_ROUND);
  // By now both are known to be at work.
  start(last[0], 'undisturbed');
  if (hasTries) {
    tryEach(last[0], 'tried undisturbed');
    await triedEach(last[0], 'tried undisturbed');
  }
  const total = deaths.length * PER_ROUND + HOWS.length * EACH;
  const { ended, ...outcome } = await accountOfSelling(arena, total);
  for (const program of last) await program.stop();
  return { ...outcome, survivors, open: total - ended };
}

/** Places at which nobody was killed, with what is known of that. */
async function survivorsOf([shop, bank]: readonly [Program, Program], death: SellingDeath): Promise<string[]> {
  const ends = [
    [shop, death.shop],
    [bank, death.bank],
  ] as const;
  const told = ends.map(async ([program, place]) => {
    if (!program.hasEnded) return `${place} did not come`;
    const { signal, code } = await program.ended;
    return signal === 'SIGKILL' ? '' : `${place} did not come: the process ended with ${code}, ${program.errors}`;
  });
  return (await Promise.all(told)).filter((text) => text !== '');
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
