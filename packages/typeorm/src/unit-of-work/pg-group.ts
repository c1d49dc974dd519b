import type { Statement } from '../postgres/sql/sql.js';
import { isPlain } from './pg-batch.js';
import { type PgClient, type PgResult, queryClassOf } from './pg-client.js';

type QueryArgs = Parameters<PgClient['query']>;

/** What became of a statement; nothing when one before it failed, so that it was not run. */
export type Outcome = { readonly result: PgResult } | { readonly error: unknown } | undefined;

/** What a query of pg writes to, as far as it is used here. */
interface Wire {
  readonly stream: { cork?(): void; uncork?(): void };
  readonly submittedNamedStatements?: Record<string, string>;
  parse(message: { readonly name?: string; readonly text: string }): void;
  sync(): void;
  sendCopyFail(reason: string): void;
}

/** A query of pg. */
interface Query {
  readonly name?: string;
  readonly text: string;
  readonly _result: { _types?: unknown };
  submit(wire: Wire): Error | null;
  handleRowDescription(message: unknown): void;
  handleDataRow(message: unknown): void;
  handleCommandComplete(message: unknown, wire: Wire): void;
  handleEmptyQuery(wire: Wire): void;
  handleError(error: unknown, wire: Wire): void;
  handleReadyForQuery(wire: Wire): void;
}
type QueryClass = new (config: string | object, values: unknown, answered: (error: unknown, result: PgResult) => void) => Query;

const INSERT = /^\s*insert\b/i;
/** What only reads or changes rows: not what ends a transaction, or speaks a protocol of its own. */
const ON_ROWS = /^\s*(?:select|insert|update|delete|merge|with|values)\b/i;

/**
 * The text of an INSERT without a name, which need not be parsed when it comes again; undefined for any other statement. Of others PostgreSQL would
 * sooner or later keep one plan for all parameters, which their author has not asked for.
 */
export function repeatable(client: PgClient, args: QueryArgs): string | undefined {
  if (!canBeGrouped(client, args)) return undefined;
  const [config] = args;
  const { name, text } = typeof config === 'string' ? { name: undefined, text: config } : (config as Statement);
  return name === undefined && INSERT.test(text) ? text : undefined;
}

/** True for a statement that may go out with others: pg would send it by the extended protocol, and nobody has asked for anything special. */
export function canBeGrouped(client: PgClient, [config, values]: QueryArgs): boolean {
  if (!canGroup(client)) return false;
  if (typeof config === 'string') return Array.isArray(values) && values.length > 0 && ON_ROWS.test(config);
  if (typeof config !== 'object' || config === null || !isPlain(config)) return false;
  const { name, text, values: own }: Partial<Statement> = config;
  return (name !== undefined || (own ?? values ?? []).length > 0) && ON_ROWS.test(text ?? '');
}

/** Not a native client, nor one that watches the time of each query, asks for bytes, or sends several queries at once by itself. */
function canGroup(client: PgClient): boolean {
  const { binary, pipeline, connectionParameters } = client as {
    readonly binary?: boolean;
    readonly pipeline?: boolean;
    readonly connectionParameters?: { readonly query_timeout?: unknown };
  };
  const isUsual = !binary && !pipeline && !connectionParameters?.query_timeout;
  return isUsual && queryClassOf(client) !== undefined;
}

/**
 * Sends statements in one write. They are run and answered one after another, as if each had been sent when the one before was answered; when one
 * fails, those after it are not run. An INSERT that follows itself is parsed once.
 *
 * @param parsed the `repeatable` text that the server has as its unnamed statement
 * @source PostgreSQL documentation, "Extended Query": what was bound is run until an error, then everything up to Sync is skipped
 */
export function queryGroup(client: PgClient, statements: readonly QueryArgs[], parsed?: string): Promise<readonly Outcome[]> {
  const Class = queryClassOf<QueryClass>(client) as QueryClass;
  return new Promise((resolve) => {
    client.query(new Group(client, Class, { statements, parsed, settled: resolve }));
  });
}

/** What a group is made of. */
interface GroupParts {
  readonly statements: readonly QueryArgs[];
  readonly parsed: string | undefined;
  readonly settled: (outcomes: readonly Outcome[]) => void;
}

/** A query to pg's client, several to the server. */
class Group {
  private readonly queries: readonly Query[];
  private readonly outcomes: Outcome[] = [];
  private readonly settled: (outcomes: readonly Outcome[]) => void;
  private readonly parsed: string | undefined;
  /** How many were sent, and how many of those the server has run. */
  private sent = 0;
  private run = 0;

  constructor(client: PgClient, Class: QueryClass, { statements, parsed, settled }: GroupParts) {
    this.settled = settled;
    this.parsed = parsed;
    this.queries = statements.map(([config, values], index) => {
      // A copy: some versions of pg write into what they are given.
      const query = new Class(typeof config === 'string' ? config : { ...config }, values, (error, result) => {
        this.outcomes[index] ??= error ? { error } : { result };
      });
      // As pg does with a query it is given: the client knows the types its user has registered.
      query._result._types ??= client;
      return query;
    });
  }

  /** Of the statement the server is at: pg remembers by them what it has parsed. */
  get name(): string | undefined {
    return this.queries[this.run]?.name;
  }

  get text(): string | undefined {
    return this.queries[this.run]?.text;
  }

  submit(wire: Wire): Error | null {
    const withoutSync = new GroupWire(wire, this.parsed);
    wire.stream.cork?.();
    try {
      for (const query of this.queries) {
        const refused = query.submit(withoutSync.wire);
        if (refused !== null) query.handleError(refused, wire);
        // A parameter that could not be serialised: the statement is not on its way, and those after it have to wait for what its caller makes of that.
        if (this.outcomes[this.sent] !== undefined) break;
        this.sent += 1;
      }
      wire.sync();
    } finally {
      wire.stream.uncork?.();
    }
    return null;
  }

  handleRowDescription(message: unknown): void {
    this.current.handleRowDescription(message);
  }

  handleDataRow(message: unknown): void {
    this.current.handleDataRow(message);
  }

  handleCommandComplete(message: unknown, wire: Wire): void {
    this.current.handleCommandComplete(message, wire);
    this.run += 1;
  }

  handleEmptyQuery(wire: Wire): void {
    this.current.handleEmptyQuery(wire);
    this.run += 1;
  }

  handlePortalSuspended(): void {
    // Nobody asks for a part of the rows.
  }

  handleCopyInResponse(wire: Wire): void {
    wire.sendCopyFail('No source stream defined');
  }

  handleCopyData(): void {
    // Dropped, as pg does.
  }

  /** Of the server about the statement it is at, or of the connection about all of them. */
  handleError(error: unknown, wire: Wire): void {
    const isOfServer = typeof error === 'object' && error !== null && 'severity' in error;
    for (const query of this.queries.slice(this.run, isOfServer ? this.run + 1 : undefined)) query.handleError(error, wire);
    // Those after it were never looked at, so they are not prepared either.
    for (const { name } of this.queries.slice(this.run, this.sent)) if (name !== undefined) delete wire.submittedNamedStatements?.[name];
    this.handleReadyForQuery(wire);
  }

  handleReadyForQuery(wire: Wire): void {
    for (const query of this.queries.slice(0, this.run)) query.handleReadyForQuery(wire);
    this.settled(this.queries.map((_, index) => this.outcomes[index]));
  }

  private get current(): Query {
    return this.queries[this.run] as Query;
  }
}

/** Passes on what queries write, but for their Sync and for parsing again what this group has parsed. */
class GroupWire {
  readonly wire: Wire;
  /** Texts by names; the one without a name is the last that was parsed. */
  private readonly parsed = new Map<string | undefined, string>();

  constructor(wire: Wire, parsed: string | undefined) {
    if (parsed !== undefined) this.parsed.set(undefined, parsed);
    const own: Partial<Wire> = {
      sync: () => undefined,
      parse: (message) => {
        if (this.parsed.get(message.name) === message.text) return;
        if (message.name !== undefined || INSERT.test(message.text)) this.parsed.set(message.name, message.text);
        else this.parsed.delete(undefined);
        wire.parse(message);
      },
    };
    this.wire = new Proxy(wire, {
      get: (target, property) => {
        const value: unknown = Reflect.get(own, property) ?? Reflect.get(target, property, target);
        return typeof value === 'function' && !(property in own) ? value.bind(target) : value;
      },
    });
  }
}
