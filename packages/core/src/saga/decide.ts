import { hfError } from '../errors/catalogue.js';
import type { HoldfastError } from '../errors/holdfast-error.js';
import { classify } from '../errors/classify.js';
import { describeFailure } from '../errors/describe-failure.js';
import { decideRetry, type FailedAttempt, type RetryDecision, type RetryPolicy, retryPolicy } from '../delivery/retry-policy.js';
import type { Random } from '../time/random.js';
import { outlineOf, type SagaDefinition, type SagaFailure, type SagaStepDefinition, stepOf } from './saga-definition.js';

const DEFAULT_RETRY = retryPolicy(undefined, () => undefined, 'a saga');

/** How a saga stands. `running` and `compensating` are worked on; the others wait for nobody, or for a person. */
export type SagaStatus = 'running' | 'compensating' | 'completed' | 'compensated' | 'parked';

/** Which way a saga goes. */
export type SagaDirection = 'running' | 'compensating';

/** Where a saga stands: all that `decide` needs of its past. */
export interface SagaProgress {
  readonly status: SagaStatus;
  /** The step to run, or to undo; undefined at the end. */
  readonly step: string | undefined;
  /** Attempts made at it. */
  readonly attempts: number;
  /** Set by an operator's `retry`: one attempt, whatever the policy says. */
  readonly isSingle: boolean;
  /** Steps that are done and not undone, in the order of their completion. */
  readonly done: readonly string[];
  /** Why it turned back. */
  readonly failure: SagaFailure | undefined;
  /** While it is parked: which way it was going, and what stopped it. */
  readonly parked: { readonly while: SagaDirection; readonly failure: SagaFailure } | undefined;
}

/** What happened to a saga. */
export type SagaEvent =
  /** The step, or its compensation, is done. */
  | { readonly kind: 'done' }
  | { readonly kind: 'failed'; readonly error: unknown }
  /** Too many processes have died with it. */
  | { readonly kind: 'given-up'; readonly error: unknown }
  /** The time of the whole saga is over. */
  | { readonly kind: 'timed-out'; readonly error: unknown }
  /** It cannot be worked on: the definition is not the one it was started with, or its state cannot be read. */
  | { readonly kind: 'stuck'; readonly error: unknown }
  | { readonly kind: 'resumed' | 'retried' | 'skipped' }
  | { readonly kind: 'cancelled'; readonly error: unknown };

/** What is to be done next. */
export type SagaCommand =
  | { readonly do: 'run'; readonly step: string; readonly afterMs: number }
  | { readonly do: 'undo'; readonly step: string; readonly compensation: string; readonly afterMs: number }
  | { readonly do: 'end'; readonly status: 'completed' | 'compensated' }
  | { readonly do: 'park'; readonly failure: SagaFailure };

/** One line of a saga's history. */
export interface SagaNote {
  readonly step: string | undefined;
  readonly event: SagaNoteEvent;
  /** What was thrown, if something was. */
  readonly detail: string | undefined;
}

/** What a line of a saga's history tells. */
export type SagaNoteEvent =
  | 'started'
  | 'done'
  | 'failed'
  | 'undone'
  | 'undo-failed'
  | 'turned-back'
  | 'parked'
  | 'resumed'
  | 'retried'
  | 'skipped'
  | 'completed'
  | 'compensated';

/** What an event leads to. */
export interface SagaDecision {
  readonly progress: SagaProgress;
  /** One, as long as steps run one after another; none when the event changes nothing. */
  readonly commands: readonly SagaCommand[];
  readonly notes: readonly SagaNote[];
}

/** How a saga begins. */
export function begin(definition: SagaDefinition): SagaDecision {
  const first = definition.steps[0] as SagaStepDefinition;
  const progress: SagaProgress = {
    status: 'running',
    step: first.name,
    attempts: 0,
    isSingle: false,
    done: [],
    failure: undefined,
    parked: undefined,
  };
  return { progress, commands: [run(first.name)], notes: [note(undefined, 'started')] };
}

/** True when the step that allows no way back is done. */
export function isPastPivot(definition: SagaDefinition, { done }: SagaProgress): boolean {
  return done.some((name) => stepOf(definition, name)?.isPivot === true);
}

/** Why an instance cannot be where it stands: its definition was changed, and going on would run steps twice, leave them out or drop what undoes them. */
export function misfitOf(definition: SagaDefinition, { status, step, done, parked }: SagaProgress): HoldfastError | undefined {
  const { name: saga, version, steps } = definition;
  const isUndoing = (parked?.while ?? status) === 'compensating';
  const passed = isUndoing ? done : [...done, step];
  const isOnTheWay = passed.every((name, at) => steps[at]?.name === name);
  if (isOnTheWay && (!isUndoing || (step === done.at(-1) && stepOf(definition, step)?.compensation !== undefined))) return undefined;
  return hfError('HF_SAGA_STEP_UNKNOWN', {
    saga,
    version,
    step,
    done: done.length === 0 ? 'nothing' : done.join(', '),
    here: outlineOf(definition),
  });
}

/** Attempts that may be made at the step, or at its compensation. */
export function attemptsOf(step: SagaStepDefinition, { status, isSingle }: Pick<SagaProgress, 'status' | 'isSingle'>): number {
  if (isSingle) return 1;
  return (status === 'compensating' ? step.compensationRetry : step.retry).attempts;
}

/**
 * Decides what an event means for a saga. Pure: the same definition, progress, event and random numbers give the same answer.
 *
 * Forward, a step that fails for good turns the saga back, and what is done is undone in the reverse order of completion; behind the pivot it
 * parks instead. A compensation that fails for good parks. So every saga ends completed, compensated, or parked.
 *
 * @source Garcia-Molina and Salem, "Sagas" (SIGMOD 1987): backward recovery, forward recovery behind a save-point
 */
export function decide(
  definition: SagaDefinition,
  { progress, event }: { readonly progress: SagaProgress; readonly event: SagaEvent },
  random: Random,
): SagaDecision {
  if (progress.status === 'parked') return decideParked(definition, { progress, event }, random);
  if (progress.status === 'completed' || progress.status === 'compensated') return nothing(progress);
  const misfit = event.kind === 'stuck' ? undefined : misfitOf(definition, progress);
  if (misfit !== undefined) return park(progress, failureOf(progress, misfit), []);
  switch (event.kind) {
    case 'done':
      return progress.status === 'running' ? stepDone(definition, progress, 'done') : stepUndone(definition, progress, 'undone');
    case 'failed':
      return failed(definition, { progress, error: event.error }, random);
    case 'given-up':
      return givenUp(definition, progress, event.error);
    case 'timed-out':
      return progress.status === 'running' ? givenUp(definition, progress, event.error) : nothing(progress);
    case 'stuck':
      return park(progress, failureOf(progress, event.error), []);
    case 'cancelled':
      return cancelled(definition, progress, event.error);
    default:
      return nothing(progress);
  }
}

function decideParked(
  definition: SagaDefinition,
  { progress, event }: { readonly progress: SagaProgress; readonly event: SagaEvent },
  random: Random,
): SagaDecision {
  const { kind } = event;
  if (kind !== 'resumed' && kind !== 'retried' && kind !== 'skipped' && kind !== 'cancelled') return nothing(progress);
  const status = progress.parked?.while ?? 'running';
  const freed: SagaProgress = { ...progress, status, attempts: 0, isSingle: kind === 'retried', parked: undefined };
  if (kind === 'cancelled') {
    const decision = decide(definition, { progress: freed, event }, random);
    return decision.commands.length === 0 ? nothing(progress) : decision;
  }
  const misfit = misfitOf(definition, freed);
  if (misfit !== undefined) return park(freed, failureOf(freed, misfit), [note(progress.step, kind)]);
  if (kind !== 'skipped') return again(definition, freed, { afterMs: 0, notes: [note(progress.step, kind)] });
  return status === 'running' ? stepDone(definition, freed, 'skipped') : stepUndone(definition, freed, 'skipped');
}

function stepDone(definition: SagaDefinition, progress: SagaProgress, event: 'done' | 'skipped'): SagaDecision {
  const { steps } = definition;
  const notes = [note(progress.step, event)];
  const done = [...progress.done, progress.step as string];
  const next = steps[done.length];
  if (next !== undefined) {
    const on = { ...progress, step: next.name, attempts: 0, isSingle: false, done };
    return { progress: on, commands: [run(next.name)], notes };
  }
  const ended: SagaProgress = { ...progress, status: 'completed', step: undefined, attempts: 0, isSingle: false, done };
  return { progress: ended, commands: [{ do: 'end', status: 'completed' }], notes: [...notes, note(undefined, 'completed')] };
}

function stepUndone(definition: SagaDefinition, progress: SagaProgress, event: 'undone' | 'skipped'): SagaDecision {
  const done = progress.done.slice(0, -1);
  return undoNext(definition, { ...progress, done }, [note(progress.step, event)]);
}

/** The last of the done steps that has something to undo. */
function undoNext(definition: SagaDefinition, progress: SagaProgress, notes: readonly SagaNote[]): SagaDecision {
  const done = [...progress.done];
  for (let last = done.at(-1); last !== undefined; last = done.at(-1)) {
    const step = stepOf(definition, last) as SagaStepDefinition;
    const here: SagaProgress = { ...progress, status: 'compensating', step: last, attempts: 0, isSingle: false, done: [...done] };
    if (step.compensation !== undefined) return { progress: here, commands: [undo(step, 0)], notes };
    done.pop();
  }
  const ended: SagaProgress = { ...progress, status: 'compensated', step: undefined, attempts: 0, isSingle: false, done };
  return { progress: ended, commands: [{ do: 'end', status: 'compensated' }], notes: [...notes, note(undefined, 'compensated')] };
}

function failed(
  definition: SagaDefinition,
  { progress, error }: { readonly progress: SagaProgress; readonly error: unknown },
  random: Random,
): SagaDecision {
  const step = stepOf(definition, progress.step) as SagaStepDefinition;
  const policy = progress.status === 'running' ? step.retry : step.compensationRetry;
  const attempt = progress.attempts + 1;
  const next = progress.isSingle ? ({ kind: 'dead' } as const) : decideSafely(policy, { error, attempt }, random);
  if (next.kind === 'dead') return givenUp(definition, progress, error);
  return again(definition, { ...progress, attempts: attempt }, { afterMs: next.delayMs, notes: [failedNote(progress, error)] });
}

/** A `backoff` of the user that throws, or gives no duration, may not keep an attempt from being counted. */
function decideSafely(policy: RetryPolicy, failed: FailedAttempt, random: Random): RetryDecision {
  try {
    return decideRetry(policy, failed, random);
  } catch {
    return decideRetry({ ...policy, delayMs: DEFAULT_RETRY.delayMs }, failed, random);
  }
}

/** No more attempts: back, or where that is not possible, to a person. */
function givenUp(definition: SagaDefinition, progress: SagaProgress, error: unknown): SagaDecision {
  const failure = failureOf(progress, error);
  const notes = [failedNote(progress, error)];
  if (progress.status === 'running' && !isPastPivot(definition, progress)) return turnBack(definition, progress, { failure, notes });
  return park(progress, failure, notes);
}

/** A compensation goes on as it is, and behind the pivot nothing can be undone. */
function cancelled(definition: SagaDefinition, progress: SagaProgress, error: unknown): SagaDecision {
  if (progress.status !== 'running' || isPastPivot(definition, progress)) return nothing(progress);
  return turnBack(definition, progress, { failure: failureOf(progress, error), notes: [] });
}

function turnBack(
  definition: SagaDefinition,
  progress: SagaProgress,
  { failure, notes }: { readonly failure: SagaFailure; readonly notes: readonly SagaNote[] },
): SagaDecision {
  const turned: SagaNote = { step: progress.step, event: 'turned-back', detail: failure.message };
  return undoNext(definition, { ...progress, status: 'compensating', failure }, [...notes, turned]);
}

function park(progress: SagaProgress, failure: SagaFailure, notes: readonly SagaNote[]): SagaDecision {
  const direction = progress.status === 'compensating' ? 'compensating' : 'running';
  const parked: SagaProgress = { ...progress, status: 'parked', parked: { while: direction, failure } };
  return {
    progress: parked,
    commands: [{ do: 'park', failure }],
    notes: [...notes, { step: progress.step, event: 'parked', detail: failure.message }],
  };
}

/** The same step, or its compensation, once more. */
function again(
  definition: SagaDefinition,
  progress: SagaProgress,
  { afterMs, notes }: { readonly afterMs: number; readonly notes: readonly SagaNote[] },
): SagaDecision {
  const step = stepOf(definition, progress.step) as SagaStepDefinition;
  const command = progress.status === 'running' ? run(step.name, afterMs) : undo(step, afterMs);
  return { progress, commands: [command], notes };
}

function nothing(progress: SagaProgress): SagaDecision {
  return { progress, commands: [], notes: [] };
}

function run(step: string, afterMs = 0): SagaCommand {
  return { do: 'run', step, afterMs };
}

function undo({ name, compensation }: SagaStepDefinition, afterMs: number): SagaCommand {
  return { do: 'undo', step: name, compensation: compensation as string, afterMs };
}

function note(step: string | undefined, event: SagaNoteEvent): SagaNote {
  return { step, event, detail: undefined };
}

function failedNote({ status, step }: SagaProgress, error: unknown): SagaNote {
  return { step, event: status === 'compensating' ? 'undo-failed' : 'failed', detail: describeFailure(error).message };
}

function failureOf({ step }: SagaProgress, error: unknown): SagaFailure {
  return { step: step ?? '', code: classify(error).code, message: describeFailure(error).message };
}
