import { emit, hfError, HOOK_MS } from '@holdfast/core';
import type { DataSource, EntityManager } from 'typeorm';
import type { Statement } from '../postgres/sql/sql.js';
import type { FirstStatement, LastStatement, TextRow } from '../postgres/sql/transaction-sql.js';
import { Unanswered, within } from '../postgres/sql/within.js';
import { cancelRequest } from './cancel-request.js';
import type { Connection } from './connections.js';
import { endSession } from './end-session.js';
import { mayBeRefusal, type PgResult, transactionStatus } from './pg-client.js';
import { PgTransaction, refusalOf, type TransactionPlace } from './pg-transaction.js';
import { endRunner, makeRunner, tell, type UnitRunner } from './unit-runner.js';

const COMMIT: Statement = { name: 'hf_COMMIT', text: 'COMMIT' };

/** How long a rollback waits for statements that nobody waits for any more. */
const GRACE_MS = 1000;
/** The same of one that comes to a connection with nothing on its way. */
const ROLLBACK_MS = 5000;

/**
 * A transaction of ours, on a connection of its own. BEGIN, savepoints and COMMIT go straight to pg; TypeORM gets a query runner on the same
 * connection when somebody asks for it.
 *
 * **Guarantee:** the connection goes back to its pool with no transaction open, or not at all.
 */
export class TypeormTransaction extends PgTransaction {
  protected readonly isExclusive = true;
  private runner: UnitRunner | undefined;
  private last: LastStatement[] = [];
  /** Told of the commit. */
  private readonly whenCommitted: (() => void)[] = [];
  private isSettled = false;
  /** Ends the wait for a subscriber that is told of the commit. */
  private whenAborted: ((reason: Error) => void) | undefined;
  private isDestroyed = false;

  constructor(
    place: TransactionPlace,
    private readonly source: DataSource,
    private readonly connection: Connection,
  ) {
    super(place, connection.client);
  }

  get isCutOff(): boolean {
    return this.isDestroyed;
  }

  /** TypeORM's manager on this transaction. */
  get manager(): EntityManager {
    return this.queryRunner.manager;
  }

  /** TypeORM's query runner on this transaction. */
  get queryRunner(): UnitRunner {
    this.runner ??= makeRunner(this.source, this, this.client);
    return this.runner;
  }

  override async runFirst(statement: FirstStatement): Promise<void> {
    await super.runFirst(statement);
    if (statement.committed) this.whenCommitted.push(statement.committed);
  }

  /** Sends `statement` together with COMMIT, in one round trip. */
  async runLast(statement: LastStatement): Promise<void> {
    const known = this.untilKnown();
    if (known) await known;
    const named = this.named(statement);
    const { name, ...unnamed } = named;
    // They go out together, and the server refuses what is prepared twice under one name.
    this.last.push(name !== undefined && this.last.some((other) => other.name === name) ? unnamed : named);
    if (statement.committed) this.whenCommitted.push(statement.committed);
  }

  /** Opens it: BEGIN goes out with the first statement, and not at all when there is none. Nothing to wait for where nobody is told. */
  begin(statement: Statement): Promise<void> | undefined {
    this.pendingBegin = this.named(statement);
    return this.hasSubscribers ? this.tellOfStart() : undefined;
  }

  private async tellOfStart(): Promise<void> {
    try {
      await this.tellInTime('BeforeTransactionStart');
      await this.tellInTime('AfterTransactionStart');
    } catch (error) {
      await this.rollback();
      throw error;
    }
  }

  async commit(): Promise<void> {
    if (this.reason) throw this.reason;
    if (this.hasSubscribers) await this.tellOfCommit();
    // A subscriber may have taken so long that it was ended meanwhile.
    if (this.reason) throw this.reason;
    if (this.hasWaiting) await this.flush();
    this.isClosed = true;
    this.last = this.last.filter(({ isNeeded }) => isNeeded?.() ?? true);
    if (this.pendingBegin === undefined || this.last.length > 0) await this.commitOnServer();
    this.settle();
    if (this.hasSubscribers) await this.tellAfter('AfterTransactionCommit', 'afterCommit');
  }

  /** Whatever a subscriber throws, and also where it does not end before the unit is ended, it is known that nothing was committed. */
  private async tellOfCommit(): Promise<void> {
    const ended = new Promise<never>((_, reject) => {
      this.whenAborted = reject;
    });
    try {
      await Promise.race([tell(this.queryRunner, 'BeforeTransactionCommit'), ended]);
    } catch (error) {
      await this.rollback();
      throw error;
    }
  }

  private async commitOnServer(): Promise<void> {
    if (this.failure) await this.catchUp();
    const status = this.pendingBegin === undefined && transactionStatus(this.client);
    if (status === 'E' || status === 'I') throw await this.rolledBackWith(this.givenUp());
    const tag = await this.sendCommit();
    // In a transaction it has given up, PostgreSQL answers COMMIT with ROLLBACK and no error.
    if (tag !== 'COMMIT') throw await this.rolledBackWith(this.statementFailed());
    for (const told of this.whenCommitted) told();
  }

  async rollback(): Promise<void> {
    if (this.isSettled) return;
    await this.tellAfter('BeforeTransactionRollback', 'afterRollback');
    // Meanwhile it may have been ended, and its connection be somebody else's.
    if (this.isSettled) return;
    this.isClosed = true;
    await this.rollBack();
    await this.tellAfter('AfterTransactionRollback', 'afterRollback');
  }

  async abort(reason: Error): Promise<void> {
    if (this.isSettled) return;
    this.reason ??= reason;
    const wasCommitting = this.isClosed;
    this.isClosed = true;
    if (!this.isBusy && !wasCommitting) await this.rollBack();
    else await this.destroy(reason);
    this.whenAborted?.(reason);
  }

  /** The command tag of COMMIT. */
  private async sendCommit(): Promise<string | undefined> {
    try {
      if (this.last.length === 0) return (await this.client.query('COMMIT')).command;
      const answers: (() => void)[] = [];
      const sent = this.last.map(({ name, text, values, answered }) => ({
        statement: { name, text, values },
        answered: (row: TextRow) => answers.push(() => answered?.(row)),
      }));
      const { statement, answered: row } = sent.pop() as (typeof sent)[number];
      const results = (await this.around([statement], {
        before: sent.map((each) => ({ ...each.statement, answered: each.answered })),
        after: this.named(COMMIT),
        row,
      })) as PgResult[];
      const tag = results.at(-1)?.command;
      if (tag === 'COMMIT') for (const tell of answers) tell();
      return tag;
    } catch (error) {
      // Only over a connection that lives: a server that dies may have committed.
      if (mayBeRefusal(error) && (await this.rollBack())) throw refusalOf(this.last, error);
      this.settle(error);
      throw hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: this.dataSource }, { cause: this.reason ?? error });
    }
  }

  private async rolledBackWith<E>(error: E): Promise<E> {
    await this.rollBack();
    return error;
  }

  /**
   * A statement still on its way comes before the ROLLBACK; when it takes too long, the connection goes with it. True when the server is known to have
   * nothing open of it, and the connection was not lost over that.
   */
  private async rollBack(): Promise<boolean> {
    const { refusedBy } = this;
    if (this.pendingBegin !== undefined || refusedBy) {
      this.settle(refusedBy);
      return true;
    }
    try {
      await within(this.isBusy ? GRACE_MS : ROLLBACK_MS, this.client.query('ROLLBACK'));
      const isOver = transactionStatus(this.client) === 'I';
      this.settle(isOver ? undefined : new Error('the transaction is still open'));
      return isOver;
    } catch (error) {
      if (error instanceof Unanswered) await this.destroy(error);
      else this.settle(error);
      return false;
    }
  }

  private async destroy(error: Error): Promise<void> {
    this.isDestroyed = true;
    // The server does not notice a closed connection while it waits for a lock, or when no word of it arrives: it has to be told.
    const told = cancelRequest(this.client);
    this.settle(error);
    await told;
    void endSession(this.source, this.client);
  }

  private settle(error?: unknown): void {
    if (this.isSettled) return;
    this.isSettled = true;
    this.isClosed = true;
    if (this.runner) endRunner(this.runner);
    this.connection.release(error === undefined ? undefined : error instanceof Error ? error : new Error(String(error)));
  }

  /** Whether TypeORM's subscribers are told, who hear of the outermost transaction only. */
  private get hasSubscribers(): boolean {
    return this.source.subscribers.length > 0;
  }

  /** @throws HF_UOW_HOOK_TIMEOUT for one that does not end, and what one throws */
  private async tellInTime(event: Parameters<typeof tell>[1]): Promise<void> {
    try {
      await within(HOOK_MS, tell(this.queryRunner, event));
    } catch (error) {
      throw error instanceof Unanswered ? hfError('HF_UOW_HOOK_TIMEOUT', { hook: event, timeoutMs: HOOK_MS }) : error;
    }
  }

  /** Tells them where nothing can be changed any more: what a subscriber throws is told as that of a hook, and so is one that does not end. */
  private async tellAfter(event: Parameters<typeof tell>[1], hook: 'afterCommit' | 'afterRollback'): Promise<void> {
    if (!this.hasSubscribers) return;
    await this.tellInTime(event).catch((error: unknown) => emit('hook:failed', { hook, error }));
  }
}
