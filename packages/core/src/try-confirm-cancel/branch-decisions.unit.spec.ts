import { NonRetryableError } from '../errors/non-retryable-error.js';
import { seededRandom } from '../time/random.js';
import { retryPolicy } from '../delivery/retry-policy.js';
import { afterEvent, type BranchOperation, type BranchProgress, type BranchSight, nextOf } from './branch-decisions.js';

const TRYING: BranchProgress = { status: 'trying', operation: undefined, attempts: 0, failure: undefined };
const SEEN: BranchSight = { progress: TRYING, verdict: undefined, isTried: true, isUnbegun: false, deaths: 0 };
const policy = retryPolicy({ attempts: 3, backoff: { delay: 100, factor: 1, jitter: 'none' } }, () => undefined, 'here');

const next = (sight: Partial<BranchSight>, cancelsHalfDone = true, attempts = 5) =>
  nextOf({ ...SEEN, ...sight }, { attempts: () => attempts, cancelsHalfDone });
const after = (operation: BranchOperation, event: Parameters<typeof afterEvent>[1]['event'], progress = TRYING) =>
  afterEvent(progress, { operation, event, policy }, seededRandom(1));

describe('what a branch needs', () => {
  it('is a decision as long as there is none', () => {
    expect(next({})).toEqual({ do: 'decide' });
    expect(next({ isTried: false, isUnbegun: true, deaths: 99 })).toEqual({ do: 'decide' });
  });

  it('is its confirm when its unit has committed, and its cancel when not', () => {
    expect(next({ verdict: 'committed' })).toEqual({ do: 'call', operation: 'confirm' });
    expect(next({ verdict: 'rolled-back' })).toEqual({ do: 'call', operation: 'cancel' });
  });

  it('stays what it was, whatever the decision is taken for later', () => {
    const progress: BranchProgress = { ...TRYING, status: 'cancelling', operation: 'cancel', attempts: 1 };
    expect(next({ progress })).toEqual({ do: 'call', operation: 'cancel' });
  });

  it.each([
    ['a try that has committed', true, false, false, 'call'],
    ['a try that was not seen to finish, for a cancel that takes the branch', false, false, true, 'call'],
    ['a try that was not seen to finish, for one that does not', false, false, false, 'skip'],
    ['a try that never began, for a cancel that takes the branch', false, true, true, 'skip'],
  ] as const)('to cancel %s', (_what, isTried, isUnbegun, cancelsHalfDone, expected) => {
    expect(next({ verdict: 'rolled-back', isTried, isUnbegun }, cancelsHalfDone).do).toBe(expected);
  });

  it('is a person when its unit has committed and its try has not', () => {
    expect(next({ verdict: 'committed', isTried: false })).toEqual({ do: 'give-up', operation: 'confirm', why: 'untried' });
  });

  it.each([
    [5, 4, 'call'],
    [5, 5, 'give-up'],
    [1, 2, 'call'],
    [1, 3, 'give-up'],
  ])('with %i attempts and %i deaths', (attempts, deaths, expected) => {
    expect(next({ verdict: 'committed', deaths }, true, attempts).do).toBe(expected);
  });
});

describe('what happens to a branch', () => {
  const failure = { code: 'Error', message: 'closed' };

  it('ends it when its method is done', () => {
    expect(after('confirm', { kind: 'done' })).toEqual({
      progress: { ...TRYING, status: 'confirmed', operation: 'confirm' },
      afterMs: undefined,
    });
    expect(after('cancel', { kind: 'done' }).progress.status).toBe('cancelled');
  });

  it('has it tried again while attempts are left, and then parks it', () => {
    const failed = { kind: 'failed', error: new Error('closed') } as const;
    const first = after('confirm', failed);
    expect(first).toEqual({ progress: { status: 'confirming', operation: 'confirm', attempts: 1, failure }, afterMs: 100 });
    const second = after('confirm', failed, first.progress);
    expect(second).toMatchObject({ progress: { attempts: 2 }, afterMs: 100 });
    const third = after('confirm', failed, second.progress);
    expect(third).toEqual({ progress: { status: 'parked', operation: 'confirm', attempts: 3, failure }, afterMs: undefined });
  });

  it('parks it at once where trying again is no use', () => {
    const { progress } = after('cancel', { kind: 'failed', error: new NonRetryableError('no such account') });
    expect(progress).toMatchObject({ status: 'parked', operation: 'cancel', attempts: 1, failure: { message: 'no such account' } });
  });

  it('parks it without an attempt when it is given up', () => {
    const { progress, afterMs } = after('cancel', { kind: 'given-up', error: new Error('closed') });
    expect({ progress, afterMs }).toEqual({
      progress: { status: 'parked', operation: 'cancel', attempts: 0, failure },
      afterMs: undefined,
    });
  });
});
