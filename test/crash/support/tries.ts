import { PATIENCE_MS } from '@holdfast-internal/test-support';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FailpointName } from '@holdfast/core';
import type { ProgramOptions, Trying } from '../programs/options.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';

/** Where a process that calls tries, or ends them, dies. */
export interface TryDeath {
  readonly at: FailpointName;
  readonly hit: number;
  /** Somebody else has died with branches before, so that there is something to take over. */
  readonly isSecond?: boolean;
}

export const TRY_DEATHS: readonly TryDeath[] = [
  { at: 'try:after-register', hit: 5 },
  { at: 'try:after-begin', hit: 5 },
  { at: 'try:after-call', hit: 5 },
  { at: 'try:after-call', hit: 6 },
  { at: 'try:after-commit', hit: 5 },
  { at: 'try:after-commit', hit: 6 },
  { at: 'unit:before-commit', hit: 11 },
  { at: 'unit:after-commit', hit: 11 },
  { at: 'branch:after-decision', hit: 2 },
  { at: 'branch:after-lock', hit: 5 },
  { at: 'branch:after-call', hit: 5 },
  { at: 'branch:after-attempt', hit: 5 },
  { at: 'branch:before-record', hit: 1 },
  { at: 'branch:after-claim', hit: 1, isSecond: true },
];

const HOWS: readonly Trying['how'][] = ['well', 'stubborn', 'refused', 'refused at commit'];
const EACH = 3;
/** Of which each of several processes in a row is heard for six seconds before it takes over. */
const SEVERAL_MS = 120_000;

export const WITH_TRIES = { lanes: 2, subscriptions: [], hasTries: true } as const;

/** Calls tries in units of each kind. */
export function tryEach(program: Program, prefix: string, count = EACH): void {
  for (const how of HOWS) program.order({ callTries: { prefix, count, how } });
}

/** Waits until the units of `tryEach` have ended. */
export async function triedEach(program: Program, prefix: string, count = EACH): Promise<void> {
  for (const how of HOWS) await program.line('unit ended', ({ id }) => id === `${how} ${prefix}-${count - 1}`);
}

/** One process dies with tries, and another one ends what it left behind. What is wrong then. */
export async function endOfTries(arena: Arena, { at, hit, isSecond = false }: TryDeath) {
  const options: ProgramOptions = { ...WITH_TRIES, url: arena.url };
  const first = await new Program(options, { failpoint: isSecond ? 'try:after-commit=kill@6' : `${at}=kill@${hit}` }).ready();
  tryEach(first, 'a');
  const { signal } = await first.end();
  const killed = isSecond ? await new Program(options, { failpoint: `${at}=kill@${hit}` }).end() : { signal };
  const last = await new Program(options).ready();
  tryEach(last, 'b');
  await triedEach(last, 'b');
  const faults = faultsOf(await accountOfTries(arena));
  await last.stop();
  return { signal: killed.signal, faults };
}

/**
 * One try whose confirm, or cancel, kills whoever calls it, and units that call others, in one process after another until none dies of it any more. What is
 * parked then, and what became of the rest.
 */
export async function endOfDeadly(arena: Arena, operation: 'confirm' | 'cancel') {
  const options: ProgramOptions = { ...WITH_TRIES, tryAttempts: 3, url: arena.url };
  const how = `kills by ${operation}` as const;
  const parked = () =>
    arena.look<{ operation: string; failure: string }>(`select operation, failure from holdfast_branch where status = 'parked'`);
  let program = await new Program(options).ready();
  program.order({ callTries: { prefix: 'x', count: 1, how } });
  let deaths = 0;
  for (const until = performance.now() + SEVERAL_MS; (await parked()).length === 0 && performance.now() < until; await sleep(50)) {
    if (!program.hasEnded) continue;
    deaths += 1;
    // Known to be dead by whoever comes next, and not six seconds later.
    await arena.look(`update holdfast_node set seen_at = seen_at - interval '1 minute'`);
    // It may die while it starts.
    program = new Program(options);
    tryEach(program, `after ${deaths}`);
  }
  await triedEach(program, `after ${deaths}`);
  const ends = await accountOfTries(arena);
  const isDeadly = ({ id }: Unit) => id.startsWith(how);
  const deadly = ends.units.filter(isDeadly).flatMap(({ effects }) => effects);
  await program.stop();
  return { parked: await parked(), deadly, wrong: ends.wrong.filter((unit) => !isDeadly(unit)), frozen: ends.purse?.frozen, deaths };
}

interface Unit {
  readonly id: string;
  readonly effects: readonly string[];
}

/** What is wrong once all branches have ended: effects that are missing or doubled, and points that do not add up. */
export async function accountOfTries(arena: Arena, patienceMs = PATIENCE_MS) {
  const open = () => arena.look<{ id: string; status: string }>(`select id, status from holdfast_branch where ended_at is null`);
  for (const until = performance.now() + patienceMs; performance.now() < until; await sleep(100))
    if ((await open()).every(({ status }) => status === 'parked')) break;
  const units = await arena.look<Unit>(
    `select message_id as id, array_agg(subscription order by n) as effects from effect group by 1 order by 1`,
  );
  const [purse] = await arena.look<{ free: number; frozen: number; taken: number }>('select free, frozen, taken from purse');
  const committed = units.filter(({ effects }) => effects.includes('placed')).length;
  return {
    open: await open(),
    units,
    wrong: units.filter(isWrong),
    purse,
    expected: purseAfter(committed),
    hasCommitted: committed >= 2 * EACH,
  };
}

/** What is wrong with it, also that too little has happened to tell. */
export function faultsOf({ open, wrong, purse, expected, hasCommitted }: Awaited<ReturnType<typeof accountOfTries>>): readonly unknown[] {
  const isBalanced = JSON.stringify(purse) === JSON.stringify(expected);
  return [...open, ...wrong, ...(isBalanced ? [] : [{ purse, expected }]), ...(hasCommitted ? [] : ['too few units have committed'])];
}

/** Points that the arena begins with, less what so many units have taken. */
function purseAfter(committed: number) {
  return { free: 1_000_000 - committed * 10, frozen: 0, taken: committed * 10 };
}

function isWrong({ effects }: Unit): boolean {
  const count = (what: string) => effects.filter((each) => each === what).length;
  const [freeze, take, back, hold, capture, release] = ['freeze', 'take', 'give back', 'hold', 'capture', 'release'].map(count) as number[];
  if (count('placed') > 0) return [count('placed'), freeze, take, hold, capture].some((n) => n !== 1) || back !== 0 || release !== 0;
  // A hold that was never seen to begin may be released all the same: nobody knows.
  const isReleased = hold === 0 ? (release as number) <= 1 : hold === 1 && release === 1;
  return take !== 0 || capture !== 0 || freeze !== back || (freeze as number) > 1 || !isReleased;
}
