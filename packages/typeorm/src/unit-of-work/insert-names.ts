import { prepared } from '../postgres/sql/sql.js';
import type { PgClient } from './pg-client.js';

type QueryArgs = Parameters<PgClient['query']>;

/** How often a text is sent as it is: what is made for one time only is not worth a name. */
const UNNAMED_TIMES = 2;
/** Names at most, since each connection keeps a plan for each; and texts that are counted until they have one. */
const MAX_NAMES = 100;
const MAX_COUNTED = 1000;
/** Characters; longer is a statement with many rows, whose number changes. */
const MAX_LENGTH = 2000;

const INSERT = /^\s*insert\s+into\b.*\bvalues\s*\(/is;
/** What depends on rows that are there, or on types that may change under a prepared statement. */
const DEPENDS = /\b(?:select|returning|with)\b/i;

/** Bad data, bad types, an unknown name: what a statement may fail with for ever that was prepared before a column got another type. */
const BY_PREPARING = /^(?:22|26|42)/;

/**
 * Names for the INSERTs of user code, which the server then parses and plans once per connection. Only for rows of plain values: there is one plan for
 * them. Of other statements PostgreSQL would sooner or later keep one plan for all parameters, which their author has not asked for.
 *
 * What fails with an error that might come from having been prepared goes without a name over that connection from then on.
 */
export class InsertNames {
  private readonly statements = new Map<string, ReturnType<typeof prepared>>();
  private readonly counts = new Map<string, number>();
  private readonly without = new WeakMap<PgClient, Set<string>>();

  /** The same statement with its name; undefined when it has none. */
  named(client: PgClient, [text, values]: QueryArgs): QueryArgs | undefined {
    if (typeof text !== 'string' || !Array.isArray(values) || values.length === 0) return undefined;
    const statement = this.statements.get(text) ?? this.count(text);
    return statement === undefined || this.without.get(client)?.has(text) ? undefined : [statement(...values)];
  }

  /** Told of every statement that failed. */
  failed(client: PgClient, [statement]: QueryArgs, error: unknown): void {
    const { text } = statement as { readonly text?: string };
    const { code } = Object(error) as { readonly code?: unknown };
    if (text === undefined || !this.statements.has(text) || !BY_PREPARING.test(String(code))) return;
    const without = this.without.get(client) ?? new Set();
    this.without.set(client, without.add(text));
  }

  private count(text: string): ReturnType<typeof prepared> | undefined {
    if (this.statements.size === MAX_NAMES || text.length > MAX_LENGTH || !INSERT.test(text) || DEPENDS.test(text)) return undefined;
    const count = (this.counts.get(text) ?? 0) + 1;
    if (count <= UNNAMED_TIMES) {
      if (this.counts.size === MAX_COUNTED) this.counts.clear();
      this.counts.set(text, count);
      return undefined;
    }
    this.counts.delete(text);
    const statement = prepared(text);
    this.statements.set(text, statement);
    return statement;
  }
}
