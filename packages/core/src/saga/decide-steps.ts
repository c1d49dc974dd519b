import { hfError } from '../errors/catalogue.js';
import { describeFailure } from '../errors/describe-failure.js';
import { isDroppedPromise } from '../errors/dropped-promise.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { decideRetry, type FailedAttempt, type RetryDecision, type RetryPolicy, retryPolicy } from '../delivery/retry-policy.js';
import type { Random } from '../time/random.js';
import { branchTimesAreUp, closeBranches, openBranch } from './branch-times.js';
import { goBack, settled, takeBack, turnBack, undone } from './decide-back.js';
import type { SagaDraft } from './saga-draft.js';
import { failureAt, type SagaEvent } from './saga-event.js';
import { AT_ONCE, inVain, isPastPivot, type KeptSignal, requestOf, sentRequest, type SagaWait, type StepAt } from './saga-progress.js';

const DEFAULT_RETRY = retryPolicy(undefined, () => undefined, 'a saga');

/** Opens the steps whose predecessors are passed; with none left the saga is completed. */
export function openNext(draft: SagaDraft): void {
  const passed = new Set([...draft.done.map(({ step }) => step), ...draft.leftOut]);
  // In the order of the definition, in which each step comes behind those it waits for.
  for (const { name, after, when } of draft.definition.steps) {
    if (passed.has(name) || draft.find(name) !== undefined || !after.every((before) => passed.has(before))) continue;
    let isWanted = true;
    try {
      isWanted = when === undefined || when(draft.state as never);
      if (isDroppedPromise(isWanted)) throw new NonRetryableError(`the condition of step ${name} gave a promise: it must answer at once`);
    } catch (error) {
      draft.begin(name, 'running');
      givenUp(draft, draft.change(draft.find(name) as StepAt, { isUnasked: true }), error);
      return;
    }
    openBranch(draft, name);
    if (isWanted) {
      draft.begin(name, 'running');
      continue;
    }
    passed.add(name);
    draft.leftOut = [...draft.leftOut, name];
    draft.note(name, 'left-out');
  }
  closeBranches(draft);
  if (draft.at.length === 0) draft.end('completed');
}

/** A step, or its compensation, is done. */
export function finish(draft: SagaDraft, entry: StepAt, how: 'done' | 'answered' | 'skipped'): void {
  if (entry.way === 'compensating') {
    undone(draft, entry, how === 'skipped' ? how : 'undone');
    return;
  }
  draft.remove(entry);
  draft.note(entry.step, how === 'skipped' ? how : 'done');
  const request = sentRequest(entry, how === 'answered');
  draft.done = [...draft.done, request === undefined ? { step: entry.step } : { step: entry.step, request }];
  if (draft.direction === 'compensating') goBack(draft);
  else openNext(draft);
}

/** An attempt has failed: again, or no more. */
export function failed(draft: SagaDraft, entry: StepAt, error: unknown): void {
  const step = draft.stepOf(entry);
  const policy = entry.way === 'running' ? step.retry : step.compensationRetry;
  const attempt = entry.attempts + 1;
  const next = entry.isSingle ? ({ kind: 'dead' } as const) : decideSafely(policy, { error, attempt }, draft.given.random);
  if (next.kind === 'dead') {
    givenUp(draft, entry, error);
    return;
  }
  const { nowMs } = draft.given;
  const waits = entry.waits?.map((wait) => ({ ...wait, untilMs: undefined }));
  draft.note(entry.step, failedNote(entry), describeFailure(error).message);
  const isAtOnce = next.delayMs === 0;
  const changed = draft.change(entry, { attempts: attempt, callMs: isAtOnce ? AT_ONCE : nowMs + next.delayMs, waits });
  // Those beside it come before its next attempt, as often as it may fail.
  if (isAtOnce) draft.at = [...draft.at.filter((one) => one !== changed), changed];
  draft.call(entry.step, entry.way, next.delayMs);
}

/** No more attempts: back, or where that is not possible, to a person. */
export function givenUp(draft: SagaDraft, entry: StepAt, error: unknown): void {
  const failure = failureAt(entry, error);
  draft.note(entry.step, failedNote(entry), failure.message);
  const request = requestOf(entry);
  const isOnTheWayBack = draft.direction === 'compensating' && entry.way === 'running';
  if (isOnTheWayBack && !request?.isForeign) takeBack(draft, entry);
  else if (draft.direction === 'compensating' || request?.isForeign || isPastPivot(draft.definition, draft.decision.progress))
    draft.park(entry, failure);
  else turnBack(draft, failure);
}

/** Something that a step waits for came from elsewhere. What nobody waits for any more changes nothing. */
export function answered(draft: SagaDraft, event: Extract<SagaEvent, { kind: 'answered' | 'refused' | 'signalled' | 'ended' }>): void {
  const isMeant = (wait: SagaWait): boolean => {
    if (event.kind === 'signalled') return wait.kind === 'signal' && wait.type === event.type && wait.key === event.key;
    return (wait.kind === 'request' || wait.kind === 'saga') && wait.id === event.id;
  };
  const entries = draft.at.filter(({ waits }) => waits?.some(isMeant));
  if (entries.length === 0 && (event.kind === 'answered' || (event.kind === 'refused' && event.isDefinite)))
    settled(draft, event.id, event.kind);
  if (entries.length === 0 && event.kind === 'signalled') keepSignal(draft, event);
  for (const entry of entries) {
    const wait = entry.waits?.find(isMeant) as SagaWait;
    const failure = failureIn(event, aboutOf(draft, entry));
    unpark(draft, entry);
    if (failure !== undefined) {
      // What a request certainly did not do has nothing to undo.
      const isDefinite = event.kind !== 'refused' || event.isDefinite;
      givenUp(draft, draft.change(entry, isDefinite ? inVain(entry, wait) : { callMs: undefined }), failure.error);
      continue;
    }
    draft.keep('into' in wait ? wait.into : undefined, valueIn(event));
    finish(draft, entry, event.kind === 'answered' ? 'answered' : 'done');
  }
}

/** Of several that a step waited for the first one ended it, and the others have come too. */
function keepSignal(draft: SagaDraft, { type, key, value }: KeptSignal): void {
  draft.kept = [...draft.kept.filter((one) => one.type !== type || one.key !== key), { type, key, value }];
}

/** What a step begins to wait for may be there already. */
export function takeKept(draft: SagaDraft, waits: readonly SagaWait[]): void {
  const isMeant = ({ type, key }: KeptSignal) => waits.some((wait) => wait.kind === 'signal' && wait.type === type && wait.key === key);
  const found = draft.kept.find(isMeant);
  if (found === undefined) return;
  draft.kept = draft.kept.filter((one) => one !== found);
  answered(draft, { kind: 'signalled', ...found });
}

/** What waited until now: it is done when it waited for the time, and has failed when it waited for something else. So has a branch that took too long. */
export function timeIsUp(draft: SagaDraft): void {
  const { nowMs } = draft.given;
  for (const entry of draft.at) {
    const over = entry.waits?.filter(({ untilMs }) => untilMs !== undefined && untilMs <= nowMs) ?? [];
    const [wait] = over;
    // What was decided for the one before may have ended this one too.
    if (wait === undefined || draft.find(entry.step) !== entry) continue;
    const about = aboutOf(draft, entry);
    if (over.some(({ kind }) => kind === 'time')) finish(draft, entry, 'done');
    else if (wait.kind === 'request')
      unanswered(draft, entry, hfError('HF_SAGA_REPLY_TIMEOUT', { ...about, type: wait.type, request: wait.id }));
    else if (wait.kind === 'signal')
      givenUp(
        draft,
        draft.change(entry, inVain(entry, wait)),
        hfError('HF_SAGA_WAIT_TIMEOUT', { ...about, type: wait.type, key: wait.key }),
      );
  }
  branchTimesAreUp(draft);
}

/** On the way back nothing is asked for again: whoever was asked answers, or a person looks. */
function unanswered(draft: SagaDraft, entry: StepAt, error: unknown): void {
  if (draft.direction === 'compensating' && entry.way === 'running') givenUp(draft, entry, error);
  else failed(draft, entry, error);
}

/** What a saga was parked for came after all. */
function unpark(draft: SagaDraft, { step, isStopped }: StepAt): void {
  if (!isStopped || draft.at.some((other) => other.isStopped && other.step !== step)) return;
  draft.status = draft.direction;
  draft.parked = undefined;
}

function failureIn(event: SagaEvent, about: ReturnType<typeof aboutOf>): { readonly error: unknown } | undefined {
  if (event.kind === 'refused') return { error: event.error };
  if (event.kind !== 'ended' || event.failure === undefined) return undefined;
  return { error: hfError('HF_SAGA_CHILD_COMPENSATED', { ...about, child: event.id, reason: event.failure.message }) };
}

/** What an error says of where it happened. */
function aboutOf({ definition, given }: SagaDraft, { step }: StepAt) {
  return { step, saga: definition.name, id: given.id };
}

function valueIn(event: SagaEvent): unknown {
  if (event.kind === 'ended') return event.state;
  return event.kind === 'answered' || event.kind === 'signalled' ? event.value : undefined;
}

/** A `backoff` of the user that throws, or gives no duration, may not keep an attempt from being counted. */
function decideSafely(policy: RetryPolicy, attempt: FailedAttempt, random: Random): RetryDecision {
  try {
    return decideRetry(policy, attempt, random);
  } catch {
    return decideRetry({ ...policy, delayMs: DEFAULT_RETRY.delayMs }, attempt, random);
  }
}

function failedNote({ way }: StepAt): 'undo-failed' | 'failed' {
  return way === 'compensating' ? 'undo-failed' : 'failed';
}
