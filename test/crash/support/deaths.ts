import { PATIENCE_MS } from '@holdfast-internal/test-support';
import type { FailpointName } from '@holdfast/core';
import type { ProgramOptions, Publishing } from '../programs/options.js';
import { pause, type Promises } from './account.js';
import type { Arena } from './arena.js';
import { Program } from './program.js';

/** The places that a message passes between its handler and the end of a Kafka transaction. */
export const DEATHS_IN_KAFKA: readonly FailpointName[] = [
  'handler:after',
  'broker:after-send',
  'broker:after-offsets',
  'broker:after-commit',
];

/** Where a process comes to its end. */
export interface Scene {
  readonly arena: Arena;
  /** Of the chain. */
  readonly options: ProgramOptions;
}

/** A process that comes to a failpoint and dies there. */
export interface Death {
  readonly at: FailpointName;
  /** Strikes at this hit; default 1. */
  readonly hit?: number;
  readonly publishing?: Omit<Publishing, 'prefix'>;
  readonly options?: Partial<ProgramOptions>;
  /** Another process that ran before it, and left something. */
  readonly before?: (scene: Scene) => Promise<Program>;
  /** What leads it there, instead of publishing. */
  readonly work?: (program: Program, scene: Scene) => Promise<unknown>;
  /** What its death must have left, or it shows nothing. */
  readonly left?: (arena: Arena) => Promise<void>;
}

/** Processes that die one after another in one database, each taking over from the one before. */
export interface Chain {
  readonly what: string;
  readonly options: Omit<ProgramOptions, 'url'>;
  readonly promises: Omit<Promises, 'minimum'>;
  readonly deaths: readonly Death[];
}

/** Lets a process come to its end. */
export async function die({ arena, options }: Scene, death: Death): Promise<Program> {
  const { at, hit = 1, publishing, work = (program: Program) => program.publish({ count: 30, ...publishing }) } = death;
  const full = { ...options, ...death.options };
  const program = new Program(full, { failpoint: `${at}=kill@${hit}` });
  const task = program.ready().then(() => work(program, { arena, options: full }));
  await Promise.race([task.catch(() => undefined), program.ended]);
  await program.end();
  await death.left?.(arena);
  return program;
}

/** What a death is told by: when a minute passes, all of it is a minute older, and what was moved before the death still was. */
const TOLD_BY_TIMES = {
  holdfast_node: ['seen_at'],
  holdfast_subscription: ['last_death_at'],
  holdfast_cursor: ['moved_at'],
  holdfast_delivery: ['failed_at', 'next_attempt_at'],
};

/** It died with messages in its hands, whose handlers end where they are heedless, and nothing was started in its place for a minute. */
export async function dieInWork({ arena, options }: Scene): Promise<Program> {
  const subscriptions = options.subscriptions.map((each) => ({ ...each, isHeedless: false }));
  const program = await new Program({ ...options, subscriptions }).ready();
  await program.publish({ count: 8, kinds: ['heed'] });
  await Promise.all(subscriptions.map(({ name }) => program.line('called', ({ subscription }) => subscription === name)));
  await program.kill();
  for (const [table, columns] of Object.entries(TOLD_BY_TIMES)) {
    const earlier = columns.map((column) => `${column} = ${column} - interval '1 minute'`);
    await arena.look(`update ${table} set ${earlier}`);
  }
  return program;
}

/** It stopped when the first attempt of every message had failed: what is next in work is a stored delivery. */
export async function leaveFailed({ arena, options }: Scene): Promise<Program> {
  const subscriptions = options.subscriptions.map((each) => ({ ...each, retryDelayMs: 600_000 }));
  const program = await new Program({ ...options, subscriptions }).ready();
  const prefix = await program.publish({ count: 12, kinds: ['throw-once'] });
  const open = `select count(*) as n from intent i cross join unnest($2::text[]) s where i.id like $1 || '-%' and not exists (
    select from holdfast_delivery d join holdfast_subscription u on u.id = d.subscription_id where u.name = s and d.message_id = i.message_id)`;
  await none(arena, open, [prefix, options.subscriptions.map(({ name }) => name)]);
  await program.stop();
  await arena.look(`update holdfast_delivery set next_attempt_at = clock_timestamp()`);
  return program;
}

/** Until the statement counts none. */
export async function none(arena: Arena, sql: string, values: unknown[] = []): Promise<void> {
  const left = async () => Number((await arena.look<{ n: string }>(sql, values))[0]?.n);
  for (const deadline = performance.now() + PATIENCE_MS; (await left()) > 0; await pause(20))
    if (performance.now() > deadline) throw new Error(`There still are ${await left()}: ${sql}`);
}
