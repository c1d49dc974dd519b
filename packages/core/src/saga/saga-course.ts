import { hfError } from '../errors/catalogue.js';
import type { HoldfastError } from '../errors/holdfast-error.js';
import { failureFacts } from '../delivery/handler-call.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Random } from '../time/random.js';
import type { OperatorAction } from '../operations/operators.js';
import type { Refusal } from '../reply/answer.js';
import { attemptsOf, decide, misfitOf } from './decide.js';
import { type SagaDefinition, stepOf, type SagaStepDefinition } from './saga-definition.js';
import type { RepairArrival, SagaArrival, SagaCommand, SagaEvent, SagaNote } from './saga-event.js';
import type { RunnableSaga } from './saga-plan.js';
import { cancelledError, saidBy } from './saga-repairs.js';
import {
  callable,
  nextMs,
  parkingOf,
  requestOf,
  type SagaProgress,
  type SagaWait,
  type StepAt,
  stepsAt,
  stoppedStep,
} from './saga-progress.js';
import { decodeState, encodeState, type StateOwner } from './saga-state.js';
import type { StepElsewhere } from './steps-elsewhere.js';
import type { SagaChange, SagaOutline, SagaReach, SagaTelling, SignalKey, StoredSaga } from './saga.store.port.js';

/** Deaths of processes that no instance is given up for: each may have had another reason, and they say nothing of the step. */
const FEW_DEATHS = 3;

/** What a call of a step came to, for whoever is told. */
export interface CallFacts {
  readonly entry: StepAt;
  readonly event: SagaEvent;
  readonly durationMs: number;
}

/** What becomes of an instance in one unit of work: from what is stored, by one event after another, to one change. */
export class SagaCourse {
  private at: SagaProgress;
  private readonly notes: SagaNote[] = [];
  private readonly commands: SagaCommand[] = [];
  private readonly failures: { readonly step: string; readonly error: unknown }[] = [];
  private stateText: string;
  private stateValue: object | undefined;
  private isDeaf = false;
  /** The time of the last event. */
  private nowMs: number;
  private seen: readonly string[] = [];
  private readonly heard: SignalKey[] = [];
  private skipError: unknown;

  constructor(
    readonly saga: StoredSaga,
    private readonly runnable: RunnableSaga,
    private readonly random: Random,
  ) {
    this.at = saga.progress;
    this.nowMs = saga.nowMs;
    this.stateText = saga.state;
  }

  get progress(): SagaProgress {
    return this.at;
  }

  /** As it is stored, with all that has happened. */
  get state(): string {
    return this.stateText;
  }

  /** What has happened without anybody trying a step: an end of time, what came from elsewhere, deaths. False when nothing is to be tried before that is written. */
  catchUp(): boolean {
    const { saga } = this;
    const trouble = this.trouble();
    if (trouble !== undefined) {
      this.isDeaf = true;
      if (saga.progress.status !== 'parked') this.happen({ kind: 'stuck', error: trouble });
      return false;
    }
    this.seen = saga.arrived.map(({ number }) => number);
    const repair = saga.arrived.findLast(({ event }) => isRepair(event))?.event;
    for (const { event } of saga.arrived) if (!isRepair(event) || (event === repair && this.isAbout(event))) this.arrive(event);
    // What is being undone takes as long as it takes.
    if (saga.isOverdue && this.at.status === 'running') this.happen({ kind: 'timed-out', error: this.overdue() });
    const next = nextMs(this.at);
    if (next !== undefined && next <= saga.nowMs) this.happen({ kind: 'time' });
    const entry = this.callable();
    if (entry === undefined) return true;
    const step = stepOf(this.runnable.definition, entry.step) as SagaStepDefinition;
    if (saga.deaths >= Math.max(attemptsOf(step, entry), FEW_DEATHS)) {
      // They may have died of another step, which this one comes behind. Once that is written the deaths are counted anew, and are of this one.
      if (!saga.progress.at.some((one) => one.callMs !== undefined && isSameCall(one, entry))) return false;
      const { id, deaths } = saga;
      this.happen({
        kind: 'given-up',
        step: step.name,
        error: hfError('HF_SAGA_STEP_KILLED', { step: step.name, saga: saga.saga, id, deaths }),
      });
      return false;
    }
    return true;
  }

  /** Of the step that the saga stands for, or of what undoes it, in another DataSource; undefined: it is in the store's, or nobody here can go on with it. */
  elsewhere(): Pick<StepElsewhere, 'dataSource' | 'guarded'> | undefined {
    const { id: sagaId, number: sagaNumber } = this.saga;
    const entry = stoppedStep(this.at);
    const dataSource = stepOf(this.runnable.definition, entry?.step)?.dataSource;
    if (entry === undefined || dataSource === undefined || this.trouble() !== undefined) return undefined;
    const operation = entry.way === 'compensating' ? 'undo' : 'run';
    return { dataSource, guarded: { sagaId, sagaNumber, step: entry.step, operation } };
  }

  /** True when what has come for it skips the step it stands for. */
  isSkipped(): boolean {
    const word = this.saga.arrived.findLast(({ event }) => isRepair(event))?.event as RepairArrival | undefined;
    return word?.kind === 'skipped' && this.at.status === 'parked' && this.trouble() === undefined && this.isAbout(word);
  }

  /** It cannot be skipped. */
  refuseSkip(error: unknown): void {
    this.skipError = error;
  }

  /** The step to be called now. */
  callable(): StepAt | undefined {
    return callable(this.at, this.saga.nowMs);
  }

  /** Moves on by one event, `sinceMs` after the instance was locked. */
  happen(event: SagaEvent, sinceMs = 0): void {
    const state = this.isDeaf ? {} : this.value;
    const nowMs = this.saga.nowMs + sinceMs;
    this.nowMs = nowMs;
    const decision = decide(this.runnable.definition, { id: this.saga.id, progress: this.at, event, state, nowMs }, this.random);
    const { progress, notes, commands, set } = decision;
    if (Object.keys(set).length > 0 && !this.keeps({ ...state, ...set })) return;
    this.at = progress;
    this.notes.push(...notes);
    this.commands.push(...commands);
    if ('error' in event) this.failures.push({ step: notes[0]?.step ?? '', error: event.error });
  }

  /** Moves on by what a person wants; the first line of the history that it leads to says who. */
  repair(event: SagaEvent, action: OperatorAction): void {
    const first = this.notes.length;
    this.happen(event);
    const note = this.notes[first];
    if (note?.detail === undefined && note !== undefined) this.notes[first] = { ...note, detail: saidBy(action) };
  }

  /** The state that a step has left, as it is stored. */
  left(state: string): void {
    if (state === this.stateText) return;
    this.stateText = state;
    this.stateValue = undefined;
  }

  /** The change that all this comes to. */
  change(isTaken: (afterMs: number | undefined) => boolean): SagaChange {
    const { saga, at: progress, notes, isDeaf } = this;
    const next = nextMs(progress);
    const afterMs = next === undefined ? undefined : Math.max(0, next - this.nowMs);
    const state = this.stateText === saga.state ? undefined : this.stateText;
    return { id: saga.id, state, progress, notes, afterMs, isTaken: isTaken(afterMs), isDeaf, reach: this.reach() };
  }

  /** Tells what has happened, once it is committed. */
  tell(logger: Pick<Logger, 'error'>, call?: CallFacts, delayMs?: number): void {
    const { saga: name, id, version } = this.saga;
    const facts = { saga: name, id, version };
    for (const { step, event } of this.notes) {
      if (step === undefined) continue;
      const isCall = call?.entry.step === step;
      const attempt = (isCall ? call.entry.attempts : (this.saga.progress.at.find((one) => one.step === step)?.attempts ?? 0)) + 1;
      const isUndoing = event === 'undone' || event === 'undo-failed';
      const ofStep = { ...facts, step, attempt, isUndoing, durationMs: isCall ? call.durationMs : 0 };
      if (event === 'done' || event === 'undone') emit('saga:step-done', () => ofStep);
      else if (event === 'failed' || event === 'undo-failed') {
        const error = this.failures.find((failure) => failure.step === step)?.error;
        emit('saga:step-failed', () => ({ ...ofStep, ...failureFacts(error), delayMs }));
      }
    }
    if (this.notes.some(({ event }) => event === 'parked' || event === 'completed' || event === 'compensated'))
      tellEnd(logger, facts, this.at);
  }

  /** False where the saga has moved on since somebody said how. */
  private isAbout({ about }: RepairArrival): boolean {
    const { step, sinceMs } = parkingOf(this.at);
    return about === undefined || (about.step === step && about.sinceMs === sinceMs);
  }

  private eventOf(arrival: SagaArrival): SagaEvent {
    const { id } = this.saga;
    switch (arrival.kind) {
      case 'answered':
      case 'signalled':
        return { ...arrival, value: arrival.value };
      case 'refused': {
        const { refusal } = arrival;
        return { kind: 'refused', id: arrival.id, error: this.refused(arrival.id, refusal), isDefinite: refusal.isDefinite === true };
      }
      case 'unlocked':
        return arrival;
      case 'resumed':
      case 'retried':
        return { kind: arrival.kind };
      case 'skipped':
        return this.skipError === undefined ? { kind: 'skipped' } : { kind: 'skipped', error: this.skipError };
      case 'ended':
        return { kind: 'ended', id: arrival.id, state: arrival.state, failure: arrival.failure };
      case 'cancelled':
        return { kind: 'cancelled', error: cancelledError(id, { ...arrival, step: this.at.at[0]?.step }) };
      default:
        throw hfError('HF_INVARIANT', { fact: `${JSON.stringify(arrival).slice(0, 200)} arrived at a saga` });
    }
  }

  private refused(id: string, { code, message: reason, details }: Refusal): HoldfastError {
    const asked = this.at.at.map(requestOf).find((request) => request?.id === id);
    return hfError('HF_REQUEST_REJECTED', { type: asked?.type ?? 'a command', id, reason, code, details });
  }

  /** Takes in what came from elsewhere; what cannot be understood parks it, once. */
  private arrive(arrival: SagaArrival): void {
    let event: SagaEvent;
    try {
      event = this.eventOf(arrival);
    } catch (error) {
      event = { kind: 'stuck', error };
    }
    if (event.kind === 'signalled') this.heard.push({ type: event.type, key: event.key });
    if ('by' in arrival) this.repair(event, arrival);
    else this.happen(event);
  }

  /** Keeps a state; false where it is too large, which parks the saga as it stood: a person has to say how it goes on without what came. */
  private keeps(state: object): boolean {
    try {
      this.left(encodeState(state, this.owner));
      return true;
    } catch (error) {
      this.happen({ kind: 'stuck', error });
      return false;
    }
  }

  /** Why nobody here can go on with it. */
  private trouble(): unknown {
    const { saga, runnable } = this;
    if (saga.outline !== runnable.outline) return changedUnder(saga, runnable.outline);
    try {
      void this.value;
    } catch (error) {
      return error;
    }
    return misfitOf(runnable.definition, { id: saga.id, progress: this.at });
  }

  /** The state, read; not to be changed. */
  private get value(): object {
    this.stateValue ??= decodeState(this.stateText, this.owner) as object;
    return this.stateValue;
  }

  private get hasEnded(): boolean {
    return this.at.status === 'completed' || this.at.status === 'compensated';
  }

  private overdue(): HoldfastError {
    return hfError('HF_SAGA_TIMEOUT', { ...this.owner, timeoutMs: this.runnable.definition.timeoutMs });
  }

  private get owner(): StateOwner {
    const { saga, id } = this.saga;
    return { saga, id, step: stepsAt(this.at) };
  }

  private reach(): SagaReach | undefined {
    // What it was handed it waits for no more, and may wait for anew.
    const before = without(signalsOf(this.saga.progress), this.heard);
    const after = signalsOf(this.at);
    const tells = this.tells();
    const frees = this.hasEnded ? this.at.lock?.key : undefined;
    if (this.seen.length === 0 && before.length === 0 && after.length === 0 && tells.length === 0 && frees === undefined) return undefined;
    return { seen: this.seen, awaits: without(after, before), awaitsNoMore: without(before, after), tells, frees };
  }

  private tells(): readonly SagaTelling[] {
    const { id, parent } = this.saga;
    const cancelled = this.commands.flatMap((command): readonly SagaTelling[] =>
      command.do === 'cancel'
        ? [{ id: command.id, event: { kind: 'cancelled', by: `the saga ${id}`, reason: this.at.failure?.message ?? 'it turns back' } }]
        : [],
    );
    if (parent === undefined || !this.hasEnded) return cancelled;
    const state = JSON.parse(this.stateText) as unknown;
    const failure = this.at.status === 'compensated' ? this.at.failure : undefined;
    return [...cancelled, { id: parent, event: { kind: 'ended', id, state, failure } }];
  }
}

/** Whether two are calls of the same method for the same purpose. */
export function isSameCall(one: StepAt, other: StepAt): boolean {
  return one.step === other.step && one.way === other.way && one.round === other.round;
}

/** Instances were started under a definition that was changed under the same version. */
export function changedError({ saga, version, outline }: SagaOutline, here: string): HoldfastError {
  return hfError('HF_SAGA_CHANGED', { saga, version, instances: 'instances that have not ended', found: outline, here });
}

/** The same of one instance. */
export function changedUnder({ saga, version, outline, id, progress }: StoredSaga, here: string): HoldfastError {
  const step = stepsAt(progress);
  return hfError('HF_SAGA_CHANGED', { saga, version, id, step, instances: `the instance ${id} (step: ${step})`, found: outline, here });
}

/** Tells that a saga has ended, or waits for a person. */
function tellEnd(
  logger: Pick<Logger, 'error'>,
  facts: { readonly saga: string; readonly id: string; readonly version: number },
  { status, at, parked }: SagaProgress,
): void {
  if (parked !== undefined) {
    const { failure } = parked;
    emit('saga:parked', () => ({ ...facts, failure }));
    logger.error('a saga is parked: a person has to look at it', {
      ...facts,
      step: stoppedStep({ at, parked })?.step,
      while: parked.while,
      code: failure.code,
      message: failure.message,
    });
  }
  if (status === 'completed' || status === 'compensated') emit('saga:ended', () => ({ ...facts, status }));
}

/** Longest time-out of all steps. */
export function longestStepMs(definitions: readonly SagaDefinition[]): number {
  return Math.max(0, ...definitions.flatMap(({ steps }) => steps.map(({ timeoutMs }) => timeoutMs)));
}

function isRepair(arrival: SagaArrival): arrival is RepairArrival {
  return arrival.kind === 'resumed' || arrival.kind === 'retried' || arrival.kind === 'skipped';
}

function signalsOf({ at }: SagaProgress): readonly SignalKey[] {
  const waits = at.flatMap(({ waits: each = [] }): readonly SagaWait[] => each);
  return waits.flatMap((wait) => (wait.kind === 'signal' ? [{ type: wait.type, key: wait.key }] : []));
}

function without(signals: readonly SignalKey[], others: readonly SignalKey[]): readonly SignalKey[] {
  return signals.filter(({ type, key }) => !others.some((other) => other.type === type && other.key === key));
}
