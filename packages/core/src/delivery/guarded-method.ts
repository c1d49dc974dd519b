import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { printable } from '../errors/printable.js';
import type { ClaimEnd, ClaimTerm, InboxStore, Recalled } from '../inbox/inbox.store.port.js';
import type { Logger } from '../monitoring/logger.js';
import type { Store } from '../store/store.port.js';
import { failpoint } from '../testing/failpoints.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import { FRAMEWORK_UNIT } from '../unit-of-work/framework-unit.js';
import { HOOK_MS } from '../unit-of-work/unit-hooks.js';
import type { UnitInScope } from '../unit-of-work/unit-engine.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { Propagation, UnitOfWork, UnitOptions } from '../unit-of-work/unit-of-work.js';
import { businessKey } from './idempotency-key.js';
import { storeSuccess } from './claim-end.js';
import { Renewal } from './kept-lease.js';
import type { AsyncMethod, IdempotentOptions, RetryOptions } from './policies.js';
import { decideRetry, type RetryPolicy } from './retry-policy.js';
import type { IdempotencyPolicy } from './idempotency-policy.js';

/** Policies of a plain method, as its decorators gave them. */
export interface MethodPolicies<F extends AsyncMethod = AsyncMethod> {
  retry?: number | false | RetryOptions;
  idempotent?: boolean | IdempotentOptions<Parameters<F>>;
  transactional?: boolean | UnitOptions;
}

/** What is asked of a unit that holds what a method has done. */
type HoldingUnit = Pick<
  UnitInScope<unknown>,
  'transaction' | 'dataSource' | 'undone' | 'inTurn' | 'firstAfterCommit' | 'afterRollback' | 'onEnd'
>;

/** The claim of a call that succeeded, and what is remembered of it. */
type OwnEnd = ClaimTerm & ClaimEnd;

/** A call that ended in a unit, and is remembered when that has committed. */
interface EndedCall {
  readonly holder: HoldingUnit;
  readonly result: string | undefined;
}

/** What a guarded method works with. */
export interface GuardContext {
  readonly store: Store | undefined;
  readonly unitOfWork: UnitOfWork;
  /** Refuses what a database keeps where none commits. @throws HF_UOW_KAFKA_DATABASE */
  readonly assertDatabase: (call: string) => void;
  /** The unit of work in scope of a data source, or the innermost one. */
  readonly currentUnit: (dataSource?: string) => HoldingUnit | undefined;
  readonly scheduler: Scheduler;
  readonly random: Random;
  readonly logger: Logger;
}

/** How often a second caller looks whether the first has ended. */
const WAIT_MS = 50;
/** How long it is tried to remember what was done. */
const REMEMBER_MS = 60_000;
/** The same in a hook after a commit, before that is given up. */
const REMEMBER_IN_HOOK_MS = HOOK_MS - 5000;
/** With these a call ends in no unit of its caller. */
const APART: readonly (Propagation | undefined)[] = ['REQUIRES_NEW', 'NOT_SUPPORTED'];
/** With these a call begins no unit: without one of its data source it is as if nothing was said. */
const BARE: readonly (Propagation | undefined)[] = ['SUPPORTS', 'NEVER', 'MANDATORY'];

/**
 * A plain method behind its policies, from the outside in: retry (in process, outside the transaction), idempotent, transactional.
 * A repeated call gives the stored result of the first, as JSON carries it.
 *
 * What a call gave is remembered
 * - in a unit of the database that has the claims: in its transaction, so that both commit or neither does;
 * - in a unit of another database: after its commit, which is tried for `REMEMBER_IN_HOOK_MS`;
 * - in no unit: after the call, which is tried for `REMEMBER_MS`.
 *
 * After the last two a crash, or claims that are out of reach for that long, let the next call do the work again; the call itself has succeeded all the same.
 *
 * A unit of its caller that rolls back gives the claim back when it has ended, so that the next call, also that of the engine's own re-run, does the work
 * anew; a unit of its own keeps it over its re-runs.
 *
 * **Not promised:** the same where nobody tells us of the rollback: in a transaction given to `join`, after a COMMIT whose outcome is not known, and in a
 * NESTED part that was undone until its unit ends. There the key stays claimed until its lease ends.
 */
export class GuardedMethod {
  /** Number of its scope in the inbox, known once started. */
  scopeId: number | undefined;
  private readonly retry: RetryPolicy | undefined;
  private readonly idempotency: IdempotencyPolicy | undefined;
  private readonly unit: UnitOptions | undefined;
  private readonly endsApart: boolean;
  private readonly isBare: boolean;
  private readonly ended = new WeakMap<Transaction, Map<string, EndedCall>>();

  constructor(
    private readonly context: GuardContext,
    private readonly name: string,
    {
      retry,
      idempotency,
      unit,
    }: {
      readonly retry: RetryPolicy | undefined;
      readonly idempotency: IdempotencyPolicy | undefined;
      readonly unit: UnitOptions | undefined;
    },
  ) {
    this.retry = retry;
    this.idempotency = idempotency;
    this.unit = unit;
    const propagation = unit === undefined || unit.protocol === 'kafka' ? 'SUPPORTS' : unit.propagation;
    this.endsApart = APART.includes(propagation);
    this.isBare = BARE.includes(propagation);
  }

  get isIdempotent(): boolean {
    return this.idempotency !== undefined;
  }

  call(args: readonly unknown[], method: () => Promise<unknown>): Promise<unknown> {
    // Inside a unit a retry would go on in a transaction that has already failed.
    if (this.retry === undefined || this.context.unitOfWork.isActive) return this.once(args, method);
    return this.repeatedly(this.retry, args, method);
  }

  private async repeatedly(retry: RetryPolicy, args: readonly unknown[], method: () => Promise<unknown>): Promise<unknown> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.once(args, method);
      } catch (error) {
        const decision = decideRetry(retry, { error, attempt }, this.context.random);
        if (decision.kind === 'dead') throw error;
        await this.context.scheduler.sleep(decision.delayMs);
      }
    }
  }

  private once(args: readonly unknown[], method: () => Promise<unknown>): Promise<unknown> {
    return this.idempotency === undefined ? this.inUnit(method) : this.underClaim(this.idempotency, args, method);
  }

  private inUnit(method: () => Promise<unknown>): Promise<unknown> {
    return this.unit === undefined ? (async () => method())() : this.context.unitOfWork.run(this.unit, method);
  }

  private async underClaim(
    { key, ttlMs, lockTtlMs }: IdempotencyPolicy,
    args: readonly unknown[],
    method: () => Promise<unknown>,
  ): Promise<unknown> {
    this.context.assertDatabase(`a call of ${this.name}, which is idempotent,`);
    const inbox = this.context.store?.inbox;
    const subscriptionId = this.scopeId;
    if (inbox === undefined || subscriptionId === undefined || key === undefined) throw hfError('HF_NOT_STARTED', { call: this.name });
    const business = businessKey((key as (...values: readonly unknown[]) => unknown)(...args), this.name);
    const known = await this.recalled(inbox, { subscriptionId, key: business });
    if (known?.isDone) return storedValue(known.result);
    for (;;) {
      const claim = await inbox.claim({ subscriptionId, key: business, leaseMs: lockTtlMs, ttlMs });
      if (claim.state === 'done') return storedValue(claim.result);
      if (claim.state === 'claimed') return this.owned({ subscriptionId, key: business, token: claim.token, leaseMs: lockTtlMs }, method);
      if (claim.state === 'undone')
        throw hfError('HF_INVARIANT', { fact: `a call of ${this.name} was undone, and calls are not requests` });
      // Holding our own connection while another call wants one could stop both.
      if (this.context.unitOfWork.isActive) throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: business.id });
      await this.context.scheduler.sleep(Math.min(WAIT_MS, claim.forMs));
    }
  }

  /** What the unit in scope sees, its own calls included: a claim, which has another connection, would wait for the row of one, and the unit for the claim. */
  private async recalled(inbox: InboxStore, where: Pick<ClaimTerm, 'subscriptionId' | 'key'>): Promise<Recalled | undefined> {
    // Its calls end elsewhere, and the unit in scope may be one that can read nothing any more.
    if (this.endsApart) return undefined;
    const holder = this.holder();
    const ended = holder && this.ended.get(holder.transaction)?.get(where.key.id);
    if (holder !== undefined && ended !== undefined) {
      // Its turn comes when it is known what becomes of a part that the first call was in.
      await holder.inTurn(async () => undefined);
      if (ended.holder.undone === undefined) return { isDone: true, isUndone: false, result: ended.result };
    }
    return this.context.currentUnit(this.dataSourceOfClaims)?.inTurn((tx) => inbox.recall(tx, where));
  }

  private async owned(claim: ClaimTerm, method: () => Promise<unknown>): Promise<unknown> {
    const renewal = this.renewalOf(claim);
    const isOwn = !this.isBare && (this.endsApart || this.holder() === undefined);
    let isRenewed = false;
    try {
      failpoint('method:after-claim');
      return await this.inUnit(async () => {
        const value = await method();
        failpoint('method:after-call');
        const end = { ...claim, done: { result: this.textOf(value) } };
        isRenewed = await this.end(end, isOwn, renewal);
        failpoint('method:after-done');
        return value;
      });
    } catch (error) {
      // An unknown commit may have finished the claim; whoever asks next reads what became of it.
      if (!isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN')) await this.giveBack(claim);
      throw error;
    } finally {
      // Not waited for: in a unit that goes on after this call it waits for the end of that.
      if (!isRenewed) void renewal.stop();
    }
  }

  /**
   * What is remembered of a result. Where no unit can be rolled back the call has succeeded, whatever it gave.
   *
   * @throws NonRetryableError in a unit when it has no form in JSON
   */
  private textOf(value: unknown): string | undefined {
    try {
      return JSON.stringify(value);
    } catch (error) {
      const text = `the result of ${this.name}, which is idempotent, has no form in JSON: ${printable(error)}`;
      if (this.holder() !== undefined) throw new NonRetryableError(text, { cause: error });
      this.context.logger.error(`${text}; the call has succeeded, and repeats of it get undefined`, { method: this.name, error });
      return undefined;
    }
  }

  /**
   * Ends a claim with the unit that holds what was done: in its transaction, or where that is of another database once it has committed.
   *
   * @param isOwn whether that unit began with this call, which itself sees when it runs no more; of another one's rollback only a hook tells
   * @returns whether the claim has to be kept after this call
   */
  private async end(end: OwnEnd, isOwn: boolean, renewal: Renewal): Promise<boolean> {
    const { inbox } = this.context.store as Store;
    const holder = this.holder();
    if (holder === undefined) await this.storeSuccess(end, REMEMBER_MS);
    else if (holder.dataSource !== this.dataSourceOfClaims) return this.endAfterCommit(holder, end, isOwn ? undefined : renewal);
    else {
      if (!isOwn) this.tryHook(() => holder.afterRollback(() => this.giveBack(end)));
      await holder.inTurn((tx) => inbox.finish(end, tx));
    }
    return false;
  }

  private endAfterCommit(holder: HoldingUnit, end: OwnEnd, renewal: Renewal | undefined): boolean {
    this.keep(holder, end);
    const isHooked = this.tryHook(() => holder.firstAfterCommit(() => this.remember(end)));
    if (!isHooked || renewal === undefined) return false;
    holder.afterRollback(() => this.giveBack(end));
    holder.onEnd(() => void renewal.stop());
    return true;
  }

  /** The unit that holds what a call does: its own, or else the one around it. */
  private holder(): HoldingUnit | undefined {
    const { unit, context } = this;
    const named =
      unit === undefined || unit.protocol === 'kafka' ? undefined : context.currentUnit(unit.dataSource ?? this.dataSourceOfClaims);
    return named ?? (this.isBare ? context.currentUnit() : undefined);
  }

  private get dataSourceOfClaims(): string {
    return (this.context.store as Store).transactions.dataSources[0];
  }

  /** For further calls in a unit whose claims end when it has committed. */
  private keep(holder: HoldingUnit, { key, done }: ClaimEnd): void {
    const { transaction } = holder;
    const ended = this.ended.get(transaction) ?? new Map<string, EndedCall>();
    this.ended.set(transaction, ended.set(key.id, { holder, result: done?.result }));
  }

  /** Registers a hook. False where the caller ends the transaction, and nobody tells us how. */
  private tryHook(hook: () => void): boolean {
    try {
      hook();
      return true;
    } catch (error) {
      if (!isHoldfastError(error, 'HF_UOW_NOT_OWNED')) throw error;
      return false;
    }
  }

  /** What was done is committed, whatever becomes of this. */
  private remember(end: OwnEnd): Promise<void> {
    return this.storeSuccess(end, REMEMBER_IN_HOOK_MS).catch((error: unknown) => {
      const text = 'a call took longer than its claim lived: it may have been done twice';
      this.context.logger.warn(text, { method: this.name, error });
    });
  }

  /**
   * Remembers what was done, and is not undone by whatever becomes of this. A try that is under way when its time is over is not waited for.
   *
   * @throws HF_LEASE_LOST when somebody else has the claim, and nothing else
   */
  private async storeSuccess(end: OwnEnd, forMs: number): Promise<void> {
    const { store, scheduler, logger } = this.context;
    const { inbox } = store as Store;
    const over = new AbortController();
    let failure: unknown;
    const timer = scheduler.after(forMs, () => {
      const text = 'a call has succeeded and could not be remembered in time: the next one with its key does it again';
      logger.error(text, { method: this.name, error: failure });
      over.abort();
    });
    const late = new Promise<void>((resolve) => over.signal.addEventListener('abort', () => resolve(), { once: true }));
    const stored = storeSuccess({
      leaseMs: end.leaseMs,
      store: () => inbox.finish(end),
      renew: () => inbox.renew(end),
      isDone: () => this.isDone(end),
      wait: async (error, ms) => {
        failure = error;
        await scheduler.sleep(ms, over.signal).catch(() => undefined);
        return !over.signal.aborted;
      },
    });
    await Promise.race([stored, late]).finally(() => timer.cancel());
  }

  private isDone(where: ClaimTerm): Promise<boolean> {
    const { store, unitOfWork, currentUnit } = this.context;
    const dataSource = this.dataSourceOfClaims;
    return unitOfWork.run({ ...FRAMEWORK_UNIT, dataSource }, async () => {
      const known = await currentUnit(dataSource)?.inTurn((tx) => (store as Store).inbox.recall(tx, where));
      return known?.isDone === true;
    });
  }

  /** As far as it is still ours: what cannot be given back ends with its lease. */
  private giveBack(claim: ClaimEnd | ClaimTerm): Promise<void> {
    return (this.context.store as Store).inbox.finish({ ...claim, done: undefined }).catch(() => undefined);
  }

  private renewalOf(claim: ClaimTerm): Renewal {
    const { scheduler, logger, store } = this.context;
    const failed = (error: unknown) =>
      logger.warn('the claim of a method could not be renewed; it is tried again', { method: this.name, error });
    // Nobody can stop the method; its end finds that the claim is lost.
    const lost = () => undefined;
    return new Renewal({ scheduler, termMs: claim.leaseMs, renew: () => (store as Store).inbox.renew(claim), lost, failed });
  }
}

/** A result as it was stored. */
function storedValue(result: string | undefined): unknown {
  return result === undefined ? undefined : JSON.parse(result);
}
