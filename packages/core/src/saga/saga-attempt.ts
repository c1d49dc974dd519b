import { createHash } from 'node:crypto';
import type { Outgoing } from '../bus/outgoing.js';
import { TimedCall } from '../delivery/timed-call.js';
import type { WorkInHand } from '../delivery/work-in-hand.js';
import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import type { Logger } from '../monitoring/logger.js';
import { failpoint } from '../testing/failpoints.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler, Timer } from '../time/scheduler.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitEngine } from '../unit-of-work/unit-engine.js';
import { reasonOfUnknown } from '../unit-of-work/unknown-commit.js';
import { createSagaContext, hasDropped } from './saga-context.js';
import { type CallFacts, isSameCall, SagaCourse } from './saga-course.js';
import { stepOf, type SagaStepDefinition } from './saga-definition.js';
import type { SagaEvent } from './saga-event.js';
import type { RunnableSaga, SagaCall } from './saga-plan.js';
import { requestOf, type SagaWait, type SentRequest, type StepAt } from './saga-progress.js';
import { inSaga } from './saga-scope.js';
import { decodeState, encodeState } from './saga-state.js';
import { assertSameRequest, type RequestRoute } from './same-request.js';
import { changesOf, withChanges } from './state-changes.js';
import { type AskedFor, askedBy, StepOutcome } from './step-outcome.js';
import type { StepsElsewhere } from './steps-elsewhere.js';
import type { LockedSaga, SagaStore, StoredSaga } from './saga.store.port.js';

/** Beyond the time-out of a step, for its rollback, its failure and the commit: then the unit is broken off, whatever its statements wait for. */
const GRACE_MS = 5000;
/** For the unit that records what became of one that is gone; it may wait for the end of somebody else's attempt. */
const RECORD_TIMEOUT_MS = 60_000;

/** Characters of the id of an instance. */
const ID_LENGTH = 255;

/** What attempts work with. */
export interface SagaAttemptParts {
  readonly store: SagaStore;
  readonly units: UnitEngine<Outgoing>;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly inHand: WorkInHand;
  readonly logger: Logger;
  /** Undefined for a definition this process does not have. */
  readonly sagaOf: (saga: string, version: number) => RunnableSaga | undefined;
  readonly asking: SagaAsking;
  /** Where no step has another DataSource it is not needed. */
  readonly elsewhere?: StepsElsewhere | undefined;
  /** Other instances may have something to do. */
  readonly nudge: () => void;
  /** The longest of all steps. */
  readonly longestStepMs: number;
  /** True when this process is to take on nothing more. */
  readonly isStopping: () => boolean;
}

/** How a step reaches beyond its process, in its unit of work. */
export interface SagaAsking {
  /** Leaves a request with the unit in scope; the CloudEvents type of its command, and where it goes. */
  request(asked: SagaRequest): Promise<RequestRoute>;
  /** Starts a child in the unit in scope, unless it is there already. */
  start(asked: SagaChild): Promise<void>;
}

/** A request of a step. */
export interface SagaRequest extends Pick<Extract<AskedFor, { kind: 'request' }>, 'command' | 'options'> {
  /** The same each time it is sent. */
  readonly id: string;
  readonly sagaId: string;
  /** When it was sent first, on this process's clock: the other end remembers it for so long from then on. */
  readonly sentMs: number;
  /** The request that it undoes. */
  readonly compensates: SentRequest | undefined;
}

/** A child of a step. */
export interface SagaChild extends Pick<Extract<AskedFor, { kind: 'saga' }>, 'saga' | 'state'> {
  readonly id: string;
  readonly parent: string;
}

/** What became of an instance: `next`: it goes on at once; `waits`: it is due later; `ended`: also parked; `left`: it is not ours, or not now. */
export type AttemptEnd = 'next' | 'waits' | 'ended' | 'left';

/** An attempt as it was begun. */
interface Begun {
  readonly saga: StoredSaga;
  readonly runnable: RunnableSaga;
  readonly startedMs: number;
  /** The step that is called. */
  entry?: StepAt;
  /** What the step threw, whatever became of its unit afterwards. */
  failure?: { readonly error: unknown };
}

/** What the call of a step has left: the state as it is stored, and what it waits for. */
interface Left {
  readonly state: string;
  readonly waits: readonly SagaWait[] | undefined;
}

/** What a unit has written, to be told when it is committed. */
interface Written {
  readonly end: AttemptEnd;
  readonly tell: () => void;
}

const LEFT: Written = { end: 'left', tell: () => undefined };

/**
 * One attempt at one step of one instance: its row is locked, what has come for it is taken in, the step runs behind a savepoint, and what it wrote,
 * the progress of the saga and the messages it published are one COMMIT. A failed attempt is undone to the savepoint and counted in the same
 * transaction, so that no other process can make one in between.
 */
export class SagaAttempts {
  constructor(private readonly parts: SagaAttemptParts) {}

  /** Makes the next attempt at an instance this process has claimed. Throws what is no failure of a step: the database is away, this process stops. */
  async next(id: string): Promise<AttemptEnd> {
    const { store, units, longestStepMs, clock } = this.parts;
    let begun: Begun | undefined;
    let written: Written;
    try {
      written = await units.runFramework({ timeout: longestStepMs + 2 * GRACE_MS }, async (tx) => {
        const locked = await store.lock(tx, id, { waits: false });
        const runnable = locked && this.parts.sagaOf(locked.saga.saga, locked.saga.version);
        if (locked === undefined || runnable === undefined) return LEFT;
        failpoint('saga:after-lock');
        begun = { saga: locked.saga, runnable, startedMs: clock.monotonicMs() };
        const course = new SagaCourse(locked.saga, runnable, this.parts.random);
        if (course.isSkipped()) await this.keepSkipped(course);
        const entry = course.catchUp() ? course.callable() : undefined;
        if (entry === undefined) return this.write(tx, course);
        return this.attempt(tx, locked, { course, begun: Object.assign(begun, { entry }) });
      });
    } catch (thrown) {
      const error = begun?.failure === undefined ? reasonOfUnknown(thrown) : begun.failure.error;
      if (begun?.entry === undefined || isHoldfastError(error, 'HF_STOPPING')) throw error;
      written = await this.record(begun, error);
    }
    written.tell();
    failpoint('saga:after-step');
    return written.end;
  }

  /** What somebody has done by hand is not to happen in another DataSource as well; where it has, it cannot be skipped. */
  private async keepSkipped(course: SagaCourse): Promise<void> {
    const step = course.elsewhere();
    if (step === undefined) return;
    await this.parts.elsewhere?.skip(step).catch((error: unknown) => {
      if (!isHoldfastError(error, 'HF_SAGA_STEP_COMMITTED')) throw error;
      course.refuseSkip(error);
    });
  }

  private async attempt(
    tx: Transaction,
    { savepoint }: LockedSaga,
    { course, begun }: { readonly course: SagaCourse; readonly begun: Begun },
  ): Promise<Written> {
    const { clock, units } = this.parts;
    const entry = begun.entry as StepAt;
    const startedMs = clock.monotonicMs();
    const breaking = this.breakingOff(begun);
    const call = (event: SagaEvent): CallFacts => ({ entry, event, durationMs: clock.monotonicMs() - startedMs });
    const { step } = entry;
    let left: Left;
    try {
      left = await units.runBehind(savepoint, () => this.called(begun, course));
      failpoint('saga:after-call');
    } catch (thrown) {
      const error = begun.failure === undefined ? thrown : begun.failure.error;
      if (isHoldfastError(error, 'HF_STOPPING')) throw error;
      return this.write(tx, course, call({ kind: 'failed', step, error }));
    } finally {
      breaking.cancel();
    }
    course.left(left.state);
    return this.write(tx, course, call(left.waits === undefined ? { kind: 'done', step } : { kind: 'waits', step, waits: left.waits }));
  }

  private async called(begun: Begun, course: SagaCourse): Promise<Left> {
    try {
      return await this.call(begun, course);
    } catch (error) {
      begun.failure = { error };
      throw error;
    }
  }

  /** Runs the step, or its compensation, and does what it asks for; the state it leaves, as it is stored, and what it waits for. */
  private async call(begun: Begun, course: SagaCourse): Promise<Left> {
    const { saga, runnable } = begun;
    const entry = begun.entry as StepAt;
    const step = stepOf(runnable.definition, entry.step) as SagaStepDefinition;
    const isUndoing = entry.way === 'compensating';
    const run = (isUndoing ? runnable.compensations : runnable.runs).get(step.name) as SagaCall;
    const owner = { saga: saga.saga, id: saga.id, step: step.name };
    const { name, timeoutMs } = step;
    const call = new TimedCall(this.parts, {
      activity: `the step ${name} of the saga ${saga.saga} ${saga.id}`,
      timeoutMs,
      tooLong: () => hfError('HF_SAGA_STEP_TIMEOUT', { ...owner, timeoutMs }),
    });
    const context = createSagaContext<unknown>({
      id: saga.id,
      step: name,
      state: decodeState(course.state, owner),
      attempt: entry.attempts + 1,
      idempotencyKey: keyOf(saga, step.name, isUndoing ? 'undo' : 'run'),
      signal: () => call.signal,
      failure: course.progress.failure,
      signals: runnable.definition.signals,
    });
    let waits: readonly SagaWait[] | undefined;
    const method = async () => {
      const returned = await inSaga(saga.id, () => run(context as never));
      if (hasDropped(context, returned)) throw hfError('HF_SAGA_OUTCOME_DROPPED', owner);
      if (!(returned instanceof StepOutcome)) return;
      if (step.dataSource !== undefined) throw hfError('HF_SAGA_STEP_ELSEWHERE', { ...owner, dataSource: step.dataSource });
      waits = await this.ask(begun, course, askedBy(returned));
    };
    if (step.dataSource !== undefined) {
      const left = async () => {
        await call.run(method);
        return encodeState(context.state, owner);
      };
      return { state: await this.callElsewhere(begun, course, { step, dataSource: step.dataSource, left }), waits };
    }
    await call.run(method);
    return { state: encodeState(context.state, owner), waits };
  }

  /** Runs a step in its own DataSource; the state of the saga with what it has left there. */
  private async callElsewhere(
    { saga, entry }: Begun,
    course: SagaCourse,
    { step, dataSource, left }: { readonly step: SagaStepDefinition; readonly dataSource: string; readonly left: () => Promise<string> },
  ): Promise<string> {
    const { elsewhere } = this.parts;
    if (elsewhere === undefined) throw hfError('HF_INVARIANT', { fact: `nothing runs steps in ${dataSource}` });
    const { name, timeoutMs } = step;
    const isUndoing = entry?.way === 'compensating';
    const isUnsure = isUndoing && course.progress.done.find((done) => done.step === name)?.isUnsure === true;
    const guarded = { sagaId: saga.id, sagaNumber: saga.number, step: name, operation: isUndoing ? 'undo' : 'run' } as const;
    const run = async () => changesOf(course.state, await left());
    // Whether it was committed is known by the next attempt, from its guard row.
    const changes = await elsewhere.run({ dataSource, timeoutMs, guarded, isUnsure }, run).catch((error: unknown) => {
      throw reasonOfUnknown(error);
    });
    failpoint('saga:after-step-elsewhere');
    return encodeState(withChanges(course.state, changes), { saga: saga.saga, id: saga.id, step: name });
  }

  /** Does what a step asks for, in its unit; what it waits for from now on. */
  private async ask(begun: Begun, course: SagaCourse, asked: readonly AskedFor[]): Promise<readonly SagaWait[]> {
    const { saga, runnable, startedMs } = begun;
    const entry = begun.entry as StepAt;
    const nowMs = saga.nowMs + this.parts.clock.monotonicMs() - startedMs;
    const waits: SagaWait[] = [];
    for (const one of asked) {
      if (one.kind === 'time')
        waits.push({ kind: 'time', untilMs: 'at' in one.until ? one.until.at.getTime() : nowMs + one.until.afterMs });
      else if (one.kind === 'signal')
        waits.push({ kind: 'signal', type: one.type, key: one.key, into: one.into, untilMs: nowMs + one.forMs });
      else if (one.kind === 'saga') {
        const id = childIdOf(saga, entry);
        await this.parts.asking.start({ saga: one.saga, state: one.state, id, parent: saga.id });
        waits.push({ kind: 'saga', id, into: one.into });
      } else {
        const { timeoutMs } = stepOf(runnable.definition, entry.step) as SagaStepDefinition;
        const { into, foreign } = one.options;
        const id = keyOf(saga, entry.step, entry.way === 'running' ? 'request' : 'undo request', String(entry.round ?? 0));
        const compensates = entry.way === 'running' ? undefined : course.progress.done.find(({ step }) => step === entry.step)?.request;
        const before = requestOf(entry);
        const sentMs = before?.sentMs ?? this.parts.clock.now().getTime();
        const route = await this.parts.asking.request({ ...one, id, sagaId: saga.id, sentMs, compensates });
        assertSameRequest(before, route, { saga: saga.saga, id: saga.id, step: entry.step });
        waits.push({
          kind: 'request',
          id,
          ...route,
          sentMs,
          into,
          isForeign: foreign === true ? true : undefined,
          untilMs: nowMs + timeoutMs,
        });
      }
    }
    return waits;
  }

  /** A statement that does not answer holds up the rollback to the savepoint too. */
  private breakingOff({ runnable, entry }: Begun): Timer {
    const { units, scheduler } = this.parts;
    const unit = units.current();
    const timeoutMs = stepOf(runnable.definition, entry?.step)?.timeoutMs ?? 0;
    return scheduler.after(timeoutMs + GRACE_MS, () => unit?.breakOff(timeoutMs));
  }

  /** The unit of the attempt is gone, or nobody knows: what is stored tells whether it was committed. Waits for whoever has it by now. */
  private record({ saga, runnable, entry }: Begun, error: unknown): Promise<Written> {
    const { store, units, random } = this.parts;
    failpoint('saga:before-record');
    return units.runFramework({ timeout: RECORD_TIMEOUT_MS }, async (tx) => {
      const locked = await store.lock(tx, saga.id, { waits: true });
      if (locked?.saga.revision !== saga.revision || locked.saga.deaths !== saga.deaths) return LEFT;
      const course = new SagaCourse(locked.saga, runnable, random);
      // What had come for it comes again, and opens the step again that was tried, unless more has come.
      const next = course.catchUp() ? course.callable() : undefined;
      if (entry === undefined || next === undefined || !isSameCall(next, entry)) return this.write(tx, course);
      return this.write(tx, course, { entry, event: { kind: 'failed', step: entry.step, error }, durationMs: 0 });
    });
  }

  private async write(tx: Transaction, course: SagaCourse, call?: CallFacts): Promise<Written> {
    const { store, isStopping, nudge, logger } = this.parts;
    if (call !== undefined) course.happen(call.event, call.durationMs);
    const change = course.change((afterMs) => afterMs === 0 && !isStopping());
    await store.change(tx, change);
    const end =
      course.progress.status === 'running' || course.progress.status === 'compensating' ? (change.isTaken ? 'next' : 'waits') : 'ended';
    const tell = () => {
      course.tell(logger, call, end === 'ended' ? undefined : change.afterMs);
      const hasChild = call?.event.kind === 'waits' && call.event.waits.some(({ kind }) => kind === 'saga');
      // What has come for a parked one meanwhile is taken in too, though it is not at work.
      const isParked = course.progress.status === 'parked';
      const isReaching = change.reach !== undefined && (change.reach.tells.length > 0 || change.reach.frees !== undefined);
      if (isReaching || isParked || (hasChild && end === 'next')) nudge();
    };
    return { end, tell };
  }
}

/** Of one life of an instance: its id may be used again. Hashed, because a foreign API limits the length and the characters of its header. */
function keyOf({ saga, id, number }: StoredSaga, ...parts: readonly string[]): string {
  return createHash('sha256')
    .update(JSON.stringify([saga, id, number, ...parts]))
    .digest('hex')
    .slice(0, 32);
}

/** One for each time that the step is begun anew. */
function childIdOf(saga: StoredSaga, { step, round }: StepAt): string {
  const name = `/${step}${round === undefined ? '' : `#${round}`}`;
  return saga.id.length + name.length <= ID_LENGTH ? saga.id + name : keyOf(saga, name);
}
