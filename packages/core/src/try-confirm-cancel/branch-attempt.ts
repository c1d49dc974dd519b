import { createHash } from 'node:crypto';
import type { Outgoing } from '../bus/outgoing.js';
import { failureFacts } from '../delivery/handler-call.js';
import { TimedCall } from '../delivery/timed-call.js';
import type { WorkInHand } from '../delivery/work-in-hand.js';
import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { failpoint } from '../testing/failpoints.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitEngine } from '../unit-of-work/unit-engine.js';
import { reasonOfUnknown } from '../unit-of-work/unknown-commit.js';
import { afterEvent, type BranchEvent, type BranchFailure, type BranchOperation, endedBy, nextOf } from './branch-decisions.js';
import { decodeStored } from './branch-json.js';
import type { BranchWorkStore, LockedBranch, StoredBranch } from './branch.store.port.js';
import { createTryBranch } from './try-branch.js';
import type { RunnableTry } from './try-definition.js';

/** Longest attempt at a confirm or a cancel. */
const CALL_MS = 30_000;
/** Beyond it, for its rollback, its failure and the commit: then the unit is broken off, whatever its statements wait for. */
const GRACE_MS = 5000;
/** For the unit that records what became of one that is gone; it may wait for the end of somebody else's attempt. */
const RECORD_TIMEOUT_MS = 60_000;

/** What attempts work with. */
export interface BranchAttemptParts {
  readonly store: BranchWorkStore;
  readonly units: UnitEngine<Outgoing>;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly inHand: WorkInHand;
  readonly logger: Logger;
  /** Undefined for a try this process does not have. */
  readonly tryOf: (method: string) => RunnableTry | undefined;
}

/** What became of a branch: `next`: it goes on at once; `waits`: it is due later; `ended`: also parked; `busy`: somebody else has it for a moment; `left`: it is not ours. */
export type BranchAttemptEnd = 'next' | 'waits' | 'ended' | 'busy' | 'left';

/** An attempt as it was begun. */
interface Begun {
  readonly branch: StoredBranch;
  readonly definition: RunnableTry;
  readonly operation: BranchOperation;
  /** What the method threw, whatever became of its unit afterwards. */
  failure?: { readonly error: unknown };
}

/** What a unit has written, to be told when it is committed. */
interface Written {
  readonly end: BranchAttemptEnd | 'undecided';
  readonly tell: () => void;
}

const silently = (end: Written['end']): Written => ({ end, tell: () => undefined });

/**
 * One attempt at ending one branch: its row is locked, the confirm or cancel runs behind a savepoint, and what it wrote, how the branch stands and the
 * messages it published are one COMMIT. A failed attempt is undone to the savepoint and counted in the same transaction.
 */
export class BranchAttempts {
  constructor(private readonly parts: BranchAttemptParts) {}

  /** Makes the next attempt at a branch of this process. Throws what is no failure of the method: the database is away, this process stops. */
  async next(id: string): Promise<BranchAttemptEnd> {
    const begun: { current?: Begun } = {};
    let written: Written;
    try {
      written = await this.parts.units.runFramework({ timeout: CALL_MS + 2 * GRACE_MS }, (tx) => this.look(tx, id, begun));
    } catch (thrown) {
      const { current } = begun;
      const error = current?.failure === undefined ? reasonOfUnknown(thrown) : current.failure.error;
      if (current === undefined || isHoldfastError(error, 'HF_STOPPING')) throw error;
      written = await this.record(current, error);
    }
    if (written.end === 'undecided') return this.decide(id);
    written.tell();
    failpoint('branch:after-attempt');
    return written.end;
  }

  private async decide(id: string): Promise<BranchAttemptEnd> {
    if (!(await this.parts.store.decide(id))) return 'busy';
    failpoint('branch:after-decision');
    return 'next';
  }

  private async look(tx: Transaction, id: string, begun: { current?: Begun }): Promise<Written> {
    const locked = await this.parts.store.lock(tx, id, { waits: false });
    if (typeof locked === 'string') return silently(locked === 'busy' ? 'busy' : 'left');
    const { branch } = locked;
    const definition = this.parts.tryOf(branch.method);
    if (definition === undefined) return silently('left');
    failpoint('branch:after-lock');
    const { retries, cancelsHalfDone } = definition;
    const step = nextOf(branch, { attempts: (operation) => retries[operation].attempts, cancelsHalfDone });
    if (step.do === 'decide') return silently('undecided');
    const here: Begun = { branch, definition, operation: step.do === 'skip' ? 'cancel' : step.operation };
    if (step.do === 'skip') return this.write(tx, here, { event: { kind: 'done' } });
    if (step.do === 'give-up') return this.write(tx, here, { event: { kind: 'given-up', error: whyGivenUp(here, step.why) } });
    begun.current = here;
    return this.attempt(tx, locked, here);
  }

  private async attempt(tx: Transaction, { savepoint }: LockedBranch, begun: Begun): Promise<Written> {
    const { units, scheduler } = this.parts;
    const unit = units.current();
    // A statement that does not answer holds up the rollback to the savepoint too.
    const breaking = scheduler.after(CALL_MS + GRACE_MS, () => unit?.breakOff(CALL_MS));
    let event: BranchEvent = { kind: 'done' };
    try {
      await units.runBehind(savepoint, () => this.called(begun));
      failpoint('branch:after-call');
    } catch (thrown) {
      const error = begun.failure === undefined ? thrown : begun.failure.error;
      if (isHoldfastError(error, 'HF_STOPPING')) throw error;
      event = { kind: 'failed', error };
    } finally {
      breaking.cancel();
    }
    return this.write(tx, begun, { event, isCalled: true });
  }

  private async called(begun: Begun): Promise<void> {
    try {
      await this.call(begun);
    } catch (error) {
      begun.failure = { error };
      throw error;
    }
  }

  private call({ branch, definition, operation }: Begun): Promise<void> {
    const { units } = this.parts;
    const { id, isTried, progress } = branch;
    const { name: method, dataSource, runs } = definition;
    const call = new TimedCall(this.parts, {
      activity: `the ${operation} of ${method} (${id})`,
      timeoutMs: CALL_MS,
      tooLong: () => hfError('HF_TCC_CALL_TIMEOUT', { operation, method, id, timeoutMs: CALL_MS }),
    });
    const context = createTryBranch({
      id,
      result: decodeStored(branch.result),
      isTried,
      attempt: progress.attempts + 1,
      idempotencyKey: keyOf(id, operation),
      signal: call.signal,
    });
    const run = async () => void (await runs[operation](...(decodeStored(branch.arguments) as unknown[]), context));
    return call.run(() => (dataSource === undefined ? run() : units.run({ dataSource, propagation: 'REQUIRES_NEW' }, run)));
  }

  /** The unit of the attempt is gone, or nobody knows: what is stored tells whether it was committed. Waits for whoever has it by now. */
  private record(begun: Begun, error: unknown): Promise<Written> {
    const { store, units } = this.parts;
    failpoint('branch:before-record');
    return units.runFramework({ timeout: RECORD_TIMEOUT_MS }, async (tx) => {
      const locked = await store.lock(tx, begun.branch.id, { waits: true });
      if (typeof locked === 'string' || locked.branch.revision !== begun.branch.revision) return silently('left');
      return this.write(tx, begun, { event: { kind: 'failed', error } });
    });
  }

  private async write(
    tx: Transaction,
    { branch, definition, operation }: Begun,
    { event, isCalled = false }: { readonly event: BranchEvent; readonly isCalled?: boolean },
  ): Promise<Written> {
    const { store, random } = this.parts;
    const policy = definition.retries[operation];
    const { progress, afterMs } = afterEvent(branch.progress, { operation, event, policy }, random);
    await store.change(tx, branch.id, { progress, afterMs });
    const facts = { branch: branch.id, method: branch.method };
    const tell = () => {
      if (event.kind === 'failed')
        emit('branch:failed', () => ({ ...facts, operation, attempt: progress.attempts, ...failureFacts(event.error), delayMs: afterMs }));
      if (progress.status === 'parked') this.tellParked(facts, { operation, failure: progress.failure as BranchFailure });
      else if (afterMs === undefined)
        emit('branch:ended', () => ({
          ...facts,
          status: endedBy(operation),
          how: isCalled ? ('called' as const) : ('nothing-to-undo' as const),
        }));
    };
    return { end: afterMs === undefined ? 'ended' : 'waits', tell };
  }

  private tellParked(
    facts: { readonly branch: string; readonly method: string },
    terms: { readonly operation: BranchOperation; readonly failure: BranchFailure },
  ): void {
    emit('branch:parked', () => ({ ...facts, ...terms }));
    const { code, message } = terms.failure;
    this.parts.logger.error('a branch of a try is parked: a person has to look at it', {
      ...facts,
      operation: terms.operation,
      code,
      message,
    });
  }
}

function whyGivenUp({ branch: { id, method, deaths }, operation }: Begun, why: 'deaths' | 'untried'): Error {
  if (why === 'deaths') return hfError('HF_TCC_KILLED', { deaths, operation, method, id });
  return hfError('HF_TCC_UNTRIED', { method, id });
}

/** Hashed, because a foreign API limits the length and the characters of its header. */
function keyOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 32);
}
