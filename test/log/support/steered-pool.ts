import type { DataSource } from 'typeorm';
import {
  type RawConnection,
  type SqlResult,
  type SqlRunner,
  SqlPool,
  type Statement,
} from '../../../packages/typeorm/src/postgres/sql/sql.js';
import { connectRaw } from '../../../packages/typeorm/src/unit-of-work/connections.js';

/** A pool that lets a test do something between two statements, and be told that they came from another life of the server. */
export class SteeredPool extends SqlPool {
  readonly before: (() => Promise<unknown>)[] = [];
  /** The server's life that each of the next statements outside a transaction answers with; undefined: the true one. */
  readonly lives: (string | undefined)[] = [];
  /** Time zone of the sessions. */
  zone = 'UTC';

  constructor(dataSource: DataSource) {
    super(async () => {
      const connection = await connectRaw(dataSource);
      await connection.client.query(`set time zone '${this.zone}'`);
      return connection as RawConnection;
    }, true);
  }

  override async run<Row>(statement: Statement): Promise<SqlResult<Row>> {
    await this.before.shift()?.();
    const life = this.lives.shift();
    const result = await super.run<Row>(statement);
    return life === undefined ? result : { ...result, rows: result.rows.map((row) => ({ ...row, life })) };
  }

  override async transaction<T>(work: (sql: SqlRunner) => Promise<T>): Promise<T> {
    await this.before.shift()?.();
    return super.transaction(work);
  }
}
