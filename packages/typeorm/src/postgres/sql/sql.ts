import { createHash } from 'node:crypto';
import { hfError } from '@holdfast/core';
import { Unanswered, within } from './within.js';

/** One parameterised statement; with a name the server prepares it once per connection. */
export interface Statement {
  readonly name?: string;
  readonly text: string;
  readonly values?: readonly unknown[];
}

/** Rows and how many there were. */
export interface SqlResult<Row> {
  readonly rows: Row[];
  readonly rowCount: number;
}

/** Runs statements on one connection, or each on any. */
export interface SqlRunner {
  run<Row = Record<string, unknown>>(statement: Statement): Promise<SqlResult<Row>>;
}

/** A raw connection of the pool. */
export interface RawConnection {
  readonly client: { query(statement: object | string): Promise<{ rows: unknown[]; rowCount: number | null }> };
  /** Gives it back; with an error it is destroyed instead. */
  release(error?: Error): void;
}

/** A statement prepared under a name made of its text, so that one name never means two texts. */
export function prepared(text: string): (...values: readonly unknown[]) => Statement {
  const made = `hf_${createHash('sha256').update(text).digest('base64url').slice(0, 16)}`;
  // As the name of a property: both pg and we look it up as one each time it is sent, and V8 finds those faster than texts that were put together.
  const name = Object.keys({ [made]: true })[0] as string;
  return (...values) => ({ name, text, values });
}

/** A condition, always true, that makes the transaction durable: nobody may read from it what a crash can still take back (red team U3). */
export const IS_DURABLE = `(current_setting('synchronous_commit') <> 'off' or set_config('synchronous_commit', 'on', true) = 'on')`;

/**
 * For the transaction that takes the first of what is due. A plan is kept for long, and may have been made for a small table or for little that is due: it would read the whole
 * table, or by a bitmap all that is due, with each look, and never mark the dead entries among them for those who come after it. The kept plan serves from the first look on:
 * five of their own before it would cost each connection milliseconds.
 */
export const BY_INDEX = [
  ...['seqscan', 'bitmapscan', 'hashjoin', 'mergejoin'].map((way) => `set local enable_${way} = off`),
  'set local plan_cache_mode = force_generic_plan',
].join('; ');

/** Longest wait for the answer to a single statement. */
export const STATEMENT_MS = 10_000;
/** The same within a transaction, where statements may wait for each other's locks. */
const IN_TRANSACTION_MS = 60_000;
/**
 * Longest pause between two statements of a transaction here, shorter than others wait for what it holds. A process that freezes in one holds up those of
 * other services too, which do not look whether it lives.
 */
const PAUSE_MS = 8_000;

const pausing = (ms: number) => `set local idle_in_transaction_session_timeout = ${ms}`;

/** For the transaction in which somebody else is waited for, such as a broker. */
export const LONG_PAUSES = pausing(IN_TRANSACTION_MS);

/** Framework work outside any unit: single statements, and short transactions of its own. None waits for ever for a server that does not answer. */
export class SqlPool implements SqlRunner {
  /** @param session name of the sessions while a transaction is open, by which others can end those of a frozen process */
  constructor(
    private readonly connect: () => Promise<RawConnection>,
    private readonly isPreparing: boolean,
    private readonly session = 'holdfast',
  ) {}

  run<Row>(statement: Statement): Promise<SqlResult<Row>> {
    return this.withConnection(STATEMENT_MS, (sql) => sql.run<Row>(statement));
  }

  /** Runs a statement that takes the first of what is due, in a transaction of its own. */
  runByIndex<Row>(statement: Statement): Promise<SqlResult<Row>> {
    return this.transaction((sql) => sql.run<Row>(statement), { statementMs: STATEMENT_MS, settings: BY_INDEX });
  }

  /**
   * Runs `work` in a READ COMMITTED transaction, whatever the role's default is.
   *
   * @param statementMs longest wait for the answer to one statement
   * @param settings statements that come first
   */
  transaction<T>(work: (sql: SqlRunner) => Promise<T>, { statementMs = IN_TRANSACTION_MS, settings = '' } = {}): Promise<T> {
    // A session does not notice that nobody waits for its answer any more, and would wait for a lock on and on.
    const bounds = `set local statement_timeout = ${statementMs}; ${pausing(PAUSE_MS)}`;
    return this.withConnection(statementMs, async (sql) => {
      await sql.run({
        text: `begin isolation level read committed; set local application_name = '${this.session}'; ${bounds}; ${settings}`,
      });
      const result = await work(sql);
      await sql.run({ text: 'commit' });
      return result;
    });
  }

  private async withConnection<T>(statementMs: number, work: (sql: SqlRunner) => Promise<T>): Promise<T> {
    const connection = await this.connect();
    try {
      const result = await work(new ConnectionRunner(connection, this.isPreparing, statementMs));
      connection.release();
      return result;
    } catch (error) {
      // A connection that failed may hold an open transaction: ending it is the surest rollback.
      connection.release(error instanceof Error ? error : new Error(String(error)));
      throw error instanceof Unanswered ? hfError('HF_STORE_UNANSWERED', { timeoutMs: statementMs }, { cause: error }) : error;
    }
  }
}

class ConnectionRunner implements SqlRunner {
  constructor(
    private readonly connection: RawConnection,
    private readonly isPreparing: boolean,
    private readonly statementMs: number,
  ) {}

  async run<Row>(statement: Statement): Promise<SqlResult<Row>> {
    const query = this.isPreparing ? statement : { text: statement.text, values: statement.values };
    const { rows, rowCount } = await within(this.statementMs, this.connection.client.query(query));
    return { rows: rows as Row[], rowCount: rowCount ?? 0 };
  }
}
