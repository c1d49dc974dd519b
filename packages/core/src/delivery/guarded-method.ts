import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import type { ClaimTerm } from '../inbox/inbox.store.port.js';
import type { Store } from '../store/store.port.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitOfWork, UnitOptions } from '../unit-of-work/unit-of-work.js';
import { businessKey } from './idempotency-key.js';
import type { AsyncMethod, IdempotentOptions, RetryOptions } from './policies.js';
import { decideRetry, type RetryPolicy } from './retry-policy.js';
import type { IdempotencyPolicy } from './subscription.js';

/** Policies of a plain method, as its decorators gave them. */
export interface MethodPolicies<F extends AsyncMethod = AsyncMethod> {
  retry?: number | false | RetryOptions;
  idempotent?: boolean | IdempotentOptions<Parameters<F>>;
  transactional?: boolean | UnitOptions;
}

/** What a guarded method works with. */
export interface GuardContext {
  readonly store: Store | undefined;
  readonly unitOfWork: UnitOfWork;
  /** The transaction in scope, for the end of a claim. */
  readonly currentTransaction: () => Transaction | undefined;
  readonly scheduler: Scheduler;
  readonly random: Random;
}

/** How often a second caller looks whether the first has ended. */
const WAIT_MS = 50;

/**
 * A plain method behind its policies, from the outside in: retry (in process, outside the transaction), idempotent, transactional.
 * A repeated call gives the stored result of the first, as JSON carries it.
 */
export class GuardedMethod {
  /** Number of its scope in the inbox, known once started. */
  scopeId: number | undefined;
  private readonly retry: RetryPolicy | undefined;
  private readonly idempotency: IdempotencyPolicy | undefined;
  private readonly unit: UnitOptions | undefined;

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
  }

  get isIdempotent(): boolean {
    return this.idempotency !== undefined;
  }

  async call(args: readonly unknown[], method: () => Promise<unknown>): Promise<unknown> {
    // Inside a unit a retry would go on in a transaction that has already failed.
    if (this.retry === undefined || this.context.unitOfWork.isActive) return this.once(args, method);
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await this.once(args, method);
      } catch (error) {
        const decision = decideRetry(this.retry, { error, attempt }, this.context.random);
        if (decision.kind === 'dead') throw error;
        await this.context.scheduler.sleep(decision.delayMs);
      }
    }
  }

  private once(args: readonly unknown[], method: () => Promise<unknown>): Promise<unknown> {
    return this.idempotency === undefined ? this.inUnit(method) : this.underClaim(this.idempotency, args, method);
  }

  private inUnit(method: () => Promise<unknown>): Promise<unknown> {
    return this.unit === undefined ? method() : this.context.unitOfWork.run(this.unit, method);
  }

  private async underClaim(
    { key, ttlMs, lockTtlMs }: IdempotencyPolicy,
    args: readonly unknown[],
    method: () => Promise<unknown>,
  ): Promise<unknown> {
    const inbox = this.context.store?.inbox;
    const subscriptionId = this.scopeId;
    if (inbox === undefined || subscriptionId === undefined || key === undefined) throw hfError('HF_NOT_STARTED', { call: this.name });
    const business = businessKey((key as (...values: readonly unknown[]) => unknown)(...args), this.name);
    for (;;) {
      const claim = await inbox.claim({ subscriptionId, key: business, leaseMs: lockTtlMs, ttlMs });
      if (claim.state === 'done') return claim.result === undefined ? undefined : JSON.parse(claim.result);
      if (claim.state === 'claimed') return this.owned({ subscriptionId, key: business, token: claim.token, leaseMs: lockTtlMs }, method);
      // Holding our own connection while another call wants one could stop both.
      if (this.context.unitOfWork.isActive) throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: business.id });
      await this.context.scheduler.sleep(Math.min(WAIT_MS, claim.forMs));
    }
  }

  private async owned(claim: ClaimTerm, method: () => Promise<unknown>): Promise<unknown> {
    const inbox = (this.context.store as Store).inbox;
    const renewal = setRenewal(this.context.scheduler, claim.leaseMs / 3, () => inbox.renew(claim));
    try {
      return await this.inUnit(async () => {
        const value = await method();
        await inbox.finish(
          { ...claim, done: { result: value === undefined ? undefined : JSON.stringify(value) } },
          this.context.currentTransaction(),
        );
        return value;
      });
    } catch (error) {
      // An unknown commit may have finished the claim; whoever asks next reads what became of it.
      if (!isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN')) await inbox.finish({ ...claim, done: undefined }).catch(() => undefined);
      throw error;
    } finally {
      renewal();
    }
  }
}

function setRenewal(scheduler: Scheduler, ms: number, renew: () => Promise<void>): () => void {
  let isStopped = false;
  let timer = scheduler.after(ms, tick);
  function tick(): void {
    renew().then(
      () => {
        if (!isStopped) timer = scheduler.after(ms, tick);
      },
      () => undefined,
    );
  }
  return () => {
    isStopped = true;
    timer.cancel();
  };
}
