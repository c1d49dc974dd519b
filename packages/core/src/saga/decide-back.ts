import type { SagaFailure } from './saga-definition.js';
import type { SagaDraft } from './saga-draft.js';
import { inVain, isPastPivot, leftBy, requestOf, type StepAt } from './saga-progress.js';

/** Somebody wants it undone. A compensation goes on as it is, and behind the pivot nothing can be undone. */
export function cancelled(draft: SagaDraft, failure: SagaFailure): void {
  if (draft.status !== 'running' || isPastPivot(draft.definition, draft.decision.progress)) return;
  turnBack(draft, failure);
}

/** Its time is over: back, or where there is no way back, to a person. */
export function outOfTime(draft: SagaDraft, failure: SagaFailure): void {
  if (draft.status !== 'running') return;
  if (isPastPivot(draft.definition, draft.decision.progress)) draft.park(undefined, failure);
  else turnBack(draft, failure);
}

/**
 * The saga turns back. What was asked for elsewhere and not answered may have been done, and is undone as if it were: the other end knows,
 * and so does another DataSource. A step that waits has written what it wrote, and is undone too. Where the
 * other end does not know of undoing, and where a child is at work, their answer is waited for.
 */
export function turnBack(draft: SagaDraft, failure: SagaFailure): void {
  draft.free();
  draft.status = 'compensating';
  draft.branches = [];
  draft.failure = failure;
  draft.note(failure.step, 'turned-back', failure.message);
  // The one that failed comes last, so that it is the first to be undone.
  const inFlight = [...draft.at].sort((a, b) => Number(a.step === failure.step) - Number(b.step === failure.step));
  for (const entry of inFlight) turnBackAt(draft, entry);
  goBack(draft);
}

function turnBackAt(draft: SagaDraft, entry: StepAt): void {
  const child = entry.waits?.find((wait) => wait.kind === 'saga');
  const request = requestOf(entry);
  if (child?.kind === 'saga') draft.command({ do: 'cancel', id: child.id });
  else if (request?.isForeign) {
    const untilMs = request.untilMs ?? draft.given.nowMs + draft.stepOf(entry).timeoutMs;
    draft.change(entry, { ...inVain(entry, request), waits: [{ ...request, untilMs }] });
  } else {
    leave(draft, entry);
    // An attempt may be committed there whose process died before it could say so here; before the saga has its key nobody tries any.
    if (draft.stepOf(entry).dataSource !== undefined && draft.lock?.isHeld !== false)
      draft.done = [...draft.done, { step: entry.step, isUnsure: true }];
  }
}

/** Waits for a step no more, and undoes what is there of it. */
function leave(draft: SagaDraft, entry: StepAt): void {
  draft.remove(entry);
  const left = leftBy(entry, draft.stepOf(entry));
  if (left !== undefined) draft.done = [...draft.done, left];
}

/** Undoes what is done, once nothing of the way forward is waited for any more. */
export function goBack(draft: SagaDraft): void {
  if (draft.at.length === 0) undoLast(draft);
}

/** A step of the way forward that was waited for on the way back, and is not done to its end. */
export function takeBack(draft: SagaDraft, entry: StepAt): void {
  leave(draft, entry);
  goBack(draft);
}

/** A compensation is done. */
export function undone(draft: SagaDraft, entry: StepAt, how: 'undone' | 'skipped'): void {
  draft.remove(entry);
  draft.note(entry.step, how);
  draft.done = draft.done.filter(({ step }) => step !== entry.step);
  undoLast(draft);
}

/**
 * A late answer to what may have been done: now it is known. A step that the saga has passed stays passed: whoever undoes it hears from the other end that there is nothing, as long as
 * that remembers.
 */
export function settled(draft: SagaDraft, requestId: string, how: 'answered' | 'refused'): void {
  const found = draft.done.find(({ request }) => request?.id === requestId && !request.hasAnswered);
  // What is being undone already asks the other end, which knows.
  if (found === undefined || draft.find(found.step) !== undefined) return;
  const isPassed =
    draft.direction === 'running' || [...draft.done, ...draft.at].some((one) => draft.stepOf(one).after.includes(found.step));
  if (how === 'refused') draft.done = draft.done.filter((one) => one !== found || isPassed);
  else
    draft.done = draft.done.map((one) => (one.request && one === found ? { ...one, request: { ...one.request, hasAnswered: true } } : one));
}

/** The last of the done steps that has something to undo. */
function undoLast(draft: SagaDraft): void {
  for (let last = draft.done.at(-1); last !== undefined; last = draft.done.at(-1)) {
    if (draft.stepOf(last).compensation !== undefined) {
      draft.begin(last.step, 'compensating');
      return;
    }
    draft.done = draft.done.slice(0, -1);
  }
  draft.end('compensated');
}
