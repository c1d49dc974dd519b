import { hfError } from '../errors/catalogue.js';

/**
 * Places between two durable steps where a process may die, in the order in which a message passes them. A crash test arms one of them and
 * then checks every promise; one test runs over this whole list.
 */
export const FAILPOINTS = [
  // the start: the subscriptions are registered, and each gets its cursors
  'subscription:before-cursors',
  // the publishing unit of work; the unit around a handler passes these again
  'unit:before-outbox',
  'unit:after-outbox',
  'unit:before-commit',
  'unit:after-commit',
  // the same in a transaction the user opened: the message rows are written, and COMMIT is his
  'unit:after-join',
  // a unit with half messages: they are registered, its COMMIT decides, and they are sent; or somebody asks what it decided
  'half-message:after-register',
  'half-message:before-publish',
  'half-message:after-publish',
  'half-message:after-decision',
  // from the outbox to the broker
  'scheduled:after-move',
  'relay:after-read',
  'relay:after-publish',
  'relay:after-advance',
  'parked:after-publish',
  // taking messages: a stored delivery; whatever it is from, inside a transaction; the same under a lease
  'delivery:after-take',
  'unit:after-take',
  'lease:after-take',
  // handling
  'count:after-record',
  'inbox:after-insert',
  // a request that is to be undone: it is written that it is, or never will run
  'guard:after-write',
  'handler:after',
  // in a transaction: handlers have run, and what became of their messages is written, or goes with COMMIT
  'unit:after-handling',
  'lease:after-handler',
  'lease:after-done',
  // a transaction of the broker: its messages are sent, its offsets are in it, it is committed
  'broker:after-send',
  'broker:after-offsets',
  'broker:after-commit',
  // when it failed
  'failure:before-record',
  'failure:after-record',
  // an operator's redrive or discard is committed, and each key is looked at once more
  'dead-letter:before-free',
  // a plain method under a claim
  'method:after-claim',
  'method:after-call',
  'method:after-done',
  // a saga: it is claimed; its row is locked; the step has run, in another DataSource that is committed; all that it did is committed; or its unit is gone and the failure is to be counted
  'saga:after-claim',
  'saga:after-lock',
  'saga:after-step-elsewhere',
  'saga:after-call',
  'saga:after-step',
  'saga:before-record',
  // a choreographed saga: a part is recorded; an abort has let the last part go; a part is undone, and the next one let go
  'choreography:after-record',
  'choreography:after-abort',
  'choreography:after-undo',
  // a try: its branch is registered; it is locked for the method; the method has run; all that it did is committed
  'try:after-register',
  'try:after-begin',
  'try:after-call',
  'try:after-commit',
  // its end: the branch is claimed, decided against, locked; confirm or cancel has run; that is committed; or its unit is gone and the failure is to be counted
  'branch:after-claim',
  'branch:after-decision',
  'branch:after-lock',
  'branch:after-call',
  'branch:after-attempt',
  'branch:before-record',
  // house-keeping of the log
  'fence:before-verdict',
  'fence:after-verdict',
  'trim:after-delete',
] as const;

/** The name of a failpoint. */
export type FailpointName = (typeof FAILPOINTS)[number];

/**
 * What an armed failpoint does: `kill` ends the process as `kill -9` does, `stop` freezes it until somebody sends SIGCONT, `throw` throws a
 * FailpointError, `freezeMs` blocks the whole process for that long, a function is called.
 */
export type FailpointAction = 'kill' | 'stop' | 'throw' | { readonly freezeMs: number } | (() => void);

/** Thrown by a failpoint armed with `throw`. A plain error, so that it is treated as any unknown one. */
export class FailpointError extends Error {
  override readonly name = 'FailpointError';
}

interface Armed {
  readonly action: FailpointAction;
  /** Hits still to pass before it strikes; it strikes once. */
  hitsLeft: number;
}

const armed = new Map<FailpointName, Armed>();
let isArmed = false;

/** Marks a place between two durable steps. Does nothing, at the cost of one comparison, unless a test has armed it. */
export function failpoint(name: FailpointName): void {
  if (isArmed) hit(name);
}

/**
 * Arms a failpoint of this process. It strikes once and is then disarmed.
 *
 * @param options `atHit`: strike at this hit, from 1; default 1
 * @returns disarms it
 */
export function armFailpoint(name: FailpointName, action: FailpointAction, options: { readonly atHit?: number } = {}): () => void {
  armed.set(name, { action, hitsLeft: options.atHit ?? 1 });
  isArmed = true;
  return () => disarm(name);
}

/** Disarms all failpoints of this process. */
export function disarmFailpoints(): void {
  armed.clear();
  isArmed = false;
}

/**
 * Arms what the environment variable HOLDFAST_FAILPOINT says, for child processes of crash tests. Read once, when this file is loaded.
 *
 * @param spec `name=kill`, `name=stop`, `name=throw` or `name=freeze:<ms>`, each also with `@<hit>` after it, several separated by commas; undefined or empty: nothing
 * @throws HF_CONFIG_INVALID naming every part that is not understood: a crash test with a typing error would pass without a crash
 */
export function armFromEnvironment(spec: string | undefined): void {
  const parts = (spec ?? '').split(',').filter((part) => part.trim() !== '');
  const entries = parts.map((part) => ({ part, parsed: parse(part.trim()) }));
  const problems = entries.filter(({ parsed }) => !parsed).map(({ part }) => `HOLDFAST_FAILPOINT: ${part} is not understood`);
  if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems, failpoints: FAILPOINTS });
  for (const { parsed } of entries) if (parsed) armFailpoint(parsed.name, parsed.action, { atHit: parsed.atHit });
}

const SPEC = /^([\w:-]+)=(kill|stop|throw|freeze:(\d{1,9}))(?:@([1-9]\d{0,8}))?$/;

function parse(part: string): { name: FailpointName; action: FailpointAction; atHit: number } | undefined {
  const [, name, verb, freezeMs, hits] = SPEC.exec(part) ?? [];
  if (!FAILPOINTS.includes(name as FailpointName)) return undefined;
  const action = freezeMs === undefined ? (verb as 'kill' | 'stop' | 'throw') : { freezeMs: Number(freezeMs) };
  return { name: name as FailpointName, action, atHit: Number(hits ?? 1) };
}

function hit(name: FailpointName): void {
  const point = armed.get(name);
  if (!point) return;
  point.hitsLeft -= 1;
  if (point.hitsLeft > 0) return;
  disarm(name);
  strike(name, point.action);
}

function strike(name: FailpointName, action: FailpointAction): void {
  if (typeof action === 'function') action();
  else if (action === 'throw') throw new FailpointError(`failpoint ${name}`);
  else if (action === 'kill') process.kill(process.pid, 'SIGKILL');
  else if (action === 'stop') process.kill(process.pid, 'SIGSTOP');
  else Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, action.freezeMs); // blocks the thread, timers and all
}

function disarm(name: FailpointName): void {
  armed.delete(name);
  isArmed = armed.size > 0;
}

armFromEnvironment(process.env.HOLDFAST_FAILPOINT);
