import { eventually, PATIENCE_MS } from '@holdfast-internal/test-support';
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import type { FailpointName } from '@holdfast/core';
import { type Reply, SagaMessages } from '../../e2e/sagas/support/saga-messages.js';
import type { Carrier } from '../programs/carriers.js';
import type { ParticipatingOptions } from '../programs/participating.js';
import type { Arena } from './arena.js';

/** Where a process dies that undoes a request. */
export interface UndoDeath {
  readonly at: FailpointName;
  readonly isTransactional: boolean;
  /** Whether the request ran before. */
  readonly hasRun: boolean;
  /** True where the handler has been called outside any transaction, and is called again. */
  readonly isRepeated?: boolean;
}

const EITHER = [true, false];

/** Between the memory of the undoing and its end. */
export const UNDO_DEATHS: readonly UndoDeath[] = [
  ...EITHER.flatMap((hasRun) =>
    (['inbox:after-insert', 'guard:after-write', 'unit:after-handling', 'unit:before-commit', 'unit:after-commit'] as const).map((at) => ({
      at,
      hasRun,
      isTransactional: true,
    })),
  ),
  ...EITHER.flatMap((hasRun) =>
    (['inbox:after-insert', 'guard:after-write'] as const).map((at) => ({ at, hasRun, isTransactional: false })),
  ),
  { at: 'handler:after', hasRun: true, isTransactional: true },
  { at: 'handler:after', hasRun: true, isTransactional: false, isRepeated: true },
  { at: 'lease:after-handler', hasRun: true, isTransactional: false },
];

/** One process dies when it undoes a request, another one goes on, and the request comes (again). What was done, and what is remembered in the end. */
export async function endOfUndoing(arena: Arena, { at, hasRun, isTransactional }: UndoDeath, carrier: Carrier = {}) {
  const options = { url: arena.url, isTransactional, ...carrier };
  const saga = new SagaMessages((sql, values) => arena.look(sql, values));
  const first = await start(options);
  if (hasRun) {
    await saga.request({ id: 'r' });
    await saga.answered('r', 1, PATIENCE_MS);
  }
  await end(first);
  const dying = await start(options, `${at}=kill`);
  const died = new Promise((resolve) => dying.once('exit', (_code, signal) => resolve(signal)));
  await saga.undo({ id: 'u' });
  const signal = await died;
  const last = await start(options);
  const undone = await saga.answered('u', 1, PATIENCE_MS);
  await saga.request({ id: 'r' });
  // What the first process had not settled was answered again before.
  const isRefused = (replies: readonly Reply[]) => replies.some(({ to, type }) => to === 'r' && type === 'holdfast.refusal');
  await eventually(() => saga.replies(), isRefused, PATIENCE_MS);
  await end(last);
  const effects = await arena.look<{ subscription: string }>('select subscription from effect order by n');
  const memory = await arena.look<{ status: string }>(`select status from holdfast_inbox where message_id = 'r' and status <> 'done'`);
  return {
    signal,
    answer: undone.type,
    effects: effects.map(({ subscription }) => subscription),
    memory: memory.map(({ status }) => status),
  };
}

/** Where a process dies that refuses a request. */
export interface RefusalDeath {
  readonly at: FailpointName;
  readonly isTransactional: boolean;
}

/** Between what the handler said and the commit that answers it. */
export const REFUSAL_DEATHS: readonly RefusalDeath[] = EITHER.flatMap((isTransactional) =>
  (['failure:before-record', 'failure:after-record', 'unit:before-commit', 'unit:after-commit'] as const).map((at) => ({
    at,
    isTransactional,
  })),
);

/** One process dies when it refuses a request, and another one goes on. How it was answered, and what is stored and remembered in the end. */
export async function endOfRefusing(arena: Arena, { at, isTransactional }: RefusalDeath) {
  const options = { url: arena.url, isTransactional, isRefusing: true };
  const saga = new SagaMessages((sql, values) => arena.look(sql, values));
  const dying = await start(options, `${at}=kill`);
  const died = new Promise((resolve) => dying.once('exit', (_code, signal) => resolve(signal)));
  await saga.request({ id: 'r' });
  const signal = await died;
  const last = await start(options);
  await saga.answered('r', 1, PATIENCE_MS);
  // What comes behind it, and another copy of it, are answered when there is nothing left to do of it.
  await saga.request({ id: 's' });
  await saga.answered('s', 1, PATIENCE_MS);
  const answers = (await saga.replies()).filter(({ to }) => to === 'r').map(({ body }) => JSON.parse(body) as object);
  await saga.request({ id: 'r' });
  const again = JSON.parse((await saga.answered('r', 2, PATIENCE_MS)).body) as object;
  await end(last);
  const effects = await arena.look<{ count: string }>(`select count(*) from effect`);
  const stored = await arena.look('select state from holdfast_delivery');
  const memory = await arena.look<{ status: string }>(`select status from holdfast_inbox where message_id = 'r'`);
  return { signal, answers, again, effects: Number(effects[0]?.count), stored, memory: memory.map(({ status }) => status) };
}

/** Resolves when it has started, or died of it. */
async function start(options: ParticipatingOptions, failpoint = ''): Promise<ChildProcess> {
  const env = { ...process.env, PARTICIPATING_OPTIONS: JSON.stringify(options), HOLDFAST_FAILPOINT: failpoint };
  const program = join(__dirname, '..', 'programs', '.build', 'participating.js');
  const child = spawn(process.execPath, [program], { env, stdio: ['pipe', 'pipe', 'inherit'] });
  await new Promise((resolve) => {
    child.stdout?.once('data', resolve);
    child.once('exit', resolve);
  });
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await ended;
}
