import { PATIENCE_MS } from '@holdfast-internal/test-support';
import { setTimeout as sleep } from 'node:timers/promises';
import type { FailpointName } from '@holdfast/core';
import type { ProgramOptions, Starting } from '../programs/options.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';

/** Where a process that works on sagas dies. */
export interface SagaDeath {
  readonly at: FailpointName;
  readonly hit: number;
  /** Somebody else has died with them before, so that there is something to take over. */
  readonly isSecond?: boolean;
}

export const SAGA_DEATHS: readonly SagaDeath[] = [
  { at: 'saga:after-lock', hit: 5 },
  { at: 'saga:after-step-elsewhere', hit: 2 },
  { at: 'saga:after-call', hit: 5 },
  { at: 'unit:before-commit', hit: 14 },
  { at: 'unit:after-commit', hit: 14 },
  { at: 'saga:after-step', hit: 5 },
  { at: 'saga:before-record', hit: 1 },
  { at: 'saga:before-record', hit: 2 },
  { at: 'saga:after-claim', hit: 1, isSecond: true },
];

const HOWS: readonly Starting['how'][] = ['well', 'refused', 'refused at commit'];
const EACH = 3;
const FORWARD = ['reserve', 'charge', 'ship'];
const UNDONE = ['reserve', 'charge', 'refund', 'release'];

export const WITH_SAGAS = { lanes: 2, subscriptions: [], hasSagas: true } as const;

/** Starts sagas of each kind, and waits until all of them are started, if they ever are. */
export function startEach(program: Program, prefix: string, count = EACH): void {
  for (const how of HOWS) program.order({ startSagas: { prefix: `${how} ${prefix}`, count, how } });
}

/** Waits until `startEach` is done. */
export async function startedEach(program: Program, prefix: string): Promise<void> {
  for (const how of HOWS) await program.line('started sagas', (line) => line.prefix === `${how} ${prefix}`);
}

/** One process dies while it works on sagas, and another one ends them. What is wrong then. */
export async function endOfSagas(arena: Arena, { at, hit, isSecond = false }: SagaDeath) {
  const options: ProgramOptions = { ...WITH_SAGAS, url: arena.url };
  const first = await new Program(options, { failpoint: isSecond ? 'saga:after-lock=kill@6' : `${at}=kill@${hit}` }).ready();
  startEach(first, 's');
  const { signal } = await first.end();
  const killed = isSecond ? await new Program(options, { failpoint: `${at}=kill@${hit}` }).end() : { signal };
  const last = await new Program(options).ready();
  startEach(last, 's');
  await startedEach(last, 's');
  const outcome = await accountOfSagas(arena, HOWS.length * EACH);
  await last.stop();
  return { signal: killed.signal, ...outcome };
}

/** What is wrong with the sagas of an arena once so many have ended: steps and compensations that are missing, doubled or out of order. */
export async function accountOfSagas(arena: Arena, total: number, patienceMs = PATIENCE_MS) {
  const count = async () =>
    Number((await arena.look<{ n: string }>(`select count(*) as n from holdfast_saga where ended_at is not null`))[0]?.n);
  for (const until = performance.now() + patienceMs; performance.now() < until; await sleep(100)) if ((await count()) >= total) break;
  const ended = await count();
  const effects = await arena.look<{ id: string; steps: string[] }>(
    `select s.id, array_remove(array_agg(e.subscription order by e.n), null) as steps from holdfast_saga s left join effect e on e.message_id = s.id group by 1 order by 1`,
  );
  const strange = effects.filter(({ id, steps }) => steps.join() !== (id.startsWith('well') ? FORWARD : UNDONE).join());
  const statuses = await arena.look<{ id: string; status: string }>(
    `select id, status from holdfast_saga where status <> case when id like 'well%' then 'completed' else 'compensated' end`,
  );
  return { wrong: [...strange, ...statuses], ended };
}
