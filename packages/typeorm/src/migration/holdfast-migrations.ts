import { DEFAULT_LANES, hfError, MAX_LANES } from '@holdfast/core';
import type { MigrationInterface, QueryRunner } from 'typeorm';
import { MIGRATIONS } from '../postgres/schema/migrations.js';
import { MIGRATION_LOCK, PostgresSchema } from '../postgres/schema/schema.js';
import { makeStepGuards } from '../postgres/schema/step-guards.js';
import { Tables } from '../postgres/schema/tables.js';
import { SqlPool } from '../postgres/sql/sql.js';

/** Options of `holdfastMigrations`: the same as those given to `typeorm`. */
export interface HoldfastMigrationsOptions {
  /** Schema of the `holdfast_*` tables; default: the connection's. */
  schema?: string;
  /** Lanes of the log, 1 to 64; counts at the first migration only, later the tables say; default 32. */
  lanes?: number;
}

/** A migration as TypeORM lists it: a class. */
export type MigrationClass = new () => MigrationInterface;

interface Target {
  readonly tables: Tables;
  readonly lanes: number;
}

/** 2026-01-01: TypeORM wants a time in each name and runs them in its order. Fixed for ever, as names are what it remembers. */
const FIRST_TIME = 1_767_225_600_000;

/**
 * The `holdfast_*` tables as migrations of TypeORM's own runner, one class for each version of the tables:
 * `migrations: [...holdfastMigrations(), 'dist/migrations/*.js']`.
 *
 * **Guarantee.** A version is made whole or not at all, in every transaction mode of the runner. It may run at the same time as `holdfast migrate`, as
 * itself on another node, or on tables that are there already: what is there is left alone.
 *
 * **Not promised.** A way back: reverting one is refused (HF_SCHEMA_IRREVERSIBLE), because the tables hold messages that are still to be
 * delivered. On a busy system `holdfast migrate` is gentler: it gives a table up that it cannot lock at once, and tries again.
 *
 * @throws HF_CONFIG_INVALID for a schema that is no plain name, or lanes out of range
 */
export function holdfastMigrations({ schema, lanes = DEFAULT_LANES }: HoldfastMigrationsOptions = {}): MigrationClass[] {
  const tables = new Tables(schema);
  if (!Number.isInteger(lanes) || lanes < 1 || lanes > MAX_LANES) {
    const problem = `holdfastMigrations({ lanes }) is ${String(lanes)}; use a whole number from 1 to ${MAX_LANES}`;
    throw hfError('HF_CONFIG_INVALID', { problems: [problem] });
  }
  return MIGRATIONS.map(({ version }) => migrationOf(version, { tables, lanes }));
}

/**
 * The one table that steps of sagas want in a DataSource other than the store's (`@Step({ dataSource })`), as a migration of that DataSource:
 * `migrations: [...holdfastStepGuards(), 'dist/ledger/*.js']`.
 *
 * **Guarantee.** It may run on a table that is there already: what is there is left alone.
 * **Not promised.** A way back: reverting it is refused (HF_SCHEMA_IRREVERSIBLE), because the rows keep steps from being done twice.
 *
 * @throws HF_CONFIG_INVALID for a schema that is no plain name
 */
export function holdfastStepGuards({ schema }: Pick<HoldfastMigrationsOptions, 'schema'> = {}): MigrationClass[] {
  const tables = new Tables(schema);
  return [classOf(`HoldfastStepGuards${suffixOf(tables)}_${FIRST_TIME}`, (runner) => makeStepGuards(sqlOver(runner), tables))];
}

function migrationOf(version: number, target: Target): MigrationClass {
  return classOf(`HoldfastVersion${version}${suffixOf(target.tables)}_${FIRST_TIME + version}`, (runner) =>
    migrateTo(version, runner, target),
  );
}

/** The schema is part of a name: one table of executed migrations may serve several applications, each with a schema of its own. */
function suffixOf({ schema }: Tables): string {
  return schema === undefined ? '' : `_${schema}`;
}

function classOf(name: string, migrate: (runner: QueryRunner) => Promise<void>): MigrationClass {
  return class implements MigrationInterface {
    readonly name = name;

    async up(runner: QueryRunner): Promise<void> {
      assertPostgres(runner);
      if (runner.isTransactionActive) await locked(runner, migrate);
      else await inTransaction(runner, () => locked(runner, migrate));
    }

    async down(): Promise<void> {
      throw hfError('HF_SCHEMA_IRREVERSIBLE', { migration: name });
    }
  };
}

async function locked(runner: QueryRunner, migrate: (runner: QueryRunner) => Promise<void>): Promise<void> {
  await runner.query(`select pg_advisory_xact_lock(${MIGRATION_LOCK})`);
  await migrate(runner);
}

/** Brings the tables from whatever version they have to this one. */
async function migrateTo(version: number, runner: QueryRunner, { tables, lanes }: Target): Promise<void> {
  const pool = sqlOver(runner);
  const schema = new PostgresSchema(pool, tables, lanes);
  const { found } = await schema.status();
  if (found >= version) return;
  const fixed = found === 0 ? schema : new PostgresSchema(pool, tables, await schema.laneCount());
  // Everything from here on, less what belongs to later versions. One text, because a statement may contain a semicolon.
  const [all, later] = [fixed.sql(found), fixed.sql(version)];
  await runner.query(all.slice(0, all.length - later.length));
}

/** In the mode `none` the runner opens none. */
async function inTransaction(runner: QueryRunner, work: () => Promise<void>): Promise<void> {
  await runner.startTransaction('READ COMMITTED');
  try {
    await work();
    await runner.commitTransaction();
  } catch (error) {
    // The first error is the one to know; a connection that is gone has rolled back.
    await runner.rollbackTransaction().catch(() => undefined);
    throw error;
  }
}

/** Statements of the store on the runner's connection, in its transaction. */
function sqlOver(runner: QueryRunner): SqlPool {
  const query = async (statement: object | string) => {
    const { text, values } = statement as { text: string; values?: unknown[] };
    const rows: unknown[] = await runner.query(text, values);
    return { rows, rowCount: rows.length };
  };
  return new SqlPool(async () => ({ client: { query }, release: () => undefined }), false);
}

function assertPostgres(runner: QueryRunner): void {
  // TypeORM 0.3 calls it connection.
  const { type } = (runner.dataSource ?? runner.connection).options;
  if (type !== 'postgres') throw hfError('HF_STORE_UNSUPPORTED', { database: type, reason: 'only PostgreSQL is supported so far' });
}
