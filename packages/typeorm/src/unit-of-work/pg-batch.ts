import type { Statement } from '../postgres/sql/sql.js';
import { tellRows, type FirstStatement, type TextRow } from '../postgres/sql/transaction-sql.js';
import { type PgClient, type PgResult, queryClassOf } from './pg-client.js';

/** What goes out with a statement in one round trip. */
export interface Around {
  /** BEGIN with its options, and its name where it is prepared. */
  readonly begin?: Statement;
  /** Statements run after BEGIN. */
  readonly before?: readonly FirstStatement[];
  /** Text of the unnamed statement that the server has: the same text needs no parsing again. Only without `begin` and `before`. */
  readonly parsed?: string | undefined;
  /** COMMIT, and its name where it is prepared. */
  readonly after?: Statement;
  /** Takes each row of the statement itself as texts, as the server sends them: pg makes none then, which costs as much as all the rest of its answer. */
  readonly row?: (row: TextRow) => void;
  /** Called when it is on its way; never when pg refuses the statement. */
  readonly sent: () => void;
  /** Called when the server refuses `begin`. */
  readonly refused: (error: Error) => void;
}

/** What a query of pg writes to. */
interface Wire {
  readonly stream: { cork?(): void; uncork?(): void };
  readonly parsedStatements: Record<string, string>;
  readonly submittedNamedStatements?: Record<string, string>;
  parse(message: ParseMessage): void;
  bind(message: BindMessage): void;
  describe(message: object): void;
  execute(message: object): void;
  close(message: object): void;
  flush(): void;
  sync(): void;
  query(text: string): void;
}

interface ParseMessage {
  readonly name?: string | undefined;
  readonly text?: string;
}

interface BindMessage {
  readonly statement?: string | undefined;
  readonly values?: readonly unknown[];
  /** Makes of a value what is sent, as pg does with all parameters. */
  readonly valueMapper?: ((value: unknown, index: number) => unknown) | undefined;
}

type Results = PgResult | PgResult[];
interface Query {
  name: string | undefined;
  binary: boolean;
  submit(wire: Wire): Error | null;
  handleRowDescription(message: unknown): void;
  handleDataRow(message: { readonly fields: (string | null)[] }): void;
  handleCommandComplete(message: unknown, wire: Wire): void;
  handleError(error: Error, wire: Wire): void;
}
type QueryClass = new (config: string | object, values: unknown, answered: (error: Error | null, results: Results) => void) => Query;
type BatchClass = new (...args: ConstructorParameters<QueryClass>) => Query & { around: Around | undefined };

/**
 * Sends BEGIN and other statements in front of a statement, and COMMIT behind it, in the same write: a round trip and two system calls less each.
 * What the server refuses keeps the rest from being run. The result is that of the statement; with an `after`, a list that ends with the result of that.
 *
 * A client that cannot do this (a native one) sends one after the other, and so does every client when the statement has no parameters and those
 * before it have some: pg sends it as a text then, which has no place for them.
 *
 * @source PostgreSQL documentation, "Extended Query": messages up to Sync are one batch; pg's contract for query objects, as pg-cursor uses it
 */
export function queryAround(client: PgClient, around: Around, args: Parameters<PgClient['query']>): Promise<Results> {
  const Query = queryClassOf<QueryClass>(client);
  if (Query === undefined || !canBeOne(around, args)) return oneByOne(client, around, args);
  return new Promise((resolve, reject) => {
    const query = queryOf(batchClass(Query), args, (error, results) => (error ? reject(error) : resolve(results)));
    query.around = around;
    client.query(query);
  });
}

/** A plain statement goes in part by part: pg copies a whole object property by property, which costs as much as sending it. */
function queryOf(Class: BatchClass, [config, values]: Parameters<PgClient['query']>, answered: ConstructorParameters<QueryClass>[2]) {
  if (typeof config === 'string' || !isPlain(config)) return new Class(config, values, answered);
  const query = new Class(config.text, config.values ?? values, answered);
  query.name = config.name;
  return query;
}

/** True for a statement that asks pg for nothing special. */
export function isPlain(config: object): config is Statement {
  for (const key in config) if (key !== 'name' && key !== 'text' && key !== 'values') return false;
  return true;
}

function canBeOne({ before = [] }: Around, [config, values]: Parameters<PgClient['query']>): boolean {
  const { name, values: own } = typeof config === 'string' ? {} : (config as Partial<Statement>);
  return before.length === 0 || name !== undefined || (own ?? values ?? []).length > 0;
}

async function oneByOne(client: PgClient, around: Around, args: Parameters<PgClient['query']>): Promise<Results> {
  const { begin, before = [], after, row } = around;
  around.sent();
  if (begin !== undefined) await client.query(begin).catch((error: Error) => refuse(around, error));
  for (const { name, text, values, answered } of before) tellRows((await client.query({ name, text, values })).rows as object[], answered);
  const result = await client.query(...args);
  tellRows(result.rows as object[], row);
  return after ? [result, await client.query(after.text)] : result;
}

function refuse({ refused }: Around, error: Error): never {
  refused(error);
  throw error;
}

const classes = new WeakMap<QueryClass, BatchClass>();

/**
 * A query that tells pg the name and the text of what the server answers: pg remembers by them what was prepared, and the statements around this one
 * are answered, too.
 */
function turnsClass(Query: QueryClass) {
  return class TurnsQuery extends Query {
    around: Around | undefined;
    /** Statements before this one that the server has not answered yet. */
    waiting: FirstStatement[] = [];
    /** True when what comes after this one is answered. */
    isAnswered = false;
    /** Set by the constructor of Query, which a field of ours would undo. */
    declare ownName: string | undefined;
    declare ownText: string | undefined;

    override get name(): string | undefined {
      return (this.other ?? { name: this.ownName }).name;
    }

    override set name(name: string | undefined) {
      this.ownName = name;
    }

    get text(): string | undefined {
      return (this.other ?? { text: this.ownText }).text;
    }

    set text(text: string | undefined) {
      this.ownText = text;
    }

    /** The statement that is being answered, when it is not this one. */
    get other(): Statement | undefined {
      return this.isAnswered ? this.around?.after : this.waiting?.[0];
    }
  };
}

function batchClass(Query: QueryClass): BatchClass {
  const known = classes.get(Query);
  if (known) return known;
  class BatchQuery extends turnsClass(Query) {
    override submit(wire: Wire): Error | null {
      const { around } = this;
      if (around === undefined) return super.submit(wire);
      // A client that asks for bytes everywhere: those of a row would not be texts.
      if (around.row !== undefined) this.binary = false;
      const aroundWire = new AroundWire(wire, around);
      wire.stream.cork?.();
      const refused = super.submit(aroundWire);
      // Before pg 8.22 nothing follows a parameter that could not be serialised, and the server would never answer.
      if (refused === null && !aroundWire.isSynced) wire.sync();
      wire.stream.uncork?.();
      if (refused === null) this.waiting = carriedBy(around);
      return refused;
    }

    override handleError(error: Error, wire: Wire): void {
      const { around, waiting } = this;
      this.waiting = [];
      if (around?.begin !== undefined && waiting.length > (around.before?.length ?? 0)) around.refused(error);
      // It was never looked at, so it is not prepared either.
      if (waiting.length > 0 && this.ownName !== undefined) delete wire.submittedNamedStatements?.[this.ownName];
      super.handleError(error, wire);
    }

    override handleRowDescription(message: unknown): void {
      if (this.around?.row === undefined) super.handleRowDescription(message);
    }

    override handleDataRow(message: { readonly fields: (string | null)[] }): void {
      if (this.waiting.length > 0) this.waiting[0]?.answered?.(message.fields);
      else if (this.around?.row !== undefined) this.around.row(message.fields);
      else super.handleDataRow(message);
    }

    override handleCommandComplete(message: unknown, wire: Wire): void {
      if (this.waiting.length > 0) {
        this.waiting.shift();
        return;
      }
      super.handleCommandComplete(message, wire);
      this.isAnswered = true;
    }
  }
  classes.set(Query, BatchQuery);
  return BatchQuery;
}

/** What goes in front of the statement. */
function carriedBy({ begin, before = [] }: Around): FirstStatement[] {
  return begin === undefined ? [...before] : [begin, ...before];
}

/** Passes on what a query writes, with BEGIN and its like before its first message and COMMIT before its Sync. */
class AroundWire implements Wire {
  isSynced = false;
  private isStarted = false;
  private isFailed = false;
  /** Of the statement itself: it waits for pg's way with values, which what goes before it takes, too. */
  private parsing: ParseMessage | undefined;
  /** Names prepared by this very batch. */
  private readonly prepared = new Set<string>();

  constructor(
    private readonly wire: Wire,
    private readonly around: Around,
  ) {}

  get stream() {
    return this.wire.stream;
  }

  get parsedStatements() {
    return this.wire.parsedStatements;
  }

  get submittedNamedStatements() {
    return this.wire.submittedNamedStatements;
  }

  parse(message: ParseMessage): void {
    if (message.name !== undefined || message.text !== this.around.parsed) this.parsing = message;
  }

  bind(message: BindMessage): void {
    this.start(message.valueMapper);
    if (this.parsing !== undefined) this.wire.parse(this.parsing);
    this.wire.bind(message);
  }

  describe(message: object): void {
    this.wire.describe(message);
  }

  execute(message: object): void {
    this.wire.execute(message);
  }

  /** Only after a parameter that could not be serialised: the statement is not run, and nothing may be committed. */
  close(message: object): void {
    this.isFailed = true;
    this.wire.close(message);
  }

  flush(): void {
    this.wire.flush();
  }

  sync(): void {
    this.isSynced = true;
    if (this.around.after && !this.isFailed) this.run(this.around.after);
    this.wire.sync();
  }

  query(text: string): void {
    this.isSynced = true;
    const { begin, after, sent } = this.around;
    sent();
    this.wire.query([begin?.text, text, after?.text].filter((part) => part !== undefined).join('; '));
  }

  private start(valueMapper: BindMessage['valueMapper']): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.around.sent();
    for (const statement of carriedBy(this.around)) this.run(statement, valueMapper);
  }

  private run({ name, text, values = [] }: Statement, valueMapper?: BindMessage['valueMapper']): void {
    if (name === undefined || !this.isPrepared(name)) this.wire.parse({ name, text });
    if (name !== undefined) this.prepared.add(name);
    this.wire.bind({ statement: name, values, valueMapper });
    this.wire.execute({});
  }

  private isPrepared(name: string): boolean {
    return this.prepared.has(name) || (this.parsedStatements[name] ?? this.submittedNamedStatements?.[name]) !== undefined;
  }
}
