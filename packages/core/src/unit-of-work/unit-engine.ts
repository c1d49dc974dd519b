import { hfError } from '../errors/catalogue.js';
import { type Duration, toMs } from '../time/duration.js';
import { runAdopted } from './adopted-run.js';
import type { EngineParts } from './engine-parts.js';
import { assertJoinable, decideEntering } from './propagation.js';
import { retryDelayMs } from './retry-delay.js';
import { refuseStream } from './returned-stream.js';
import type { Scope } from './scope.js';
import { runBehind } from './nested.js';
import type { Savepoint, Transaction } from './transaction.port.js';
import type { Hook, RollbackHook, UnitSettings } from './unit.js';
import {
  LOCAL_PROTOCOLS,
  type LocalProtocol,
  type LocalUnitOptions,
  type TransactionHandles,
  UnitOfWork,
  type UnitOptions,
} from './unit-of-work.js';
import { type RunPlan, UnitRun } from './unit-run.js';

/** The unit of work in scope, for the framework: its transaction, and a place for messages that leave with its commit. */
export interface UnitInScope<Outgoing> {
  readonly transaction: Transaction;
  /** Name of its data source. */
  readonly dataSource: string;
  readonly isReadOnly: boolean;
  readonly protocol: LocalProtocol;
  /** Buffers a message until the commit; gone with the rollback of the unit or of the nested part in scope. @throws HF_UOW_ENDED, HF_UOW_READ_ONLY */
  outgoing(message: Outgoing): void;
  /** Runs a statement of the framework when it is the turn of this scope, so that it is kept or undone with what the scope did. @throws HF_UOW_ENDED */
  inTurn<T>(statement: (transaction: Transaction) => Promise<T>): Promise<T>;
  /** Runs a statement of the framework before the unit commits, after all hooks; not when the part in scope was undone. @throws HF_UOW_ENDED */
  beforeCommit(statement: (transaction: Transaction) => Promise<void>): void;
  /** What made the part in scope, or one around it, undone. */
  readonly undone: { readonly error: unknown } | undefined;
  /** Runs once the unit has committed, before the hooks of the user, which may wait for it. @throws HF_UOW_NOT_OWNED, HF_UOW_ENDED */
  firstAfterCommit(hook: Hook): void;
  /** As of `UnitOfWork`, of this unit. @throws HF_UOW_NOT_OWNED, HF_UOW_ENDED */
  afterRollback(hook: RollbackHook): void;
  /** Runs when the unit has ended, before its hooks: committed or not, or nobody knows. Must not throw. */
  onEnd(then: () => void): void;
  /** Ends the whole unit now, as its time-out does, whatever its statements wait for. */
  breakOff(timeoutMs: number): void;
}

const DEFAULT_TIMEOUT: Duration = '30s';
const DEFAULT_TIMEOUT_MS = toMs(DEFAULT_TIMEOUT, 'timeout');
const NO_OPTIONS: LocalUnitOptions = {};

/**
 * Opens, joins and ends units of work on the transactions of a store.
 *
 * What a joined method throws dooms its unit (or nested part) even when it is caught further out, as in Spring: that method promised all or
 * nothing. `timeout` is for the whole call, all `retries` together.
 */
export class UnitEngine<Outgoing> extends UnitOfWork {
  constructor(private readonly parts: EngineParts<Outgoing>) {
    super();
  }

  get isActive(): boolean {
    return this.parts.scopes.innermost() !== undefined;
  }

  run<T>(work: () => Promise<T>): Promise<T>;
  run<T>(options: UnitOptions, work: () => Promise<T>): Promise<T>;
  run<T>(first: UnitOptions | (() => Promise<T>), second?: () => Promise<T>): Promise<T> {
    return second ? this.enter(first as UnitOptions, second) : this.enter(NO_OPTIONS, first as () => Promise<T>);
  }

  /** As `run`, in a fresh root context and with the transaction given to `work`: for the framework's own units. */
  runFramework<T>(options: UnitOptions, work: (transaction: Transaction) => Promise<T>): Promise<T> {
    return this.parts.scopes.root(() => this.enter(options, () => work(this.inScope('runFramework()').transaction)));
  }

  /** Runs `work` as a part of the unit that `runFramework` has opened here, behind a savepoint that is there already. */
  runBehind<T>(savepoint: Savepoint, work: () => Promise<T>): Promise<T> {
    return runBehind({ storage: this.parts.scopes, parent: this.inScope('runBehind()'), savepoint }, work);
  }

  /** The unit in scope of this data source, or the one entered last; undefined outside any. */
  current(dataSource?: string): UnitInScope<Outgoing> | undefined {
    return dataSource === undefined ? this.parts.scopes.innermost() : this.parts.scopes.current(dataSource);
  }

  /** Runs `work` in a fresh root context: every entry point (delivery, timer, listener) starts here. */
  runInRoot<T>(work: () => T): T {
    return this.parts.scopes.root(work);
  }

  beforeCommit(hook: Hook): void {
    const scope = this.inScope('beforeCommit()');
    scope.unit.beforeCommit(scope, hook);
  }

  afterCommit(hook: Hook): void {
    this.inScope('afterCommit()').afterCommit(hook);
  }

  afterRollback(hook: RollbackHook): void {
    this.inScope('afterRollback()').afterRollback(hook);
  }

  async detached<T>(work: () => Promise<T>): Promise<T> {
    return this.parts.scopes.root(work);
  }

  async join<T>(transaction: TransactionHandles[keyof TransactionHandles], work: () => Promise<T>): Promise<T> {
    return runAdopted(this.parts, transaction, work);
  }

  /** Never throws at once: what is wrong is told as all else. */
  private enter<T>(options: UnitOptions, work: () => Promise<T>): Promise<T> {
    try {
      if (options.protocol === 'kafka') throw hfError('HF_UOW_KAFKA_HANDLER', { call: 'unit.run()' });
      return this.enterNow(options, work);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private enterNow<T>(options: LocalUnitOptions, work: () => Promise<T>): Promise<T> {
    const dataSource = this.dataSourceOf(options);
    const scope = this.parts.scopes.current(dataSource);
    switch (decideEntering(options.propagation ?? 'REQUIRED', scope !== undefined)) {
      case 'begin':
        return this.begin(dataSource, options, work);
      case 'join':
        return this.inside(scope as Scope<Outgoing>, options, () => runJoined(scope as Scope<Outgoing>, work));
      case 'nest':
        return this.inside(scope as Scope<Outgoing>, options, () => (scope as Scope<Outgoing>).nested(this.parts.scopes, options, work));
      case 'suspend':
        return this.parts.scopes.with(dataSource, undefined, async () => work());
      case 'bare':
        return (async () => work())();
    }
  }

  private throughGate<T>(begin: () => Promise<T>): Promise<T> {
    const { gate } = this.parts;
    if (gate === undefined) return begin();
    gate.enter();
    const run = begin();
    const leave = () => gate.leave();
    run.then(leave, leave);
    return run;
  }

  private begin<T>(dataSource: string, options: LocalUnitOptions, work: () => Promise<T>): Promise<T> {
    const { isolation, readOnly = false, retries = 0, timeout, protocol = 'outbox' } = options;
    if (!LOCAL_PROTOCOLS.includes(protocol)) throw hfError('HF_UOW_PROTOCOL', { protocol, known: LOCAL_PROTOCOLS });
    const timeoutMs = timeout === undefined ? DEFAULT_TIMEOUT_MS : toMs(timeout, 'timeout');
    const settings: UnitSettings = { isolation, isReadOnly: readOnly, retries, protocol, isOwned: true };
    const plan: RunPlan = { dataSource, settings, timeoutMs, leftMs: timeoutMs };
    return this.throughGate(() => (retries === 0 ? new UnitRun(this.parts, plan, work).start() : this.beginRepeatedly(plan, work)));
  }

  /** Runs the work again, in a fresh transaction and with fresh messages, after a serialization failure or deadlock. */
  private async beginRepeatedly<T>(plan: RunPlan, work: () => Promise<T>): Promise<T> {
    const { clock, scheduler, random, transactions } = this.parts;
    const deadlineMs = clock.monotonicMs() + plan.timeoutMs;
    for (let run = 1; ; run += 1) {
      try {
        const again = run === 1 ? plan : { ...plan, leftMs: Math.max(0, deadlineMs - clock.monotonicMs()) };
        return await new UnitRun(this.parts, again, work).start();
      } catch (error) {
        const delayMs = retryDelayMs(run, random);
        const isWorthIt =
          run <= plan.settings.retries && clock.monotonicMs() + delayMs < deadlineMs && transactions.isSerializationFailure(error);
        if (!isWorthIt) throw error;
        await scheduler.sleep(delayMs);
      }
    }
  }

  /** Runs within a unit that must be able to keep what the options promise; a `timeout` of its own ends the whole unit. */
  private inside<T>(scope: Scope<Outgoing>, options: LocalUnitOptions, run: () => Promise<T>): Promise<T> {
    scope.assertLive();
    assertJoinable(options, scope.unit.settings);
    if (options.timeout === undefined) return run();
    const timeoutMs = toMs(options.timeout, 'timeout');
    const timer = this.parts.scheduler.after(timeoutMs, () => scope.unit.expire?.(timeoutMs));
    return run().finally(() => timer.cancel());
  }

  /** @throws HF_UOW_NONE, HF_UOW_ENDED */
  private inScope(call: string): Scope<Outgoing> {
    const scope = this.parts.scopes.innermost();
    if (!scope) throw hfError('HF_UOW_NONE', { call });
    return scope;
  }

  private dataSourceOf({ dataSource }: LocalUnitOptions): string {
    const { dataSources } = this.parts.transactions;
    if (dataSource === undefined) return dataSources[0];
    if (!dataSources.includes(dataSource)) throw hfError('HF_UOW_DATA_SOURCE', { dataSource, known: dataSources });
    return dataSource;
  }
}

/** Runs in the scope as it is. What `work` throws dooms it: its method promised all or nothing, and half of it may be there. */
async function runJoined<Outgoing, T>(scope: Scope<Outgoing>, work: () => Promise<T>): Promise<T> {
  try {
    const value = await work();
    refuseStream(value);
    return value;
  } catch (error) {
    scope.doom('a method that had joined it failed, and half of it may be there', error);
    throw error;
  }
}
