import { ContextSlot } from '../context/context-slot.js';
import { hfError } from '../errors/catalogue.js';
import { runNested } from './nested.js';
import { assertJoinable } from './propagation.js';
import type { Savepoint, Transaction } from './transaction.port.js';
import type { Hook, RollbackHook, Unit } from './unit.js';
import type { LocalProtocol, LocalUnitOptions } from './unit-of-work.js';
import { WriteNote } from './write-note.js';

/**
 * A place where statements of one unit run: the unit itself, or a nested part of it behind a savepoint.
 *
 * Only one scope of a unit is active at a time; statements of the others wait for their turn, so that siblings under `Promise.all`
 * never interleave their savepoints.
 */
export class Scope<Outgoing = unknown> {
  /** Set while the scope is a nested part whose savepoint exists. */
  savepoint: Savepoint | undefined;
  /** Why what was done here cannot be kept, although the scope still runs. */
  doomedBy: Error | undefined;
  /** Set when what was done here was undone while the unit goes on. */
  undoneBy: { readonly error: unknown } | undefined;
  /** `true`: in good order; then the error is made when somebody needs it, with his place in the stack. */
  private endedBy: Error | true | undefined;
  /** What `inTurn` has begun. */
  private readonly inHand = new Set<Promise<unknown>>();

  constructor(
    readonly unit: Unit<Outgoing>,
    readonly parent: Scope<Outgoing> | undefined,
  ) {}

  get transaction(): Transaction {
    return this.unit.transaction;
  }

  get dataSource(): string {
    return this.unit.transaction.dataSource;
  }

  get isReadOnly(): boolean {
    return this.unit.settings.isReadOnly;
  }

  get protocol(): LocalProtocol {
    return this.unit.settings.protocol;
  }

  /** From now on every statement and publish of this scope and of those inside it throws: work that outlives its unit must not reach its connection. */
  end(reason: Error | true = true): void {
    this.endedBy ??= reason;
  }

  /** The end of this scope, or of one around it. */
  get ending(): Error | true | undefined {
    return this.endedBy ?? this.parent?.ending;
  }

  /** What was done here shall not be kept, whatever becomes of the work. */
  doom(reason: string, cause: unknown): void {
    this.doomedBy ??= hfError('HF_UOW_ROLLBACK_ONLY', { reason }, { cause });
  }

  assertLive(): void {
    const reason = this.ending;
    if (reason) throw reason === true ? hfError('HF_UOW_ENDED', {}) : reason;
  }

  /** What made this scope or one around it undone. */
  get undone(): { readonly error: unknown } | undefined {
    return this.undoneBy ?? this.parent?.undone;
  }

  /**
   * True when this scope may send a statement now: look and send in one synchronous step, because any await may give the turn away.
   *
   * @throws HF_UOW_ENDED, or why the unit ended
   */
  isActive(): boolean {
    this.assertLive();
    return this.unit.active === this;
  }

  /** Runs `work` as a part of this scope behind a savepoint, as NESTED does. @throws HF_UOW_ENDED, HF_UOW_OPTIONS_DIFFER, HF_UOW_RETRIES_JOINED */
  async nested<T>(storage: ScopeStorage<Outgoing>, options: LocalUnitOptions, work: () => Promise<T>): Promise<T> {
    this.assertLive();
    assertJoinable(options, this.unit.settings);
    return runNested(storage, this, work);
  }

  /** A part of this scope, not yet entered. */
  part(): Scope<Outgoing> {
    return new Scope<Outgoing>(this.unit, this);
  }

  /** Runs statements of the framework when it is the turn of this scope, which does not end between them. @throws HF_UOW_ENDED */
  async inTurn<T>(statements: (transaction: Transaction) => Promise<T>): Promise<T> {
    while (!this.isActive()) await this.unit.turn();
    const work = statements(this.transaction); // in one step with the look
    this.inHand.add(work);
    try {
      return await work;
    } finally {
      this.inHand.delete(work);
    }
  }

  /** True while statements of the framework are under way here. */
  get isInHand(): boolean {
    return this.inHand.size > 0;
  }

  /** Resolves when none are. */
  async settled(): Promise<void> {
    while (this.isInHand) await Promise.allSettled(this.inHand);
  }

  /** Runs a statement of the framework before the unit commits, after all hooks, in the turn of the whole unit; not when this scope was undone. @throws HF_UOW_ENDED */
  beforeCommit(statement: (transaction: Transaction) => Promise<void>): void {
    this.unit.lastBeforeCommit(this, () => this.unit.root.inTurn(statement));
  }

  /** As of `UnitOfWork`, for what was done here. @throws HF_UOW_NOT_OWNED, HF_UOW_ENDED */
  afterCommit(hook: Hook): void {
    this.unit.afterCommit(this, hook);
  }

  /** The same, before the hooks of the user. @throws HF_UOW_NOT_OWNED, HF_UOW_ENDED */
  firstAfterCommit(hook: Hook): void {
    this.unit.firstAfterCommit(this, hook);
  }

  /** As of `UnitOfWork`. @throws HF_UOW_NOT_OWNED, HF_UOW_ENDED */
  afterRollback(hook: RollbackHook): void {
    this.unit.afterRollback(this, hook);
  }

  /** Runs when the unit has ended, before its hooks: committed or not, or nobody knows. Must not throw. */
  onEnd(then: () => void): void {
    this.unit.onEnd(then);
  }

  /** Ends the whole unit now, as its time-out does, whatever its statements wait for. */
  breakOff(timeoutMs: number): void {
    this.unit.expire?.(timeoutMs);
  }

  /** Buffers a message until the unit commits. @throws HF_UOW_ENDED, HF_UOW_READ_ONLY */
  outgoing(message: Outgoing): void {
    this.assertLive();
    if (this.isReadOnly) throw hfError('HF_UOW_READ_ONLY', { call: 'A publish' });
    this.unit.buffer(this, message);
  }
}

let entered = 0;

/** What an asynchronous context knows about one data source; the entries around it follow. */
export interface ScopeEntry<Outgoing = unknown> {
  readonly dataSource: string;
  /** Higher than that of whatever was entered before, in this application or in another one of the process. */
  readonly order: number;
  /** Undefined: whatever is around is suspended. */
  readonly scope: Scope<Outgoing> | undefined;
  readonly outer: ScopeEntry<Outgoing> | undefined;
  /** Set when the entry only says that something was written outside any unit. */
  readonly note?: WriteNote;
}

/**
 * A write outside any unit, as a context sees it: `none`; `own`, made by the same piece of work (what runs in a root context, or within a call of
 * the engine); `near`, made in a context that nobody opened for one piece of work, so maybe by another one that runs in it.
 */
export type SeenWrite = 'none' | 'near' | 'own';

/** No data source: of an entry that is there for a note, or as the root of a context. */
const NO_SOURCE = '';
const ROOT: ScopeEntry<never> = { dataSource: NO_SOURCE, scope: undefined, order: 0, outer: undefined };

/** Where the scope in force lives. One for all would let two applications of a process see each other's units, so each engine has its own. */
export class ScopeStorage<Outgoing = unknown> {
  private readonly slot = new ContextSlot<ScopeEntry<Outgoing>>();

  /** The scope in force for a data source; undefined outside any unit. */
  current(dataSource: string): Scope<Outgoing> | undefined {
    return this.entry(dataSource)?.scope;
  }

  /** What was entered last for a data source; undefined outside anything. */
  entry(dataSource: string): ScopeEntry<Outgoing> | undefined {
    for (let entry = this.slot.get(); entry; entry = entry.outer) {
      if (entry.dataSource === dataSource) return entry;
    }
    return undefined;
  }

  /** The scope entered last that is in force, whatever its data source. */
  innermost(): Scope<Outgoing> | undefined {
    const top = this.slot.get();
    if (!top || top.scope) return top?.scope;
    // The last step suspended a unit; one of another data source may still be in force.
    for (let entry = top.outer; entry; entry = entry.outer) {
      const scope = this.current(entry.dataSource);
      if (scope) return scope;
    }
    return undefined;
  }

  /** The innermost scope of one transaction, also when another unit of its data source hides it. */
  within(transaction: Transaction): Scope<Outgoing> | undefined {
    for (let entry = this.slot.get(); entry; entry = entry.outer) {
      if (entry.scope?.transaction === transaction) return entry.scope;
    }
    return undefined;
  }

  /** Runs `work` with `scope` in force (undefined: with none) for this data source. */
  with<T>(dataSource: string, scope: Scope<Outgoing> | undefined, work: () => T): T {
    entered += 1;
    return this.slot.run({ dataSource, scope, order: entered, outer: this.slot.get() }, work);
  }

  /**
   * A note of a write outside any unit, which the calling asynchronous context keeps. Call it before the first await of the user's own call: what is
   * noted later stays in there. Until something is begun, the note says what the one before it said.
   */
  noteWrite(): WriteNote {
    const top = this.slot.get();
    const note = new WriteNote(top?.note);
    entered += 1;
    const outer = top?.note === undefined ? top : top.outer;
    this.slot.enter({ dataSource: NO_SOURCE, scope: undefined, order: entered, outer, note });
    return note;
  }

  /**
   * Whether this asynchronous context wrote something outside any unit a moment ago: a publish outside a unit is then a dual write.
   * **Not promised:** to notice a write made deeper down, after an await of its own.
   */
  seenWrite(): SeenWrite {
    for (let entry = this.slot.get(); entry; entry = entry.outer) {
      // What lies under a note was entered by a call, which took the note with it when it ended.
      if (entry.note?.isRecent) return entry.outer === undefined ? 'near' : 'own';
    }
    return 'none';
  }

  /** Runs `work` in a fresh root context: every entry point (delivery, timer, listener, hook) starts here. */
  root<T>(work: () => T): T {
    return this.slot.run(ROOT, work);
  }

  /** Makes what follows in the calling asynchronous context a fresh root context, for an entry point that cannot be wrapped. */
  beginRoot(): void {
    this.slot.enter(ROOT);
  }
}
