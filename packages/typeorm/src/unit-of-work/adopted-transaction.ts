import { hfError, type TransactionPort } from '@holdfast/core';
import type { EntityManager } from 'typeorm';
import { type FirstStatement, type LastStatement, runFirstNow, runNow } from '../postgres/sql/transaction-sql.js';
import type { PgClient } from './pg-client.js';
import { PgTransaction, type TransactionPlace } from './pg-transaction.js';
import { turnTaking, type UnitRunner } from './unit-runner.js';

/** A transaction the user opened, lent to a unit. While it is lent, his query runner takes turns with the scopes of the unit. */
export class LentTransaction extends PgTransaction implements ReturnType<TransactionPort['adopt']> {
  /** Its owner may hold the connection itself. */
  protected readonly isExclusive = false;

  constructor(
    place: TransactionPlace,
    readonly queryRunner: UnitRunner,
    client: PgClient,
  ) {
    super(place, client);
    queryRunner.databaseConnection = turnTaking(client, this);
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

  letGo(): void {
    this.isClosed = true;
    this.queryRunner.databaseConnection = this.client;
  }
}
