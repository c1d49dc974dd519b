import { hfError, type TransactionPort } from '@holdfast/core';
import type { EntityManager } from 'typeorm';
import { type FirstStatement, type LastStatement, runFirstNow, runNow } from '../postgres/sql/transaction-sql.js';
import type { PgClient } from './pg-client.js';
import { PgTransaction, type TransactionPlace } from './pg-transaction.js';
import { turnTaking, type UnitRunner } from './unit-runner.js';

/** What is lent of a query runner: once, and again to joins within that one. */
interface Lending {
  /** What the runner has while nothing is lent. */
  readonly client: PgClient;
  /** The innermost last. */
  readonly open: LentTransaction[];
}

const lendings = new WeakMap<UnitRunner, Lending>();

/** The join that has a query runner now, the innermost of several; undefined: none. */
export function lentOf(runner: UnitRunner): LentTransaction | undefined {
  return lendings.get(runner)?.open.at(-1);
}

/** A transaction the user opened, lent to a unit. While it is lent, his query runner takes turns with the scopes of the unit. */
export class LentTransaction extends PgTransaction implements ReturnType<TransactionPort['adopt']> {
  /** Its owner may hold the connection itself. */
  protected readonly isExclusive = false;
  private readonly turns: PgClient;

  constructor(
    place: TransactionPlace,
    readonly queryRunner: UnitRunner,
    client: PgClient,
  ) {
    super(place, client);
    this.turns = turnTaking(client, this);
    const lending = lendings.get(queryRunner) ?? { client, open: [] };
    lending.open.push(this);
    lendings.set(queryRunner, lending);
    queryRunner.databaseConnection = this.turns;
  }

  /** The user's own manager. */
  get manager(): EntityManager {
    return this.queryRunner.manager;
  }

  /** Runs it at once: nothing of ours may follow. */
  override async runFirst(statement: FirstStatement): Promise<void> {
    await runFirstNow(this, statement);
  }

  /** Runs it at once: only the user knows when COMMIT comes. */
  async runLast(statement: LastStatement): Promise<void> {
    await runNow(this, statement);
  }

  async commit(): Promise<void> {
    throw hfError('HF_UOW_NOT_OWNED', { call: 'commit' });
  }

  async rollback(): Promise<void> {
    throw hfError('HF_UOW_NOT_OWNED', { call: 'rollback' });
  }

  async abort(reason: Error): Promise<void> {
    this.reason ??= reason;
  }

  /** True in what runs within this join. */
  get isInScope(): boolean {
    return this.place.scopes.within(this) !== undefined;
  }

  /** What runs on in a join whose time is up is refused; its owner has his connection, to roll back. */
  override userQuery(args: Parameters<PgClient['query']>): Promise<unknown> {
    return this.isOutlived || this.isLeftByOwner ? this.client.query(...args) : super.userQuery(args);
  }

  override userSubmit(submittable: object): unknown {
    return this.isOutlived || this.isLeftByOwner ? this.client.query(submittable) : super.userSubmit(submittable);
  }

  /** It was ended from outside, and this is asked by somebody who is not in it. */
  private get isLeftByOwner(): boolean {
    return this.reason !== undefined && !this.isInScope;
  }

  /** A join within this one goes on, and speaks through it. */
  private get isOutlived(): boolean {
    return this.isClosed && lentOf(this.queryRunner) !== undefined;
  }

  /** Whichever ends last, his runner gets back what it had: he must be able to commit and roll back. */
  letGo(): void {
    this.isClosed = true;
    const { client, open } = lendings.get(this.queryRunner) as Lending;
    open.splice(open.indexOf(this), 1);
    this.queryRunner.databaseConnection = open.at(-1)?.turns ?? client;
    if (open.length === 0) lendings.delete(this.queryRunner);
  }
}
