import type { PgClient, PgResult } from './pg-client.js';

/** What goes out with a statement in one round trip. */
export interface Around {
  /** BEGIN with its options. */
  readonly before?: string;
  /** COMMIT. */
  readonly after?: string;
  /** Called when it is on its way; never when pg refuses the statement. */
  readonly sent: () => void;
  /** Called when the server refuses `before`. */
  readonly refused: (error: Error) => void;
}

/** What a query of pg writes to. */
interface Wire {
  readonly stream: unknown;
  readonly parsedStatements: Record<string, string>;
  readonly submittedNamedStatements?: Record<string, string>;
  parse(message: object): void;
  bind(message: object): void;
  describe(message: object): void;
  execute(message: object): void;
  close(message: object): void;
  flush(): void;
  sync(): void;
  query(text: string): void;
}

type Results = PgResult | PgResult[];
interface Query {
  submit(wire: Wire): Error | null;
  handleCommandComplete(message: unknown, wire: Wire): void;
  handleError(error: Error, wire: Wire): void;
}
type QueryClass = new (config: string | object, values: unknown, answered: (error: Error | null, results: Results) => void) => Query;
type BatchClass = new (...args: ConstructorParameters<QueryClass>) => Query & { around: Around | undefined };

/**
 * Sends BEGIN in front of a statement, or COMMIT behind it, in the same write: a round trip and two system calls less each. What the server refuses
 * keeps the rest from being run. The result is that of the statement; with an `after`, a list that ends with the result of that.
 *
 * A client that cannot do this (a native one) sends one after the other.
 *
 * @source PostgreSQL documentation, "Extended Query": messages up to Sync are one batch; pg's contract for query objects, as pg-cursor uses it
 */
export function queryAround(client: PgClient, around: Around, args: Parameters<PgClient['query']>): Promise<Results> {
  const { Query } = client.constructor as { readonly Query?: QueryClass };
  if (Query === undefined || client.connection?.sync === undefined) return oneByOne(client, around, args);
  return new Promise((resolve, reject) => {
    const query = new (batchClass(Query))(args[0], args[1], (error, results) => (error ? reject(error) : resolve(results)));
    query.around = around;
    client.query(query);
  });
}

async function oneByOne(client: PgClient, around: Around, args: Parameters<PgClient['query']>): Promise<Results> {
  const { before, after } = around;
  around.sent();
  if (before) await client.query(before).catch((error: Error) => refuse(around, error));
  const result = await client.query(...args);
  return after ? [result, await client.query(after)] : result;
}

function refuse({ refused }: Around, error: Error): never {
  refused(error);
  throw error;
}

const classes = new WeakMap<QueryClass, BatchClass>();

function batchClass(Query: QueryClass): BatchClass {
  const known = classes.get(Query);
  if (known) return known;
  class BatchQuery extends Query {
    around: Around | undefined;
    private isBegun = true;
    /** Set by the constructor of Query, which a field of ours would undo. */
    declare private ownName: string | undefined;

    /** What the server answers first is about BEGIN, not about the statement of this name. */
    get name(): string | undefined {
      return this.isBegun ? this.ownName : undefined;
    }

    set name(name: string | undefined) {
      this.ownName = name;
    }

    override submit(wire: Wire): Error | null {
      const refused = super.submit(this.around ? new AroundWire(wire, this.around) : wire);
      if (refused === null) this.isBegun = this.around?.before === undefined;
      return refused;
    }

    override handleError(error: Error, wire: Wire): void {
      if (!this.isBegun) this.around?.refused(error);
      super.handleError(error, wire);
    }

    override handleCommandComplete(message: unknown, wire: Wire): void {
      if (this.isBegun) super.handleCommandComplete(message, wire);
      else this.isBegun = true;
    }
  }
  classes.set(Query, BatchQuery);
  return BatchQuery;
}

/** Passes on what a query writes, with BEGIN before its first message and COMMIT before its Sync. */
class AroundWire implements Wire {
  private isStarted = false;
  private isFailed = false;

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

  parse(message: object): void {
    this.start();
    this.wire.parse(message);
  }

  bind(message: object): void {
    this.start();
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
    if (this.around.after && !this.isFailed) this.run(this.around.after);
    this.wire.sync();
  }

  query(text: string): void {
    const { before, after, sent } = this.around;
    sent();
    this.wire.query([before, text, after].filter((part) => part !== undefined).join('; '));
  }

  private start(): void {
    if (this.isStarted) return;
    this.isStarted = true;
    this.around.sent();
    if (this.around.before) this.run(this.around.before);
  }

  private run(text: string): void {
    this.wire.parse({ text });
    this.wire.bind({});
    this.wire.execute({});
  }
}
