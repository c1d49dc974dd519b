import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import type { Timer } from '../time/scheduler.js';
import type { EngineParts, WrittenOutgoing } from './engine-parts.js';
import { undoOpenParts } from './nested.js';
import { refuseStream } from './returned-stream.js';
import type { Transaction } from './transaction.port.js';
import { type Hook, Unit, type UnitSettings } from './unit.js';
import { runAfterHooks, runBeforeHooks } from './unit-hooks.js';

/** What one run of a unit is to be. */
export interface RunPlan {
  readonly dataSource: string;
  readonly settings: UnitSettings;
  /** What the caller asked for, for the error. */
  readonly timeoutMs: number;
  /** What is left of it. */
  readonly leftMs: number;
}

/**
 * One run of a unit of work, from BEGIN to its end. `start` is called once.
 *
 * The stages: *opening* waits for a connection; *working* runs user code, statements go through scopes; *closing* has ended the scopes, only the
 * framework uses the connection; *committing* has sent COMMIT; *ended*. A time-out rolls back in the first three; while committing it breaks
 * the connection, and the outcome is unknown.
 */
export class UnitRun<Outgoing, T> {
  private stage: 'opening' | 'working' | 'closing' | 'committing' | 'ended' = 'opening';
  private unit: Unit<Outgoing> | undefined;
  private timer: Timer | undefined;
  private expiry: Error | undefined;
  /** Resolves when the time-out has been dealt with. */
  private expiring: Promise<void> | undefined;
  private startedMs = 0;
  private isUnknown = false;
  private written: WrittenOutgoing | undefined;
  private reject: (error: unknown) => void = () => {};

  constructor(
    private readonly parts: EngineParts<Outgoing>,
    private readonly plan: RunPlan,
    private readonly work: () => Promise<T>,
  ) {}

  start(): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.reject = reject;
      this.startedMs = this.parts.clock.monotonicMs();
      this.timer = this.parts.scheduler.after(this.plan.leftMs, () => this.expire(this.plan.timeoutMs));
      this.execute().then(resolve, reject);
    });
  }

  private async execute(): Promise<T> {
    const transaction = await this.open();
    const unit = new Unit<Outgoing>(transaction, this.plan.settings);
    unit.expire = (timeoutMs) => this.expire(timeoutMs);
    this.unit = unit;
    this.stage = 'working';
    let value: T;
    let messages: number;
    try {
      value = await this.inScope(unit, () => this.userCode());
      messages = await this.commit(unit);
    } catch (error) {
      if (this.expiring) await this.expiring;
      else await this.fail(unit, error);
      if (!this.isUnknown) this.written?.rolledBack?.();
      throw error; // after a time-out nobody hears it: the caller has been told of that
    }
    const hooks = this.succeeded(unit, messages);
    if (hooks.length > 0) await this.runAfter(hooks, 'afterCommit');
    return value;
  }

  private async open(): Promise<Transaction> {
    const { isolation, isReadOnly } = this.plan.settings;
    try {
      const transaction = await this.parts.transactions.begin({ dataSource: this.plan.dataSource, isolation, readOnly: isReadOnly });
      // It came too late: nobody waits for it any more.
      if (this.expiry) await transaction.rollback();
      else return transaction;
    } catch (error) {
      this.end();
      throw this.expiry ?? error;
    }
    throw this.expiry;
  }

  private inScope<R>(unit: Unit<Outgoing>, work: () => Promise<R>): Promise<R> {
    return this.parts.scopes.with(this.plan.dataSource, unit.root, work);
  }

  private async userCode(): Promise<T> {
    const value = await this.work();
    refuseStream(value);
    return value;
  }

  /** Ends the scopes first, so that nothing comes after the message rows; those are the last statement before COMMIT. */
  private async commit(unit: Unit<Outgoing>): Promise<number> {
    // In one step with the end: what begins in between, and nobody waits for, would be cut in half.
    while (unit.hasBefore) await this.inScope(unit, () => runBeforeHooks(unit));
    unit.root.assertLive();
    this.stage = 'closing';
    unit.end();
    if (unit.active !== unit.root) await undoOpenParts(unit.root);
    if (unit.root.doomedBy) throw unit.root.doomedBy;
    const messages = unit.kept();
    if (messages.length > 0) {
      failpoint('unit:before-outbox');
      this.written = await this.parts.writeOutgoing(unit.transaction, messages, unit.settings.protocol);
      failpoint('unit:after-outbox');
    }
    failpoint('unit:before-commit');
    this.stage = 'committing';
    await unit.transaction.commit();
    return messages.length;
  }

  /** What is to be run after it. */
  private succeeded(unit: Unit<Outgoing>, messages: number): readonly Hook[] {
    this.end();
    failpoint('unit:after-commit'); // outside the commit's own failure path: nothing after it can be a rollback
    this.written?.committed();
    emit('unit:committed', () => ({ ...this.facts(), messages }));
    return unit.afterCommitted();
  }

  private runAfter(hooks: readonly Hook[], name: 'afterCommit' | 'afterRollback'): Promise<void> {
    return this.parts.scopes.root(() => runAfterHooks(hooks, name, this.parts));
  }

  private async fail(unit: Unit<Outgoing>, error: unknown): Promise<void> {
    // That of a unit within this one, which its work let through, says nothing of this one: it has not tried to commit.
    this.isUnknown = this.stage === 'committing' && isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN');
    this.end();
    unit.end();
    if (this.isUnknown) {
      emit('unit:commit-unknown', () => ({ ...this.facts(), error }));
      return;
    }
    await unit.transaction.rollback();
    await this.rolledBack(unit, error);
  }

  /** The time is up: the unit ends now, whatever its work is waiting for. */
  private expire(timeoutMs: number): void {
    if (this.stage === 'ended') return;
    const reason = hfError('HF_UOW_TIMEOUT', { timeoutMs, dataSource: this.plan.dataSource });
    this.expiry = reason;
    // COMMIT is on its way: it alone tells the outcome.
    if (this.stage === 'committing') void this.unit?.transaction.abort(reason);
    else this.expiring = this.abort(reason);
  }

  private async abort(reason: Error): Promise<void> {
    this.end();
    if (this.unit) {
      this.unit.end(reason);
      await this.unit.transaction.abort(reason);
    }
    // Before the hooks of the user, who may take as long again.
    this.reject(reason);
    if (this.unit) await this.rolledBack(this.unit, reason);
  }

  private async rolledBack(unit: Unit<Outgoing>, error: unknown): Promise<void> {
    emit('unit:rolled-back', () => ({ ...this.facts(), error }));
    const hooks = unit.afterRolledBack(error);
    if (hooks.length > 0) await this.runAfter(hooks, 'afterRollback');
  }

  private end(): void {
    this.stage = 'ended';
    this.timer?.cancel();
    this.unit?.ended();
  }

  private facts(): { readonly dataSource: string; readonly durationMs: number } {
    return { dataSource: this.plan.dataSource, durationMs: this.parts.clock.monotonicMs() - this.startedMs };
  }
}
