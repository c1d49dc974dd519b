import type { FailpointName } from '@holdfast/core';
import type { Guarding, ProgramOptions } from '../programs/options.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';

type Caller = 'dead' | 'next';

/** A process that dies in a method, and what the same call comes to in another one. */
export interface MethodDeath {
  readonly at: FailpointName;
  readonly isTransactional: boolean;
  /** Whose effects there are in the end. */
  readonly effects: readonly Caller[];
  /** Whose result every repeat gets. */
  readonly result: Caller;
  /** Whether the next caller has to wait for the end of the dead one's lease. */
  readonly hasToWait: boolean;
}

/** With a unit of work the end of the claim commits with the effect; without one the effect stays, whatever becomes of the claim. */
export const METHOD_DEATHS: readonly MethodDeath[] = [
  { at: 'method:after-claim', isTransactional: false, effects: ['next'], result: 'next', hasToWait: true },
  { at: 'method:after-call', isTransactional: false, effects: ['dead', 'next'], result: 'next', hasToWait: true },
  { at: 'method:after-done', isTransactional: false, effects: ['dead'], result: 'dead', hasToWait: false },
  { at: 'method:after-claim', isTransactional: true, effects: ['next'], result: 'next', hasToWait: true },
  { at: 'method:after-call', isTransactional: true, effects: ['next'], result: 'next', hasToWait: true },
  { at: 'method:after-done', isTransactional: true, effects: ['next'], result: 'next', hasToWait: true },
];

const LOCK_TTL_MS = 3000;
/** After the end of a lease, for whoever waits for it; the rest is for a busy machine. */
const TAKE_OVER_MS = 20_000;

async function call(program: Program, { name }: Guarding, key: string): Promise<number> {
  const earlier = program.said('returned').length;
  program.order({ call: { method: name, key } });
  await program.line('returned', () => program.said('returned').length > earlier);
  return program.said('returned')[earlier]?.by as number;
}

/** One process dies in the call, and another one calls twice with the same key, and once with a new one. */
export async function takeOver(arena: Arena, { at, isTransactional }: MethodDeath) {
  const method: Guarding = { name: 'pay', isTransactional, lockTtlMs: LOCK_TTL_MS };
  const options: ProgramOptions = { url: arena.url, lanes: 2, subscriptions: [], methods: [method] };
  const next = await new Program(options).ready();
  const dead = await new Program(options, { failpoint: `${at}=kill` }).ready();
  dead.order({ call: { method: method.name, key: 'same' } });
  const { signal } = await dead.end();
  const nameOf = (pid: number): Caller | undefined =>
    new Map([
      [dead.pid, 'dead'],
      [next.pid, 'next'],
    ] as const).get(pid);
  const [claim] = await arena.look<{ until: Date | null }>(`select lease_until as until from holdfast_inbox where message_id = 'same'`);
  const results = [await call(next, method, 'same'), await call(next, method, 'same')].map(nameOf);
  const rows = await arena.look<{ pid: number; at: Date }>(`select pid, at from effect where message_id = 'same' order by n`);
  const again = rows.find(({ pid }) => pid === next.pid);
  const lateMs = claim?.until && again ? again.at.getTime() - claim.until.getTime() : undefined;
  const fresh = nameOf(await call(next, method, 'another'));
  await next.stop();
  return {
    signal,
    effects: rows.map(({ pid }) => nameOf(pid)),
    results,
    fresh,
    hasWaited: lateMs !== undefined && lateMs >= 0 && lateMs < TAKE_OVER_MS,
  };
}
