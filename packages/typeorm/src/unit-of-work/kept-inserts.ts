import { prepared, type Statement } from '../postgres/sql/sql.js';
import type { LastStatement } from '../postgres/sql/transaction-sql.js';
import type { PgClient } from './pg-client.js';

type QueryArgs = Parameters<PgClient['query']>;

const INSERT = /^\s*insert\s+into\b/i;
/**
 * Rows of parameters and defaults, with no parameter, no quoted text and no `*` behind them: elsewhere the type of a parameter says what is done with it, the
 * server reads a quoted text such as 'now' when it prepares the statement, and `*` is refused when the table has got a column.
 */
const PLAIN =
  /^\s*insert\s+into\s+[\w".\s]+(?:\([\w"\s,]*\)\s*)?values\s*(?:\(\s*(?:\$\d+|default)(?:\s*,\s*(?:\$\d+|default))*\s*\)\s*,?\s*)+(?:on\s+conflict\b[^$'*]*)?(?:returning\b[^$'*]*)?$/i;
const MOST_CHARACTERS = 2000;
/** As often as a connection has sent it without a name before. */
const TIMES_BEFORE = 2;
/** Texts that a process looks at, and statements that a connection keeps, at most: whoever puts values into the text has a new one each time. */
const MOST_TEXTS = 500;
const MOST_KEPT = 64;

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

type IsSafe = (value: unknown) => boolean;
const isText: IsSafe = (value) => typeof value === 'string';
/** As PostgreSQL writes it: another form would be stored as a text in that form. */
const isUuid: IsSafe = (value) => typeof value === 'string' && UUID.test(value);
const isWhole: IsSafe = (value) => typeof value === 'number' || typeof value === 'bigint';
const isBoolean: IsSafe = (value) => typeof value === 'boolean';
/**
 * Types of parameters, by their object id, with the values that mean the same to every type a column can be changed to, or are refused: the server reads
 * a parameter as what the column was when the statement was prepared. (A timestamp with an offset would lose it in silence, a text of digits its zeros.)
 *
 * @source PostgreSQL documentation, PREPARE: the types of parameters are determined once; the plan is made anew when a table has changed
 */
const SAFE_TYPES: ReadonlyMap<number, IsSafe> = new Map([
  [16, isBoolean],
  [20, isWhole], // bigint
  [21, isWhole], // smallint
  [23, isWhole], // integer
  [25, isText], // text
  [1043, isText], // varchar
  [2950, isUuid],
]);

/** What the server says of a parameter that no longer fits its column, or of a plan that does; some of it may be the fault of a value as well. */
const STALE: ReadonlySet<unknown> = new Set(['0A000', '22003', '22P02', '26000', '42804', '42883']);

/** Whether an INSERT may be kept, by its text; false for good once the server has refused one that was: its table has changed under this process. */
const keepable = new Map<string, boolean>();

interface Kept {
  readonly statement: (...values: readonly unknown[]) => Statement;
  /** By parameter, once they are known and all safe. */
  types: readonly number[] | undefined;
}

/** An INSERT as it goes out. */
export interface NamedInsert {
  readonly statement: Statement;
  /** It is sent under its name for the first time, and `learning` has to follow. */
  readonly isNew: boolean;
}

const ofClients = new WeakMap<PgClient, KeptInserts>();

/**
 * INSERTs of user code that come again on a connection of ours: the server keeps them prepared, so that they are not parsed and planned again, which
 * is half of what they cost it. None of it shows in what is stored or answered.
 */
export class KeptInserts {
  private readonly times = new Map<string, number>();
  private readonly kept = new Map<string, Kept>();

  static of(client: PgClient): KeptInserts {
    const known = ofClients.get(client);
    if (known !== undefined) return known;
    const made = new KeptInserts();
    ofClients.set(client, made);
    return made;
  }

  /** The statement under its name: where it is kept and these values are safe, or has come often enough to be kept from now on. */
  named(args: QueryArgs): NamedInsert | undefined {
    const statement = this.known(args);
    return statement === undefined ? this.begun(args) : { statement, isNew: false };
  }

  /** The same of what is kept already. */
  known([text, values]: QueryArgs): Statement | undefined {
    const kept = typeof text === 'string' ? this.kept.get(text) : undefined;
    if (kept?.types === undefined || values === undefined || !isKeepable(text as string)) return undefined;
    return fit(values, kept.types) ? kept.statement(...values) : undefined;
  }

  private begun([text, values]: QueryArgs): NamedInsert | undefined {
    if (typeof text !== 'string' || values?.every(isPlainValue) !== true || this.kept.has(text) || !isKeepable(text)) return undefined;
    const times = this.times.get(text) ?? 0;
    this.times.set(text, times + 1);
    if (times < TIMES_BEFORE || this.kept.size >= MOST_KEPT) return undefined;
    const statement = prepared(text);
    this.kept.set(text, { statement, types: undefined });
    return { statement: statement(...values), isNew: true };
  }

  /** Asks of which types the parameters of a new one are; it goes out with COMMIT. */
  learning({ name, text }: Statement): LastStatement {
    return {
      ...TYPES(name),
      answered: ([list]) => {
        // As PostgreSQL writes a list: {23,25}
        const types = (list ?? '{}').slice(1, -1).split(',').map(Number);
        const kept = this.kept.get(text);
        if (kept !== undefined && types.every((type) => SAFE_TYPES.has(type))) kept.types = types;
      },
    };
  }
}

const TYPES = prepared('select parameter_types::oid[]::text from pg_prepared_statements where name = $1');

/** The server has refused a statement that was kept: where that may be because its table has changed, this process has it parsed each time from now on. */
export function refusedAsKept({ text }: Statement, error: unknown): void {
  if (STALE.has((error as { code?: unknown } | null)?.code)) keepable.set(text, false);
}

function isKeepable(text: string): boolean {
  const known = keepable.get(text);
  if (known !== undefined) return known;
  if (text.length > MOST_CHARACTERS || keepable.size >= MOST_TEXTS || !INSERT.test(text)) return false;
  const is = PLAIN.test(text);
  keepable.set(text, is);
  return is;
}

/** pg makes something of all others first, and closes the statement on the server when that fails, without remembering it. */
function isPlainValue(value: unknown): boolean {
  return value === null || value === undefined || isText(value) || isWhole(value) || isBoolean(value);
}

function fit(values: readonly unknown[], types: readonly number[]): boolean {
  for (const [at, type] of types.entries()) {
    const value = values[at];
    if (value !== null && value !== undefined && !SAFE_TYPES.get(type)?.(value)) return false;
  }
  return true;
}
