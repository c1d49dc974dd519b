import { createHash } from 'node:crypto';
import type { Outgoing } from '../bus/outgoing.js';
import { failureFacts } from '../delivery/handler-call.js';
import type { WorkInHand } from '../delivery/work-in-hand.js';
import { hfError } from '../errors/catalogue.js';
import { type HoldfastError, isHoldfastError } from '../errors/holdfast-error.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler, Timer } from '../time/scheduler.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitEngine } from '../unit-of-work/unit-engine.js';
import { attemptsOf, decide, misfitOf, type SagaDecision, type SagaEvent, type SagaProgress } from './decide.js';
import { createSagaContext } from './saga-context.js';
import { type SagaDefinition, stepOf, type SagaStepDefinition } from './saga-definition.js';
import type { RunnableSaga, SagaCall } from './saga-plan.js';
import { decodeState, encodeState } from './saga-state.js';
import { StepCall } from './step-call.js';
import type { LockedSaga, SagaOutline, SagaStore, StoredSaga } from './saga.store.port.js';

/** Beyond the time-out of a step, for its rollback, its failure and the commit: then the unit is broken off, whatever its statements wait for. */
const GRACE_MS = 5000;
/** For the unit that records what became of one that is gone; it may wait for the end of somebody else's attempt. */
const RECORD_TIMEOUT_MS = 60_000;
/** Deaths of processes that no instance is given up for: each may have had another reason, and they say nothing of the step. */
const FEW_DEATHS = 3;

/** What attempts work with. */
export interface SagaAttemptParts {
  readonly store: SagaStore;
  readonly units: UnitEngine<Outgoing>;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly inHand: WorkInHand;
  /** Undefined for a definition this process does not have. */
  readonly sagaOf: (saga: string, version: number) => RunnableSaga | undefined;
  /** The longest of all steps. */
  readonly longestStepMs: number;
  /** True when this process is to take on nothing more. */
  readonly isStopping: () => boolean;
}

/** What became of an instance: `next`: it goes on at once; `waits`: it is due later; `ended`: also parked; `left`: it is not ours, or not now. */
export type AttemptEnd = 'next' | 'waits' | 'ended' | 'left';

/** State as it is stored, read; or why it cannot be. */
interface ReadState {
  readonly value?: unknown;
  readonly error?: unknown;
}

/** An attempt as it was begun. */
interface Begun {
  readonly saga: StoredSaga;
  readonly runnable: RunnableSaga;
  readonly state: ReadState;
  /** What the step threw, whatever became of its unit afterwards. */
  failure?: { readonly error: unknown };
}

/** What a unit has written, to be told when it is committed. */
interface Written {
  readonly end: AttemptEnd;
  readonly tell: () => void;
}

const LEFT: Written = { end: 'left', tell: () => undefined };

/**
 * One attempt at one step of one instance: its row is locked, the step runs behind a savepoint, and what it wrote, the progress of the saga and the
 * messages it published are one COMMIT. A failed attempt is undone to the savepoint and counted in the same transaction, so that no other process
 * can make one in between.
 */
export class SagaAttempts {
  constructor(private readonly parts: SagaAttemptParts) {}

  /** Makes the next attempt at an instance this process has claimed. Throws what is no failure of a step: the database is away, this process stops. */
  async next(id: string): Promise<AttemptEnd> {
    const { store, units, longestStepMs } = this.parts;
    let begun: Begun | undefined;
    let written: Written;
    try {
      written = await units.runFramework({ timeout: longestStepMs + 2 * GRACE_MS }, async (tx) => {
        const locked = await store.lock(tx, id, { waits: false });
        const runnable = locked && this.parts.sagaOf(locked.saga.saga, locked.saga.version);
        if (locked === undefined || runnable === undefined) return LEFT;
        failpoint('saga:after-lock');
        const here: Begun = { saga: locked.saga, runnable, state: readState(locked.saga) };
        begun = here;
        const event = this.withoutAttempt(here);
        return event === undefined ? this.attempt(tx, locked, here) : this.write(tx, here, { event });
      });
    } catch (thrown) {
      const error = begun?.failure === undefined ? reasonOf(thrown) : begun.failure.error;
      if (begun === undefined || isHoldfastError(error, 'HF_STOPPING')) throw error;
      written = await this.record(begun, error);
    }
    written.tell();
    failpoint('saga:after-step');
    return written.end;
  }

  /** What has happened without anybody trying. */
  private withoutAttempt({ saga, state, runnable: { definition, outline } }: Begun): SagaEvent | undefined {
    const { progress, id, deaths } = saga;
    if (saga.outline !== outline) return { kind: 'stuck', error: changedError(saga, outline) };
    const misfit = misfitOf(definition, progress);
    if (misfit !== undefined) return { kind: 'stuck', error: misfit };
    if (state.error !== undefined) return { kind: 'stuck', error: state.error };
    const step = stepOf(definition, progress.step) as SagaStepDefinition;
    // What is being undone takes as long as it takes.
    if (saga.isOverdue && progress.status === 'running')
      return { kind: 'timed-out', error: hfError('HF_SAGA_TIMEOUT', { saga: saga.saga, id, timeoutMs: definition.timeoutMs }) };
    if (deaths >= Math.max(attemptsOf(step, progress), FEW_DEATHS))
      return { kind: 'given-up', error: hfError('HF_SAGA_STEP_KILLED', { step: step.name, saga: saga.saga, id, deaths }) };
    return undefined;
  }

  private async attempt(tx: Transaction, { savepoint }: LockedSaga, begun: Begun): Promise<Written> {
    const { clock, units } = this.parts;
    const startedMs = clock.monotonicMs();
    const breaking = this.breakingOff(begun);
    let state: string | undefined;
    try {
      state = await units.runBehind(savepoint, () => this.called(begun));
      failpoint('saga:after-call');
    } catch (thrown) {
      const error = begun.failure === undefined ? thrown : begun.failure.error;
      if (isHoldfastError(error, 'HF_STOPPING')) throw error;
      return this.write(tx, begun, { event: { kind: 'failed', error }, durationMs: clock.monotonicMs() - startedMs });
    } finally {
      breaking.cancel();
    }
    return this.write(tx, begun, { event: { kind: 'done' }, state, durationMs: clock.monotonicMs() - startedMs });
  }

  private async called(begun: Begun): Promise<string | undefined> {
    try {
      return await this.call(begun);
    } catch (error) {
      begun.failure = { error };
      throw error;
    }
  }

  /** Runs the step, or its compensation; the state it leaves, as it is stored, undefined when it is as it was. */
  private async call({ saga, runnable, state: { value } }: Begun): Promise<string | undefined> {
    const { progress, id } = saga;
    const step = stepOf(runnable.definition, progress.step) as SagaStepDefinition;
    const isUndoing = progress.status === 'compensating';
    const run = (isUndoing ? runnable.compensations : runnable.runs).get(step.name) as SagaCall;
    const owner = { saga: saga.saga, id };
    const call = new StepCall(this.parts, { ...owner, step: step.name, timeoutMs: step.timeoutMs });
    const context = createSagaContext<unknown>({
      id,
      state: value,
      attempt: progress.attempts + 1,
      idempotencyKey: keyOf(saga.saga, id, step.name, isUndoing ? 'undo' : 'run'),
      signal: () => call.signal,
      failure: progress.failure,
    });
    await call.run(async () => void (await run(context as never)));
    const state = encodeState(context.state, owner);
    return state === saga.state ? undefined : state;
  }

  /** A statement that does not answer holds up the rollback to the savepoint too. */
  private breakingOff({ saga, runnable }: Begun): Timer {
    const { units, scheduler } = this.parts;
    const unit = units.current();
    const timeoutMs = stepOf(runnable.definition, saga.progress.step)?.timeoutMs ?? 0;
    return scheduler.after(timeoutMs + GRACE_MS, () => unit?.breakOff(timeoutMs));
  }

  /** The unit of the attempt is gone, or nobody knows: what is stored tells whether it was committed. Waits for whoever has it by now. */
  private record({ saga, runnable }: Begun, error: unknown): Promise<Written> {
    const { store, units } = this.parts;
    failpoint('saga:before-record');
    return units.runFramework({ timeout: RECORD_TIMEOUT_MS }, async (tx) => {
      const locked = await store.lock(tx, saga.id, { waits: true });
      const isSame = locked?.saga.revision === saga.revision && locked.saga.deaths === saga.deaths;
      return isSame ? this.write(tx, { saga, runnable }, { event: { kind: 'failed', error } }) : LEFT;
    });
  }

  private async write(
    tx: Transaction,
    { saga, runnable }: Pick<Begun, 'saga' | 'runnable'>,
    { event, state, durationMs = 0 }: { readonly event: SagaEvent; readonly state?: string; readonly durationMs?: number },
  ): Promise<Written> {
    const { store, random, isStopping } = this.parts;
    const decision = decide(runnable.definition, { progress: saga.progress, event }, random);
    const { progress, notes, commands } = decision;
    const afterMs = dueAfterMs(decision);
    const isTaken = afterMs === 0 && !isStopping();
    await store.change(tx, { id: saga.id, state, progress, notes, afterMs, isTaken });
    const end = afterMs === undefined ? 'ended' : isTaken ? 'next' : 'waits';
    return { end, tell: () => tellOf({ saga, event, progress, durationMs, delayMs: commands.length > 0 ? afterMs : undefined }) };
  }
}

/** A COMMIT whose outcome was unknown: by now it is known that there was none, and what broke the connection passes. */
function reasonOf(error: unknown): unknown {
  return isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN') ? (error as Error).cause : error;
}

function readState({ saga, id, state }: StoredSaga): ReadState {
  try {
    return { value: decodeState(state, { saga, id }) };
  } catch (error) {
    return { error };
  }
}

/** An instance was started under a definition that was changed under the same version. */
export function changedError({ saga, version, outline }: SagaOutline, here: string): HoldfastError {
  return hfError('HF_SAGA_CHANGED', { saga, version, found: outline, here });
}

/** When an instance is to be worked on next; undefined: not by itself. */
export function dueAfterMs({ commands }: SagaDecision): number | undefined {
  const [command] = commands;
  return command?.do === 'run' || command?.do === 'undo' ? command.afterMs : undefined;
}

/** Tells of a change that is committed. */
function tellOf({
  saga,
  event,
  progress,
  durationMs,
  delayMs,
}: {
  readonly saga: StoredSaga;
  readonly event: SagaEvent;
  readonly progress: SagaProgress;
  readonly durationMs: number;
  readonly delayMs: number | undefined;
}): void {
  const { status, step, attempts } = saga.progress;
  const facts = { saga: saga.saga, id: saga.id, version: saga.version };
  const ofStep = { ...facts, step: step ?? '', attempt: attempts + 1, isUndoing: status === 'compensating', durationMs };
  if (event.kind === 'done') emit('saga:step-done', () => ofStep);
  else if ('error' in event) emit('saga:step-failed', () => ({ ...ofStep, ...failureFacts(event.error), delayMs }));
  tellEnd(facts, progress);
}

/** Tells that a saga has ended, or waits for a person. */
export function tellEnd(facts: { readonly saga: string; readonly id: string; readonly version: number }, progress: SagaProgress): void {
  const { status, parked } = progress;
  if (parked !== undefined) emit('saga:parked', () => ({ ...facts, failure: parked.failure }));
  if (status === 'completed' || status === 'compensated') emit('saga:ended', () => ({ ...facts, status }));
}

/** Hashed, because a foreign API limits the length and the characters of its header. */
function keyOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}

/** Longest time-out of all steps. */
export function longestStepMs(definitions: readonly SagaDefinition[]): number {
  return Math.max(0, ...definitions.flatMap(({ steps }) => steps.map(({ timeoutMs }) => timeoutMs)));
}
