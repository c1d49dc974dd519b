import { hfError, type SchemaPort, type SchemaStatus } from '@holdfast/core';
import type { SqlPool, SqlRunner } from '../sql/sql.js';
import { MIGRATIONS, SCHEMA_VERSION } from './migrations.js';
import type { Tables } from './tables.js';
import { addTransport } from './transport-lanes.js';

/** Waiting longer for a table's lock would make every writer behind us wait too (red team 2, H10). */
const LOCK_TIMEOUT = '2s';
const LOCK_NOT_AVAILABLE = '55P03';
/** A step may have to rewrite a large table. */
const MIGRATION_STATEMENT_MS = 3_600_000;
const MIGRATE_ATTEMPTS = 30;
/** Advisory lock of whoever migrates. Any fixed number: it only has to be the same on every node. */
export const MIGRATION_LOCK = 7_205_759_403_792_793;

/** Creates the tables, brings them up to date, and tells how they stand. */
export class PostgresSchema implements SchemaPort {
  constructor(
    private readonly pool: SqlPool,
    private readonly tables: Tables,
    private readonly lanes: number,
  ) {}

  async status(): Promise<SchemaStatus> {
    return { found: await this.found(this.pool), wanted: SCHEMA_VERSION };
  }

  migrate(): Promise<SchemaStatus> {
    return this.alone(async (sql) => {
      const found = await this.found(sql);
      if (found > SCHEMA_VERSION) throw hfError('HF_SCHEMA_AHEAD', { found, needed: SCHEMA_VERSION });
      for (const statement of this.statements(found)) await sql.run({ text: statement });
      return { found: SCHEMA_VERSION, wanted: SCHEMA_VERSION };
    });
  }

  transportsWithoutLanes(names: readonly string[]): Promise<readonly string[]> {
    return this.without(this.pool, names);
  }

  addTransports(names: readonly string[]): Promise<void> {
    return this.alone(async (sql) => {
      for (const name of await this.without(sql, names)) await addTransport(sql, { tables: this.tables, name });
    });
  }

  sql(from: number): string {
    return [...this.statements(from)].map((statement) => `${statement};\n`).join('');
  }

  /** Lanes of the log, as its first migration fixed them. */
  async laneCount(): Promise<number> {
    const { rows } = await this.pool.run<{ value: string }>({ text: `select value from ${this.tables.meta} where name = 'lanes'` });
    return Number(rows[0]?.value);
  }

  private async without(sql: SqlRunner, names: readonly string[]): Promise<readonly string[]> {
    const { rows } = await sql.run<{ name: string }>({
      text: `select name from unnest($1::text[]) with ordinality as n(name, n)
             where not exists (select from ${this.tables.lane} l where l.transport = n.name) order by n`,
      values: [names],
    });
    return rows.map(({ name }) => name);
  }

  /** One node after the other, and no lock is waited for so long that others wait behind. */
  private async alone<T>(work: (sql: SqlRunner) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const settings = `set local lock_timeout = '${LOCK_TIMEOUT}'`;
        return await this.pool.transaction(
          async (sql) => {
            await sql.run({ text: `select pg_advisory_xact_lock(${MIGRATION_LOCK})` });
            return work(sql);
          },
          { statementMs: MIGRATION_STATEMENT_MS, settings },
        );
      } catch (error) {
        if ((error as { code?: string }).code !== LOCK_NOT_AVAILABLE || attempt === MIGRATE_ATTEMPTS) throw error;
      }
    }
  }

  private *statements(from: number): Iterable<string> {
    const { meta, schema } = this.tables;
    if (from === 0) {
      if (schema !== undefined) yield `create schema if not exists ${schema}`;
      yield `create table ${meta} (name text primary key, value text not null)`;
      yield `insert into ${meta} values ('version', '0'), ('lanes', '${this.lanes}')`;
    }
    for (const migration of MIGRATIONS) {
      if (migration.version <= from) continue;
      yield* migration.statements(this.tables, this.lanes);
      yield `update ${meta} set value = '${migration.version}' where name = 'version'`;
    }
  }

  private async found(sql: SqlRunner): Promise<number> {
    const { meta } = this.tables;
    // From pg_class, because opening a table makes a session hear what others committed; to_regclass alone may know from before that it is missing.
    const exists = await sql.run<{ found: string | null }>({
      text: 'select to_regclass($1)::text as found from pg_catalog.pg_class limit 1',
      values: [meta],
    });
    if (!exists.rows[0]?.found) return 0;
    const { rows } = await sql.run<{ value: string }>({ text: `select value from ${meta} where name = 'version'` });
    return Number(rows[0]?.value ?? 0);
  }
}
