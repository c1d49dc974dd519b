import { hfError } from '../errors/catalogue.js';
import { Scope } from './scope.js';
import type { Transaction } from './transaction.port.js';
import type { Isolation, LocalProtocol } from './unit-of-work.js';

/** Runs before COMMIT, or after a commit. */
export type Hook = () => void | Promise<void>;
/** Runs after a rollback. */
export type RollbackHook = (error: unknown) => void | Promise<void>;

/** What a unit was opened with. */
export interface UnitSettings {
  readonly isolation: Isolation | undefined;
  readonly isReadOnly: boolean;
  readonly retries: number;
  readonly protocol: LocalProtocol;
  /** False for a transaction the user opened: he commits. */
  readonly isOwned: boolean;
}

const NO_HOOKS: readonly Hook[] = [];

/** Something a scope left for the end of its unit; void when the scope was undone. */
interface Left<Outgoing, Item> {
  readonly scope: Scope<Outgoing>;
  readonly item: Item;
}

/**
 * One unit of work while it runs: its transaction, whose turn it is, and what waits for its end. Messages and hooks keep the order of their
 * calls over all scopes; those of a scope that was undone are left out.
 */
export class Unit<Outgoing = unknown> {
  readonly root: Scope<Outgoing>;
  /** The scope that may use the connection now. */
  active: Scope<Outgoing>;
  /** Ends the unit from outside after a time-out; set by whoever runs it. */
  expire: ((timeoutMs: number) => void) | undefined;

  private readonly before: Left<Outgoing, Hook>[] = [];
  private readonly last: Left<Outgoing, Hook>[] = [];
  private readonly committed: Left<Outgoing, Hook>[] = [];
  private readonly after: Left<Outgoing, Hook>[] = [];
  private readonly rolledBack: Left<Outgoing, RollbackHook>[] = [];
  private readonly messages: Left<Outgoing, Outgoing>[] = [];
  private ending: (() => void)[] = [];
  private waiting: (() => void)[] | undefined;

  constructor(
    readonly transaction: Transaction,
    readonly settings: UnitSettings,
  ) {
    this.root = new Scope<Outgoing>(this, undefined);
    this.active = this.root;
  }

  /** Gives the turn to `scope` and wakes those who wait for it. */
  activate(scope: Scope<Outgoing>): void {
    this.active = scope;
    this.wake();
  }

  /** Resolves when the turn has moved or the unit has ended: look again then. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      this.waiting ??= [];
      this.waiting.push(resolve);
    });
  }

  /** Ends all scopes: from now on only the framework uses the connection. */
  end(reason?: Error): void {
    this.root.end(reason);
    this.wake();
  }

  /** Runs when the outcome is known, or never will be. */
  onEnd(then: () => void): void {
    this.ending.push(then);
  }

  /** The outcome is known, or never will be. */
  ended(): void {
    const ending = this.ending;
    this.ending = [];
    for (const then of ending) then();
  }

  buffer(scope: Scope<Outgoing>, message: Outgoing): void {
    this.messages.push({ scope, item: message });
  }

  beforeCommit(scope: Scope<Outgoing>, hook: Hook): void {
    scope.assertLive();
    this.before.push({ scope, item: hook });
  }

  /** As `beforeCommit`, when all those have run: for what others wait for until the unit has ended. */
  lastBeforeCommit(scope: Scope<Outgoing>, hook: Hook): void {
    scope.assertLive();
    this.last.push({ scope, item: hook });
  }

  /** @throws HF_UOW_NOT_OWNED */
  afterCommit(scope: Scope<Outgoing>, hook: Hook): void {
    this.assertOwned(scope, 'afterCommit()');
    this.after.push({ scope, item: hook });
  }

  /** As `afterCommit`, before all those: for the framework, since theirs may wait for what it does. @throws HF_UOW_NOT_OWNED */
  firstAfterCommit(scope: Scope<Outgoing>, hook: Hook): void {
    this.assertOwned(scope, 'afterCommit()');
    this.committed.push({ scope, item: hook });
  }

  /** @throws HF_UOW_NOT_OWNED */
  afterRollback(scope: Scope<Outgoing>, hook: RollbackHook): void {
    this.assertOwned(scope, 'afterRollback()');
    this.rolledBack.push({ scope, item: hook });
  }

  /** Whether there is anything to be done before COMMIT. */
  get hasBefore(): boolean {
    return this.before.length + this.last.length > 0 || this.root.isInHand;
  }

  /** The next hook to run before COMMIT; hooks may register more. */
  nextBefore(): Hook | undefined {
    for (const hooks of [this.before, this.last])
      for (let left = hooks.shift(); left; left = hooks.shift()) if (!left.scope.undone) return left.item;
    return undefined;
  }

  /** What is to be written with the commit, in the order of the calls. */
  kept(): Outgoing[] {
    return kept(this.messages);
  }

  /** What runs after the commit: the hooks of what was kept, and the rollback hooks of parts that were not. */
  afterCommitted(): readonly Hook[] {
    if (this.committed.length + this.after.length + this.rolledBack.length === 0) return NO_HOOKS;
    return [...kept(this.committed), ...kept(this.after), ...this.undoneHooks()];
  }

  /** What runs after the rollback. */
  afterRolledBack(error: unknown): Hook[] {
    return this.rolledBack.map(
      ({ scope, item }) =>
        () =>
          item(scope.undone ? scope.undone.error : error),
    );
  }

  private undoneHooks(): Hook[] {
    const hooks: Hook[] = [];
    for (const { scope, item } of this.rolledBack) {
      const undone = scope.undone;
      if (undone) hooks.push(() => item(undone.error));
    }
    return hooks;
  }

  private assertOwned(scope: Scope<Outgoing>, call: string): void {
    scope.assertLive();
    if (!this.settings.isOwned) throw hfError('HF_UOW_NOT_OWNED', { call });
  }

  private wake(): void {
    const waiting = this.waiting;
    if (!waiting) return;
    this.waiting = undefined;
    for (const resolve of waiting) resolve();
  }
}

function kept<Outgoing, Item>(left: readonly Left<Outgoing, Item>[]): Item[] {
  const items: Item[] = [];
  for (const { scope, item } of left) if (!scope.undone) items.push(item);
  return items;
}
