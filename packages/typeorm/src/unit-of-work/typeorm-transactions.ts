import { type BeginOptions, hfError, type ScopeStorage, type TransactionPort } from '@holdfast/core';
import type { DataSource, EntityManager } from 'typeorm';
import { LentTransaction, lentOf } from './adopted-transaction.js';
import type { Statement } from '../postgres/sql/sql.js';
import { connectRaw } from './connections.js';
import { TypeormTransaction } from './owned-transaction.js';
import { isSerializationFailure, type PgClient, transactionStatus, watch } from './pg-client.js';
import type { TransactionPlace } from './pg-transaction.js';
import { isUnitRunner, type UnitRunner } from './unit-runner.js';

/** Transactions on TypeORM data sources, by name. */
export class TypeormTransactions implements TransactionPort {
  readonly dataSources: readonly [string, ...string[]];

  /**
   * @param sources the data sources that take part, the default first
   * @param scopes shared with the engine and with `installInterception`
   * @param isPreparing whether the framework's statements are prepared by name
   */
  constructor(
    private readonly sources: Readonly<Record<string, DataSource>>,
    private readonly scopes: ScopeStorage,
    private readonly isPreparing = true,
  ) {
    const names = Object.keys(sources);
    if (names.length === 0) throw hfError('HF_INVARIANT', { fact: 'a store has at least one DataSource' });
    this.dataSources = names as [string, ...string[]];
  }

  async begin(options: BeginOptions): Promise<TypeormTransaction> {
    const source = this.sources[options.dataSource];
    if (!source) throw hfError('HF_UOW_DATA_SOURCE', { dataSource: options.dataSource, known: this.dataSources });
    const connection = await connectRaw(source);
    const transaction = new TypeormTransaction(this.place(options.dataSource), source, connection);
    const told = transaction.begin(beginning(options, source));
    if (told) await told;
    return transaction;
  }

  adopt(handle: object): LentTransaction {
    const runner = (handle as Partial<EntityManager>).queryRunner as (UnitRunner & { readonly connection?: DataSource }) | undefined;
    const found = runner && Object.entries(this.sources).find(([, source]) => source === (runner.dataSource ?? runner.connection));
    if (!runner || !found) throw joinRefused('it has no query runner of one of these data sources');
    if (isUnitRunner(runner)) throw joinRefused('it is the unit of work in scope already');
    const lent = lentOf(runner);
    // Side by side they would undo each other's rows with their savepoints.
    if (lent && !lent.isInScope) throw joinRefused('another join of it is still at work');
    const client = runner.databaseConnection as PgClient | undefined;
    if (!client || runner.isReleased || !runner.isTransactionActive) throw joinRefused('no transaction is open on it');
    watch(client);
    if (transactionStatus(client) === 'I') throw joinRefused('its transaction has ended');
    return new LentTransaction(this.place(found[0]), runner, client);
  }

  private place(name: string): TransactionPlace {
    return { name, scopes: this.scopes, isPreparing: this.isPreparing };
  }

  isSerializationFailure(error: unknown): boolean {
    return isSerializationFailure(error);
  }
}

function beginning({ isolation, readOnly }: BeginOptions, source: DataSource): Statement {
  const level = isolation ?? (source.options as { isolationLevel?: string }).isolationLevel;
  const text = `BEGIN${level ? ` ISOLATION LEVEL ${level}` : ''}${readOnly ? ' READ ONLY' : ''}`;
  return { name: `hf_${text}`, text };
}

function joinRefused(value: string): Error {
  return hfError('HF_UOW_JOIN_HANDLE', { value });
}
