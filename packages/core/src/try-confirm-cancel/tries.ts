import type { Outgoing } from '../bus/outgoing.js';
import { hfError } from '../errors/catalogue.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { uuidv7 } from '../message/uuid.js';
import { emit } from '../monitoring/events.js';
import { failpoint } from '../testing/failpoints.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitEngine, UnitInScope } from '../unit-of-work/unit-engine.js';
import { encodeArguments, encodeResult } from './branch-json.js';
import type { BranchRunner } from './branch-runner.js';
import type { BranchStore, RegisteredBranch } from './branch.store.port.js';
import type { RunnableTry } from './try-definition.js';

/** What the end of a transaction elsewhere may take after its time-out. */
const GRACE_MS = 5000;

/** What the tries of a process work with. */
export interface TriesParts {
  readonly store: BranchStore;
  readonly units: UnitEngine<Outgoing>;
  /** Name of the data source the store is in. */
  readonly dataSource: string;
  readonly clock: Clock;
  readonly random: Random;
  /** Refuses what a database keeps where none commits. @throws HF_UOW_KAFKA_DATABASE */
  readonly assertDatabase: (call: string) => void;
  /** Undefined before the start. */
  readonly runner: () => BranchRunner | undefined;
}

/** One call of a try, while it runs. */
interface TryCall {
  readonly id: string;
  readonly definition: RunnableTry;
  /** On the monotonic clock. */
  readonly startedMs: number;
  /** The calling unit has ended. */
  isOver: boolean;
  /** The method was called. */
  hasBegun: boolean;
}

/** Calls tries: registers the branch, runs the method in a transaction of its own, and has the COMMIT of the calling unit decide. */
export class Tries {
  private readonly transactions = new WeakSet<Transaction>();

  constructor(private readonly parts: TriesParts) {}

  /** @throws HF_TCC_NO_UNIT, HF_TCC_DATA_SOURCE, HF_TCC_NESTED, HF_TCC_ARGUMENTS, HF_TCC_RESULT, HF_TCC_REFUSED, HF_UOW_READ_ONLY, HF_UOW_KAFKA_DATABASE */
  async call(definition: RunnableTry, args: readonly unknown[], method: () => Promise<unknown>): Promise<unknown> {
    const { clock, random, store, units, runner } = this.parts;
    const { name, timeoutMs } = definition;
    const unit = this.callerOf(definition, args);
    const stored = encodeArguments(args, name);
    const call: TryCall = { id: uuidv7(clock, random), definition, startedMs: clock.monotonicMs(), isOver: false, hasBegun: false };
    let isRegistered = false;
    let noted: Promise<void> | undefined;
    const offer = async () => {
      await noted;
      if (isRegistered) runner()?.offer(call.id);
    };
    unit.onEnd(() => {
      // A method that still runs goes on: its transaction keeps the cancel away from what it has not done yet. The try offers it when it has ended.
      call.isOver = true;
      void offer();
    });
    const server = await store.register({ id: call.id, method: name, arguments: stored, timeoutMs });
    isRegistered = true;
    failpoint('try:after-register');
    try {
      const result = await this.run(call, method);
      units.beforeCommit(() => this.decideWith(unit.transaction, { id: call.id, server }));
      return result;
    } catch (error) {
      // What nobody called has nothing to cancel; where that cannot be written down, the cancel finds out itself. Not waited for: there may be no connection.
      if (!call.hasBegun) noted = store.work.unbegun(call.id).catch(() => undefined);
      void offer();
      throw error;
    }
  }

  private async decideWith(tx: Transaction, branch: RegisteredBranch): Promise<void> {
    const { store, units, runner } = this.parts;
    await store.commitWith(tx, branch);
    if (!ownsUnit(units)) runner()?.offerLater(branch.id);
  }

  private async run(call: TryCall, method: () => Promise<unknown>): Promise<unknown> {
    const { dataSource, clock } = this.parts;
    const { name } = call.definition;
    const startedMs = clock.monotonicMs();
    this.assertGoingOn(call);
    const { dataSource: elsewhere, timeoutMs } = call.definition;
    // The transaction elsewhere ends first, so that no cancel looks there while it may still commit.
    const longest = elsewhere === undefined ? timeoutMs : timeoutMs + GRACE_MS;
    const result = await this.ownUnit(call, { dataSource, timeout: longest }, () => this.inOwnUnit(call, method));
    failpoint('try:after-commit');
    emit('branch:tried', () => ({ branch: call.id, method: name, durationMs: clock.monotonicMs() - startedMs }));
    return result;
  }

  private async ownUnit<T>(
    { id, definition: { name } }: TryCall,
    options: { readonly dataSource: string; readonly timeout: number },
    work: () => Promise<T>,
  ): Promise<T> {
    try {
      return await this.parts.units.run({ ...options, propagation: 'REQUIRES_NEW' }, work);
    } catch (error) {
      // Of the calling unit it is known that it does not commit.
      throw isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN')
        ? hfError('HF_TCC_COMMIT_UNKNOWN', { method: name, id }, { cause: error })
        : error;
    }
  }

  private async inOwnUnit(call: TryCall, method: () => Promise<unknown>): Promise<unknown> {
    const { store, units, dataSource, clock } = this.parts;
    const { id, definition } = call;
    const { name, timeoutMs } = definition;
    const own = units.current(dataSource) as UnitInScope<Outgoing>;
    this.assertGoingOn(call);
    this.transactions.add(own.transaction);
    if (!(await own.inTurn((tx) => store.begin(tx, id)))) throw hfError('HF_TCC_REFUSED', { method: name, id, timeoutMs });
    failpoint('try:after-begin');
    this.assertGoingOn(call);
    call.hasBegun = true;
    const { dataSource: elsewhere } = definition;
    const timeout = Math.max(1, Math.round(timeoutMs - (clock.monotonicMs() - call.startedMs)));
    const result = elsewhere === undefined ? await method() : await this.ownUnit(call, { dataSource: elsewhere, timeout }, method);
    const stored = encodeResult(result, name);
    failpoint('try:after-call');
    await own.inTurn((tx) => store.finish(tx, id, stored));
    return result;
  }

  private assertGoingOn({ isOver }: TryCall): void {
    if (isOver) throw hfError('HF_UOW_ENDED', {});
  }

  /** The unit whose commit decides. */
  private callerOf({ name, arity }: RunnableTry, args: readonly unknown[]): UnitInScope<Outgoing> {
    const { units, dataSource, assertDatabase, runner } = this.parts;
    assertDatabase(`a call of the try ${name}`);
    if (runner() === undefined) throw hfError('HF_NOT_STARTED', { call: name });
    const unit = units.current();
    if (unit === undefined) throw hfError('HF_TCC_NO_UNIT', { method: name });
    if (unit.dataSource !== dataSource) throw hfError('HF_TCC_DATA_SOURCE', { method: name, found: unit.dataSource, dataSource });
    if (this.transactions.has(unit.transaction)) throw hfError('HF_TCC_NESTED', { method: name });
    if (unit.isReadOnly) throw hfError('HF_UOW_READ_ONLY', { call: `A call of the try ${name}` });
    if (args.length !== arity) {
      const reason = `it was called with ${args.length}, and declares ${arity}; the branch comes after them, so a try has no optional ones, no defaults and no rest`;
      throw hfError('HF_TCC_ARGUMENTS', { method: name, reason });
    }
    return unit;
  }
}

/** False in a transaction the user opened: he commits, and nobody tells us when. */
function ownsUnit(units: UnitEngine<Outgoing>): boolean {
  try {
    units.afterCommit(() => undefined);
    return true;
  } catch (error) {
    if (isHoldfastError(error, 'HF_UOW_NOT_OWNED')) return false;
    throw error;
  }
}
