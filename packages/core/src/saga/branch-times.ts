import { hfError } from '../errors/catalogue.js';
import { outOfTime } from './decide-back.js';
import { branchOf, stepOf } from './saga-definition.js';
import type { SagaDraft } from './saga-draft.js';
import { failureAt } from './saga-event.js';
import type { StepAt } from './saga-progress.js';

/** A step was begun, or left out, and with it the branch that it is the first of is at work. */
export function openBranch(draft: SagaDraft, step: string): void {
  if (timeoutOf(draft, step) !== undefined) draft.branches = [...draft.branches, { step }];
}

/** Forgets branches of which nothing is at work any more. */
export function closeBranches(draft: SagaDraft): void {
  draft.branches = draft.branches.filter(({ step }) => atWorkIn(draft, step) !== undefined);
}

/** Begins the time of new branches, and ends the saga's way forward with the first one whose time is over. */
export function branchTimesAreUp(draft: SagaDraft): void {
  const { nowMs } = draft.given;
  // At the start of a saga nobody knows the time of the database, and what waits for a lock is not at work.
  draft.branches = draft.branches.flatMap(({ step, untilMs }) => {
    const timeoutMs = timeoutOf(draft, step);
    // Taken out of the definition since.
    return timeoutMs === undefined ? [] : [{ step, untilMs: untilMs ?? nowMs + timeoutMs }];
  });
  const over = draft.branches.find(({ untilMs }) => (untilMs as number) <= nowMs);
  if (over === undefined) return;
  const { definition, given } = draft;
  const entry = atWorkIn(draft, over.step);
  const error = hfError('HF_SAGA_BRANCH_TIMEOUT', {
    branch: over.step,
    saga: definition.name,
    id: given.id,
    step: entry?.step ?? over.step,
    timeoutMs: timeoutOf(draft, over.step),
  });
  outOfTime(draft, failureAt(entry, error));
}

function timeoutOf({ definition }: SagaDraft, step: string): number | undefined {
  return stepOf(definition, step)?.branchTimeoutMs;
}

/** What is at work in a branch, the first of several. */
function atWorkIn({ definition, at }: SagaDraft, first: string): StepAt | undefined {
  const branch = branchOf(definition, first);
  return at.find(({ step, way }) => way === 'running' && branch.has(step));
}
