import type { Savepoint, Transaction } from '@holdfast/core';
import { Client, type Pool, type PoolClient, type QueryConfig } from 'pg';
import {
  type FirstStatement,
  type LastStatement,
  runFirstNow,
  runNow,
} from '../../../packages/typeorm/src/postgres/sql/transaction-sql.js';

interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** A transaction on a plain pg connection, with PREPARE; what the store needs of one is there, at once instead of together with others. */
export class RawTransaction implements Transaction {
  readonly dataSource = 'default';

  private constructor(
    readonly client: Client | PoolClient,
    private readonly end: (error?: Error) => void,
  ) {}

  /** On a connection of its own, closed with it. */
  static async open(url: string): Promise<RawTransaction> {
    const client = new Client({ connectionString: url });
    client.on('error', () => undefined);
    await client.connect();
    return RawTransaction.on(client, () => void client.end().catch(() => undefined));
  }

  /** `pool` listens for the errors of its connections while they are out. */
  static async from(pool: Pool): Promise<RawTransaction> {
    const client = await pool.connect();
    return RawTransaction.on(client, (error) => client.release(error ?? false));
  }

  private static async on(client: Client | PoolClient, end: (error?: Error) => void): Promise<RawTransaction> {
    try {
      await client.query('begin');
    } catch (error) {
      end(error as Error);
      throw error;
    }
    return new RawTransaction(client, end);
  }

  async run<Row = Record<string, unknown>>(statement: Statement): Promise<{ rows: Row[]; rowCount: number }> {
    const { rows, rowCount } = await this.client.query(statement as QueryConfig);
    return { rows: rows as Row[], rowCount: rowCount ?? 0 };
  }

  async runFirst(statement: FirstStatement): Promise<void> {
    await runFirstNow(this, statement);
  }

  async flush(): Promise<void> {
    // Nothing waits.
  }

  /** At once, so that a test can stop between it and COMMIT. */
  async runLast(statement: LastStatement): Promise<void> {
    await runNow(this, statement);
  }

  async commit(): Promise<void> {
    await this.finish('commit', 'COMMIT');
  }

  /** From now on the transaction belongs to the server; `COMMIT PREPARED` ends it on any connection. */
  async prepare(gid: string): Promise<void> {
    await this.finish(`prepare transaction '${gid}'`, 'PREPARE'); // pg keeps the first word of the command tag
  }

  async rollback(): Promise<void> {
    await this.finish('rollback', 'ROLLBACK').catch(() => undefined);
  }

  async savepoint(): Promise<Savepoint> {
    await this.client.query('savepoint s');
    const then = (sql: string) => async () => void (await this.client.query(sql));
    return { release: then('release savepoint s'), rollback: then('rollback to savepoint s; release savepoint s') };
  }

  async abort(reason: Error): Promise<void> {
    this.end(reason);
  }

  private async finish(sql: string, tag: string): Promise<void> {
    let results: unknown;
    try {
      results = await this.client.query(sql);
    } catch (error) {
      this.end(error as Error);
      throw error;
    }
    const { command } = (Array.isArray(results) ? results.at(-1) : results) as { command: string };
    this.end();
    if (command !== tag) throw new Error(`${tag} was answered with ${command}`);
  }
}
