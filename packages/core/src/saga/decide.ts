import { hfError } from '../errors/catalogue.js';
import type { HoldfastError } from '../errors/holdfast-error.js';
import type { Random } from '../time/random.js';
import { cancelled, goBack, outOfTime } from './decide-back.js';
import { answered, failed, finish, givenUp, openNext, takeKept, timeIsUp } from './decide-steps.js';
import { outlineOf, type SagaDefinition, type SagaFailure, type SagaStepDefinition, stepOf } from './saga-definition.js';
import { SagaDraft } from './saga-draft.js';
import { failureAt, type SagaDecision, type SagaEvent, type SagaMoment } from './saga-event.js';
import { AT_ONCE, isPastPivot, requestOf, type SagaProgress, type StepAt, stepsAt, stoppedStep, waitText } from './saga-progress.js';

const NOWHERE: SagaProgress = { status: 'running', at: [], done: [], leftOut: [], lock: undefined, failure: undefined, parked: undefined };

const UNNAMED = '(unnamed)';

/** How a saga begins. */
export function begin(
  definition: SagaDefinition,
  { id = UNNAMED, state = {}, nowMs = 0, random }: Pick<SagaMoment, 'id' | 'state' | 'nowMs'> & { readonly random: Random },
): SagaDecision {
  const draft = new SagaDraft(definition, NOWHERE, { id, state, nowMs, random });
  draft.note(undefined, 'started');
  openNext(draft);
  return draft.decision;
}

/** Why an instance cannot be where it stands: its definition was changed, and going on would run steps twice, leave them out or drop what undoes them. */
export function misfitOf(
  definition: SagaDefinition,
  { id, progress }: { readonly id: string; readonly progress: SagaProgress },
): HoldfastError | undefined {
  const { name: saga, version, steps } = definition;
  if (progress.unread !== undefined) return hfError('HF_SAGA_PROGRESS', { saga, id, version });
  const done = progress.done.map(({ step }) => step);
  const passed = new Set([...done, ...progress.leftOut]);
  const isBehindPassed = (name: string) => stepOf(definition, name)?.after.every((before) => passed.has(before)) === true;
  const isPlaced = ({ step, way }: StepAt) =>
    way === 'running' ? isBehindPassed(step) : stepOf(definition, step)?.compensation !== undefined;
  const isWhole = steps.filter(({ name }) => passed.has(name)).length === passed.size && done.every(isBehindPassed);
  if (isWhole && progress.at.every(isPlaced)) return undefined;
  return hfError('HF_SAGA_STEP_UNKNOWN', {
    saga,
    id,
    version,
    step: stepsAt(progress),
    done: done.length === 0 ? 'nothing' : done.join(', '),
    here: outlineOf(definition),
  });
}

/** Attempts that may be made at the step, or at its compensation. */
export function attemptsOf(step: SagaStepDefinition, { way, isSingle }: Pick<StepAt, 'way' | 'isSingle'>): number {
  if (isSingle) return 1;
  return (way === 'compensating' ? step.compensationRetry : step.retry).attempts;
}

/**
 * Decides what an event means for a saga. Pure: the same definition, progress, state, event, time and random numbers give the same answer.
 *
 * Forward, a step that fails for good turns the saga back, and what is done is undone in the reverse order of completion, with it what may be
 * done because nobody answered; behind the pivot it parks instead. A compensation that fails for good parks. So every saga ends completed,
 * compensated, or parked.
 *
 * @source Garcia-Molina and Salem, "Sagas" (SIGMOD 1987): backward recovery, forward recovery behind a save-point
 */
export function decide(
  definition: SagaDefinition,
  { id = UNNAMED, progress, event, state = {}, nowMs = 0 }: SagaMoment,
  random: Random,
): SagaDecision {
  const draft = new SagaDraft(definition, progress, { id, state, nowMs, random });
  if (progress.status === 'completed' || progress.status === 'compensated') return draft.decision;
  const misfit = event.kind === 'stuck' ? undefined : misfitOf(definition, { id, progress });
  if (progress.status === 'parked') whileParked(draft, event, misfit);
  else if (misfit !== undefined) stuck(draft, misfit);
  else whileAtWork(draft, event);
  return draft.decision;
}

function whileAtWork(draft: SagaDraft, event: SagaEvent): void {
  switch (event.kind) {
    case 'done':
    case 'waits':
    case 'failed':
    case 'given-up':
      called(draft, event);
      break;
    case 'answered':
    case 'refused':
    case 'signalled':
    case 'ended':
      answered(draft, event);
      break;
    case 'unlocked':
      unlocked(draft);
      break;
    case 'time':
      timeIsUp(draft);
      break;
    case 'timed-out':
      // What is being undone takes as long as it takes.
      outOfTime(draft, failureAt(draft.at[0], event.error));
      break;
    case 'cancelled':
      cancelled(draft, failureAt(draft.at[0], event.error));
      break;
    case 'stuck':
      stuck(draft, event.error);
  }
}

/** What the call of a step, or of its compensation, came to. */
function called(draft: SagaDraft, event: Extract<SagaEvent, { kind: 'done' | 'waits' | 'failed' | 'given-up' }>): void {
  const entry = draft.find(event.step);
  if (entry?.callMs === undefined) return;
  if (event.kind === 'failed') failed(draft, entry, event.error);
  else if (event.kind === 'given-up') givenUp(draft, entry, event.error);
  else if (event.kind === 'done') finish(draft, entry, 'done');
  else {
    // What an earlier attempt has asked for may still be answered, and may have to be undone.
    const before = requestOf(entry);
    const isKept = before !== undefined && !event.waits.some((wait) => wait.kind === 'request');
    draft.change(entry, { callMs: undefined, waits: isKept ? [...event.waits, { ...before, untilMs: undefined }] : event.waits });
    draft.note(entry.step, 'waiting', event.waits.map(waitText).join(' or '));
    takeKept(draft, event.waits);
  }
}

function unlocked(draft: SagaDraft): void {
  if (draft.lock?.isHeld === false) draft.lock = { ...draft.lock, isHeld: true };
}

function stuck(draft: SagaDraft, error: unknown): void {
  draft.park(undefined, failureAt(draft.at[0], error));
}

function whileParked(draft: SagaDraft, event: SagaEvent, misfit: HoldfastError | undefined): void {
  switch (event.kind) {
    case 'answered':
    case 'refused':
    case 'signalled':
    case 'ended':
      if (misfit === undefined) answered(draft, event);
      break;
    case 'unlocked':
      unlocked(draft);
      break;
    case 'cancelled':
      if (isPastPivot(draft.definition, draft.decision.progress) || draft.direction !== 'running') break;
      draft.free();
      if (misfit !== undefined) stuck(draft, misfit);
      else cancelled(draft, failureAt(draft.at[0], event.error));
      break;
    case 'resumed':
    case 'retried':
    case 'skipped':
      repaired(draft, event, misfit);
  }
}

/** A person lets a parked saga go on. */
function repaired(
  draft: SagaDraft,
  event: Extract<SagaEvent, { kind: 'resumed' | 'retried' | 'skipped' }>,
  misfit: HoldfastError | undefined,
): void {
  const { parked } = draft;
  const { kind } = event;
  const stopped = draft.at.filter(({ isStopped }) => isStopped).map(({ step }) => step);
  const first = stoppedStep(draft);
  draft.free();
  if (kind !== 'skipped' || misfit !== undefined) draft.note(first?.step, kind);
  if (misfit !== undefined) stuck(draft, misfit);
  else if (kind !== 'skipped') {
    for (const entry of draft.at) {
      if (stopped.includes(entry.step)) takeUp(draft, entry, kind);
      else if (entry.callMs !== undefined) draft.call(entry.step, entry.way, Math.max(0, entry.callMs - draft.given.nowMs));
    }
  } else if (first !== undefined) {
    if (event.kind === 'skipped' && event.error !== undefined) {
      draft.note(first.step, kind);
      draft.park(first, failureAt(first, event.error));
    } else skip(draft, first);
    // One was skipped, and the saga still stands for the others.
    for (const entry of draft.at.filter(({ step }) => step !== first.step && stopped.includes(step)))
      draft.park(entry, parked?.failure.step === entry.step ? parked.failure : { ...(parked?.failure as SagaFailure), step: entry.step });
  }
}

/** Goes on with what stopped a saga, with fresh attempts; what may still be answered is asked for under the same id. */
function takeUp(draft: SagaDraft, entry: StepAt, kind: 'resumed' | 'retried'): void {
  const isSingle = kind === 'retried' ? true : undefined;
  if (entry.isUnasked) {
    draft.remove(entry);
    openNext(draft);
    const wanted = draft.find(entry.step);
    if (wanted?.callMs !== undefined) draft.change(wanted, { isSingle });
    return;
  }
  const request = requestOf(entry);
  const isSettling = draft.status === 'compensating' && entry.way === 'running';
  if (isSettling && request !== undefined) {
    const untilMs = draft.given.nowMs + draft.stepOf(entry).timeoutMs;
    draft.change(entry, { waits: [{ ...request, untilMs }] });
    return;
  }
  const round = request === undefined ? (entry.round ?? 0) + 1 : entry.round;
  // Its time is over, and begins again when it asks again.
  const waits = entry.waits?.map((wait) => ({ ...wait, untilMs: undefined }));
  draft.change(entry, { attempts: 0, isSingle, callMs: AT_ONCE, waits, round });
  draft.call(entry.step, entry.way, 0);
}

/** A person has done what the step, or its compensation, should have done, or has seen that it was not done. */
function skip(draft: SagaDraft, { step }: StepAt): void {
  const entry = draft.find(step) as StepAt;
  if (draft.status === 'compensating' && entry.way === 'running') {
    draft.remove(entry);
    draft.note(step, 'skipped');
    goBack(draft);
  } else finish(draft, entry, 'skipped');
}
