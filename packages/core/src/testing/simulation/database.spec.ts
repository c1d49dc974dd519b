import { hfError } from '../../errors/catalogue.js';
import type { Scheduler } from '../../time/scheduler.js';
import type { AdoptedTransaction, BeginOptions, Savepoint, Transaction, TransactionPort } from '../../unit-of-work/transaction.port.js';

/** A process as a database sees it. What it is answered after its death never reaches it. */
export interface Client {
  readonly name: string;
  readonly isAlive: boolean;
  readonly scheduler: Scheduler;
}

/** What a database is made of. */
export interface DatabaseParts {
  readonly name: string;
  readonly nowMs: () => number;
  /** How long one way of a statement takes, in milliseconds; 0: it takes no timer. */
  readonly tripMs: () => number;
  /** What becomes of the connection during the next COMMIT; `before` and `after` the server has done it. */
  readonly breaksCommit: () => 'before' | 'after' | undefined;
  /** Whether the COMMIT of a process that died just now was done. */
  readonly coin: () => boolean;
  /** A row was written, and is committed. */
  readonly committed: (table: string, row: object) => void;
}

/** Name of the table whose rows are messages. */
export const OUTBOX = 'outbox';
type Row = object;
type Table = Map<string, Row | undefined>;
const LOCK_WAIT_MS = 60_000;

/** An error of the server, with its SQLSTATE. */
class ServerError extends Error {
  constructor(
    readonly code: string,
    message: string,
  ) {
    super(message);
  }
}

/**
 * A database in memory with what sagas need of one: READ COMMITTED, locks of rows that wait or are skipped, deadlocks, savepoints, a COMMIT that does
 * all or nothing, connections that break and a server that crashes.
 */
export class SimulatedDatabase {
  readonly tables = new Map<string, Map<string, Row>>();
  readonly open = new Set<SimulatedTransaction>();
  isDown = false;
  private crashes = 0;
  private readonly locks = new Map<string, SimulatedTransaction>();
  private waiting: { readonly tx: SimulatedTransaction; readonly lock: string; readonly take: () => void }[] = [];
  private readonly travelling = new Map<Client, number>();
  private last = 0;

  constructor(readonly parts: DatabaseParts) {}

  get nowMs(): number {
    return this.parts.nowMs();
  }

  table<R extends Row>(name: string): Map<string, R> {
    let table = this.tables.get(name);
    if (table === undefined) {
      table = new Map();
      this.tables.set(name, table);
    }
    return table as Map<string, R>;
  }

  /** Tells one life of the server from another. */
  get life(): string {
    return `${this.parts.name} ${this.crashes}`;
  }

  /** As a sequence: never given back. */
  next(): number {
    this.last += 1;
    return this.last;
  }

  transactionsOf(client: Client): TransactionPort {
    return {
      dataSources: [this.parts.name],
      begin: (options) => this.begin(client, options),
      adopt: (): AdoptedTransaction => {
        throw new Error('nobody opens transactions of his own here');
      },
      isSerializationFailure: (error) => error instanceof ServerError && error.code.startsWith('40'),
    };
  }

  async begin(client: Client, _options?: BeginOptions): Promise<SimulatedTransaction> {
    await this.trip(client);
    if (!client.isAlive) await new Promise<never>(() => undefined);
    if (this.isDown) throw new ServerError('ECONNREFUSED', `${this.parts.name} is down`);
    const tx = new SimulatedTransaction(this, client);
    this.open.add(tx);
    return tx;
  }

  /** One statement in a transaction of its own. */
  async alone<T>(client: Client, work: (tx: SimulatedTransaction) => T | Promise<T>): Promise<T> {
    const tx = await this.begin(client);
    try {
      const value = await tx.statement(() => work(tx));
      await tx.commit();
      return value;
    } catch (error) {
      await tx.rollback();
      throw error;
    }
  }

  /** The server dies: what is not committed is gone. */
  crash(): void {
    this.isDown = true;
    this.crashes += 1;
    for (const tx of [...this.open]) tx.cut(new ServerError('57P01', `${this.parts.name} crashed`));
  }

  restart(): void {
    this.isDown = false;
  }

  /** A process died, or others have ended its sessions. */
  disconnect(client: Client): void {
    for (const tx of [...this.open]) if (tx.client === client) tx.cut(new ServerError('57P01', `the session of ${client.name} was ended`));
  }

  /** One way to the server or back. Never arrives at the dead. */
  async trip(client: Client): Promise<void> {
    const ms = this.parts.tripMs();
    if (ms > 0) {
      this.travelling.set(client, this.tripsOf(client) + 1);
      await client.scheduler.sleep(ms);
      this.travelling.set(client, this.tripsOf(client) - 1);
    }
    if (!client.isAlive) await new Promise<never>(() => undefined);
  }

  /** What a process has on its way to the server, or back. */
  tripsOf(client: Client): number {
    return this.travelling.get(client) ?? 0;
  }

  /** Takes a lock that is free, or ours. */
  take(lock: string, tx: SimulatedTransaction): boolean {
    const holder = this.locks.get(lock);
    if (holder !== undefined && holder !== tx) return false;
    if (holder === undefined) this.give(lock, tx);
    return true;
  }

  private give(lock: string, tx: SimulatedTransaction): void {
    this.locks.set(lock, tx);
    tx.held.push(lock);
  }

  wait(lock: string, tx: SimulatedTransaction, waitMs: number): Promise<void> {
    for (let other = this.locks.get(lock); other !== undefined; ) {
      if (other === tx) return Promise.reject(new ServerError('40P01', `deadlock over ${lock}`));
      const blocked: string | undefined = this.waiting.find((one) => one.tx === other)?.lock;
      other = blocked === undefined ? undefined : this.locks.get(blocked);
    }
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.waiting = this.waiting.filter((one) => one !== place);
        timer.cancel();
        tx.whenCut = undefined;
      };
      const timer = tx.client.scheduler.after(waitMs, () => {
        leave();
        reject(new ServerError('55P03', `waited too long for ${lock}`));
      });
      const place = {
        tx,
        lock,
        take: () => {
          leave();
          this.give(lock, tx);
          resolve();
        },
      };
      tx.whenCut = (error) => {
        leave();
        reject(error);
      };
      this.waiting.push(place);
    });
  }

  free(locks: Iterable<string>, tx: SimulatedTransaction): void {
    for (const lock of locks) {
      if (this.locks.get(lock) !== tx) continue;
      this.locks.delete(lock);
      this.waiting.find((one) => one.lock === lock)?.take();
    }
  }
}

/** One open transaction. Its statements come one after another. */
export class SimulatedTransaction implements Transaction {
  readonly dataSource: string;
  whenCut: ((error: unknown) => void) | undefined;
  private written = new Map<string, Table>();
  /** Locks, in the order in which they were taken. */
  readonly held: string[] = [];
  private stage: 'open' | 'committing' | 'ended' = 'open';
  private failure: unknown;
  private ending: unknown;
  private isCommitted = false;
  private before: Promise<void> = Promise.resolve();
  private readonly lastStatements: (() => void | Promise<void>)[] = [];

  constructor(
    readonly db: SimulatedDatabase,
    readonly client: Client,
  ) {
    this.dataSource = db.parts.name;
  }

  /** One statement: on its way, done, and answered. What it throws leaves the transaction to be rolled back, at least to a savepoint. */
  statement<T>(work: () => T | Promise<T>): Promise<T> {
    return this.inTurn(async () => {
      await this.db.trip(this.client);
      this.assertOpen();
      try {
        return await work();
      } catch (error) {
        this.failure ??= error;
        throw error;
      }
    });
  }

  /** A statement that travels with COMMIT, which fails as it does. */
  runLast(work: () => void | Promise<void>): void {
    this.lastStatements.push(work);
  }

  /** Locks a row, there or not; false when somebody else has it and it is not waited for. */
  async lock(table: string, key: string, how: { readonly waits?: boolean; readonly waitMs?: number } = {}): Promise<boolean> {
    const lock = `${table} ${key}`;
    // The connection may have broken in the midst of a statement that takes several.
    if (this.ending !== undefined) throw this.ending;
    if (this.db.take(lock, this)) return true;
    if (how.waits === false) return false;
    await this.db.wait(lock, this, how.waitMs ?? LOCK_WAIT_MS);
    return true;
  }

  get<R extends Row>(table: string, key: string): R | undefined {
    const own = this.written.get(table);
    return own?.has(key) ? (own.get(key) as R | undefined) : this.db.table<R>(table).get(key);
  }

  /** Writes a row that is locked, or new. */
  put(table: string, key: string, row: Row | undefined): void {
    let own = this.written.get(table);
    if (own === undefined) {
      own = new Map();
      this.written.set(table, own);
    }
    own.set(key, row);
  }

  add(table: string, row: Row): void {
    this.put(table, String(this.db.next()).padStart(9, '0'), row);
  }

  /** Rows in the order of their keys' first writing. */
  all<R extends Row>(table: string): [string, R][] {
    const rows = new Map<string, R | undefined>(this.db.table<R>(table));
    for (const [key, row] of this.written.get(table) ?? []) rows.set(key, row as R | undefined);
    return [...rows].flatMap(([key, row]) => (row === undefined ? [] : [[key, row] as [string, R]]));
  }

  async savepoint(): Promise<Savepoint> {
    this.assertOpen();
    const written = new Map([...this.written].map(([name, table]) => [name, new Map(table)]));
    const held = this.held.length;
    return {
      release: () => this.statement(() => undefined),
      rollback: () =>
        this.inTurn(async () => {
          await this.db.trip(this.client);
          if (this.ending !== undefined) throw this.ending;
          this.failure = undefined;
          this.written = written;
          this.db.free(this.held.splice(held), this);
        }),
    };
  }

  /** A connection does one thing after another. */
  private inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.before.then(work);
    this.before = done.then(
      () => undefined,
      () => undefined,
    );
    return done;
  }

  async commit(): Promise<void> {
    if (this.ending !== undefined) throw this.ending;
    if (this.failure !== undefined) {
      await this.rollback();
      throw hfError('HF_UOW_ROLLBACK_ONLY', { reason: 'a statement failed' }, { cause: this.failure });
    }
    // What travels with it may still refuse it.
    if (this.lastStatements.length === 0) this.stage = 'committing';
    await this.db.trip(this.client);
    try {
      for (const work of this.lastStatements) await work();
    } catch (error) {
      await this.rollback();
      throw error;
    }
    this.stage = 'committing';
    const breaks = this.db.parts.breaksCommit();
    if (breaks !== undefined && this.ending === undefined) {
      if (breaks === 'after') this.apply();
      this.cut(new ServerError('ECONNRESET', 'the connection broke during COMMIT'));
    }
    if (this.ending === undefined) {
      this.apply();
      this.end();
      await this.db.trip(this.client);
    }
    if (this.ending !== undefined) throw hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: this.dataSource }, { cause: this.ending });
    this.ending = new Error('the transaction has ended');
  }

  async rollback(): Promise<void> {
    this.cut(new Error('the transaction has ended'));
  }

  async abort(reason: Error): Promise<void> {
    this.cut(reason);
  }

  /** The connection breaks. A COMMIT that is on its way may still be done. */
  cut(error: unknown): void {
    if (this.ending !== undefined) return;
    if (this.stage === 'committing' && !this.isCommitted && !this.db.isDown && this.db.parts.coin()) this.apply();
    this.ending = error;
    this.whenCut?.(error);
    this.end();
  }

  private apply(): void {
    this.isCommitted = true;
    for (const [name, own] of this.written) {
      const table = this.db.table(name);
      for (const [key, row] of own) {
        if (row === undefined) table.delete(key);
        else {
          table.set(key, row);
          this.db.parts.committed(name, row);
        }
      }
    }
  }

  private end(): void {
    this.stage = 'ended';
    this.db.open.delete(this);
    this.db.free(this.held.splice(0), this);
  }

  private assertOpen(): void {
    if (this.ending !== undefined) throw this.ending;
    if (this.failure !== undefined) throw new ServerError('25P02', 'the transaction has failed before');
  }
}
