import { type SagaDefinition, type SagaFailure, type SagaStepDefinition, stepOf } from './saga-definition.js';

/** How a saga stands. `running` and `compensating` are worked on, or wait; the others wait for nobody, or for a person. */
export type SagaStatus = 'running' | 'compensating' | 'completed' | 'compensated' | 'parked';

/** How a saga stands for whoever looks: `waiting` is one that goes forward when something comes, such as a reply, a message, its time or its lock. */
export type SagaStanding = SagaStatus | 'waiting';

/** Which way a saga goes. */
export type SagaDirection = 'running' | 'compensating';

/** What a step waits for once its method has returned. `untilMs`: then it is over; undefined: as long as it takes. */
export type SagaWait = (
  | {
      readonly kind: 'request';
      /** Of the message that asked, the same each time it is sent. */
      readonly id: string;
      /** CloudEvents type of the command. */
      readonly type: string;
      /** Its type with where it goes. Undefined: it was sent under a version that did not write it down. */
      readonly route?: string | undefined;
      /** When it was sent first, on the clock of its process: who handled it remembers it for a time. */
      readonly sentMs?: number | undefined;
      /** Field of the state for the reply. */
      readonly into?: string | undefined;
      /** Whoever is asked does not know of undoing what may never come. */
      readonly isForeign?: boolean | undefined;
    }
  | { readonly kind: 'signal'; readonly type: string; readonly key: string; readonly into?: string | undefined }
  | { readonly kind: 'saga'; readonly id: string; readonly into?: string | undefined }
  | { readonly kind: 'time' }
) & { readonly untilMs?: number | undefined };

/** A request that a step has sent. */
export type RequestWait = Extract<SagaWait, { kind: 'request' }>;

/** Always in the past: what is due at once is so whatever the clock of the database is set to. */
export const AT_ONCE = 0;

/** A step that is begun and not done, or what undoes it. Moments are milliseconds on the clock of the database. */
export interface StepAt {
  readonly step: string;
  /** `compensating`: it is being undone. */
  readonly way: SagaDirection;
  /** Attempts made. */
  readonly attempts: number;
  /** Set by an operator's `retry`: one attempt, whatever the policy says. */
  readonly isSingle?: boolean | undefined;
  /** How often it was begun anew after a definite end: what it asks for then is asked for under another id. */
  readonly round?: number | undefined;
  /** When its method is called next, `AT_ONCE` or a moment; undefined: it waits. */
  readonly callMs?: number | undefined;
  /** What it waits for; also while it is to be called again, because a late reply is a reply. */
  readonly waits?: readonly SagaWait[] | undefined;
  /** It is what the saga is parked for. */
  readonly isStopped?: boolean | undefined;
  /** Nobody knows whether it is wanted: its condition threw. */
  readonly isUnasked?: boolean | undefined;
  /** Its method has returned, with what it wrote, and what it waited for will not come. */
  readonly hasReturned?: boolean | undefined;
}

/** A step that is done, or may be, and is not undone. */
export interface DoneStep {
  readonly step: string;
  /** What it has asked for elsewhere; `hasAnswered`: so it certainly ran. */
  readonly request?: SentRequest | undefined;
  /** It runs in another DataSource, and nobody here knows whether it was committed there. */
  readonly isUnsure?: boolean | undefined;
}

/** A request that was sent, and may have to be undone. */
export interface SentRequest extends Pick<RequestWait, 'id' | 'type' | 'sentMs'> {
  readonly hasAnswered: boolean;
}

/** A branch with a time-out that is at work. */
export interface OpenBranch {
  /** The step it begins with. */
  readonly step: string;
  /** Undefined: nobody has tried its first step yet. */
  readonly untilMs?: number | undefined;
}

/** A message that came for a saga when none of its steps waited for it any more: one that waits later has it at once. */
export interface KeptSignal {
  readonly type: string;
  readonly key: string;
  readonly value: unknown;
}

/** What a saga waits for a person for. */
export interface ParkedSaga {
  readonly while: SagaDirection;
  readonly failure: SagaFailure;
  /** Tells one time that it parked from another. Undefined: it parked under a version that did not write it down. */
  readonly sinceMs?: number | undefined;
}

/** One time that a saga has parked, and the step it is for: what a person says about it is about no other. */
export interface SagaParking {
  readonly step: string | undefined;
  readonly sinceMs: number | undefined;
}

/** Where a saga stands: all that `decide` needs of its past. */
export interface SagaProgress {
  readonly status: SagaStatus;
  /** Several where branches run side by side; empty at the end. */
  readonly at: readonly StepAt[];
  /** In the order of their completion. */
  readonly done: readonly DoneStep[];
  /** Steps whose condition was false: passed over. */
  readonly leftOut: readonly string[];
  /** Those with a time-out; undefined: none. */
  readonly branches?: readonly OpenBranch[] | undefined;
  /** The last one of each type and key; undefined: none. */
  readonly kept?: readonly KeptSignal[] | undefined;
  /** The business key that it holds, or waits for: nothing of it runs before. */
  readonly lock?: { readonly key: string; readonly isHeld: boolean } | undefined;
  /** Why it turned back. */
  readonly failure: SagaFailure | undefined;
  /** While it is parked: which way it was going, and what stopped it. */
  readonly parked: ParkedSaga | undefined;
  /** What was found instead of all this, and could not be read; kept for whoever corrects it. */
  readonly unread?: string | undefined;
}

/** The step that a person is asked about, the first of several; of a saga that is not parked the first at work. */
export function stoppedStep({ at, parked }: Pick<SagaProgress, 'at' | 'parked'>): StepAt | undefined {
  return at.find(({ isStopped }) => isStopped) ?? at.find(({ step }) => step === parked?.failure.step) ?? at[0];
}

/** The steps at work, for the text of an error; `none` of one that has ended, or that nobody can read. */
export function stepsAt({ at }: Pick<SagaProgress, 'at'>): string {
  return at.map(({ step }) => step).join(' and ') || 'none';
}

/** What a person sees of a saga that waits for one. */
export function parkingOf(progress: Pick<SagaProgress, 'at' | 'parked'>): SagaParking {
  return { step: stoppedStep(progress)?.step, sinceMs: progress.parked?.sinceMs };
}

/** The request among what a step waits for. */
export function requestOf({ waits }: StepAt): RequestWait | undefined {
  return waits?.find((wait): wait is RequestWait => wait.kind === 'request');
}

/** What is there of a step that is begun and not done: what it may have had done elsewhere, or what its method wrote before it waited. Undefined: nothing. */
export function leftBy(entry: StepAt, { compensation }: Pick<SagaStepDefinition, 'compensation'>): DoneStep | undefined {
  const { step } = entry;
  const request = sentRequest(entry, false);
  if (request !== undefined) return { step, request };
  return hasReturned(entry) && compensation !== undefined ? { step } : undefined;
}

/** A step that waits in vain; `lost`: what will not come. What an earlier attempt has asked for may still be answered. */
export function inVain(entry: StepAt, lost: SagaWait): Pick<StepAt, 'waits' | 'callMs' | 'hasReturned'> {
  const waits = entry.waits?.filter((wait) => wait.kind === 'request' && wait !== lost) ?? [];
  return { waits: waits.length === 0 ? undefined : waits, callMs: undefined, hasReturned: hasReturned(entry) ? true : undefined };
}

/** A request alone says nothing of what its method wrote: it may be called again. */
function hasReturned({ waits, hasReturned: isMarked }: StepAt): boolean {
  return isMarked === true || waits?.some(({ kind }) => kind !== 'request') === true;
}

/**
 * True when the step that allows no way back is done or left out, because nothing behind it can be undone, or nobody knows whether it is done:
 * somebody else has been asked for it, or a child is at work on it.
 */
export function isPastPivot(definition: SagaDefinition, { done, at, leftOut }: SagaProgress): boolean {
  const isPivot = (step: string) => stepOf(definition, step)?.isPivot === true;
  const isElsewhere = ({ waits }: StepAt) => waits?.some(({ kind }) => kind === 'request' || kind === 'saga') === true;
  return done.some(({ step }) => isPivot(step)) || leftOut.some(isPivot) || at.some((one) => isPivot(one.step) && isElsewhere(one));
}

/** The request of a step, once the step waits for it no more. */
export function sentRequest(entry: StepAt, hasAnswered: boolean): SentRequest | undefined {
  const request = requestOf(entry);
  return request && { id: request.id, type: request.type, sentMs: request.sentMs, hasAnswered };
}

/** The step to be called now: what is due at once in its turn, then the longest due first; undefined: none. */
export function callable({ status, at, lock }: SagaProgress, nowMs: number): StepAt | undefined {
  if ((status !== 'running' && status !== 'compensating') || lock?.isHeld === false) return undefined;
  const due = at.filter(({ callMs }) => callMs !== undefined && callMs <= nowMs);
  return due.reduce<StepAt | undefined>((first, one) => (first === undefined || momentOf(one) < momentOf(first) ? one : first), undefined);
}

/** When a saga is to be worked on next; undefined: not by itself. */
export function nextMs({ status, at, branches = [], lock }: SagaProgress): number | undefined {
  if ((status !== 'running' && status !== 'compensating') || lock?.isHeld === false) return undefined;
  const ofSteps = at.flatMap(({ callMs, waits = [] }) => [callMs, ...waits.map(({ untilMs }) => untilMs)]);
  const moments = [...ofSteps, ...branches.map(({ untilMs }) => untilMs)];
  return moments.reduce<number | undefined>(
    (first, one) => (one !== undefined && (first === undefined || one < first) ? one : first),
    undefined,
  );
}

/** How it stands for whoever looks. Of one that nobody can read it is not known that it waits. */
export function standingOf({ status, at, lock, unread }: SagaProgress): SagaStanding {
  const waits = lock?.isHeld === false || at.every(({ callMs }) => callMs === undefined);
  return status === 'running' && waits && unread === undefined ? 'waiting' : status;
}

/** What a step waits for, for a person. */
export function waitText(wait: SagaWait): string {
  switch (wait.kind) {
    case 'request':
      return `the reply to ${wait.type}`;
    case 'signal':
      return `${wait.type} with the key ${wait.key}`;
    case 'saga':
      return `the saga ${wait.id}`;
    case 'time':
      return `${new Date(wait.untilMs ?? 0).toISOString()}`;
  }
}

function momentOf({ callMs }: StepAt): number {
  return callMs ?? 0;
}
