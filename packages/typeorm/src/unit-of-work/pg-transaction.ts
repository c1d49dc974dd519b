import { hfError, type Savepoint, type ScopeStorage, type Transaction } from '@holdfast/core';
import type { SqlResult, Statement } from '../postgres/sql.js';
import { type Around, queryAround } from './pg-batch.js';
import { type PgClient, type PgResult, transactionStatus } from './pg-client.js';

type QueryArgs = Parameters<PgClient['query']>;

/** Where a transaction belongs. */
export interface TransactionPlace {
  /** Name of the data source. */
  readonly name: string;
  /** Where its statements find their scope. */
  readonly scopes: ScopeStorage;
}

/** An open transaction on one connection: what is the same for one we opened and for one that was lent to us. */
export abstract class PgTransaction implements Transaction {
  readonly dataSource: string;
  /** Set when it was ended from outside; every statement throws it. */
  protected reason: Error | undefined;
  /** The last statement that failed and was not undone by a savepoint. */
  protected failure: { readonly error: unknown } | undefined;
  /** True while a statement is on its way. */
  protected isBusy = false;
  protected isClosed = false;
  /** BEGIN, as long as it was not sent: it goes out with the first statement. */
  protected pendingBegin: string | undefined;
  /** Set when the server refused BEGIN. */
  protected refusedBy: Error | undefined;
  private readonly line: (() => void)[] = [];
  private savepoints = 0;
  private wasEndedByUser = false;
  private readonly scopes: ScopeStorage;

  constructor(
    place: TransactionPlace,
    protected readonly client: PgClient,
  ) {
    this.dataSource = place.name;
    this.scopes = place.scopes;
  }

  /**
   * Runs a statement of the framework, without TypeORM and without waiting for a turn: the caller knows that nobody else uses the connection,
   * or does not mind. A named statement is prepared once per connection.
   */
  async run<Row = Record<string, unknown>>(statement: Statement): Promise<SqlResult<Row>> {
    await this.assertUsable();
    const result = await this.send(statement);
    return { rows: result.rows as Row[], rowCount: result.rowCount ?? 0 };
  }

  async savepoint(): Promise<Savepoint> {
    this.savepoints += 1;
    const name = `hf_${this.savepoints}`; // never reused, so that one that was left open cannot be mistaken for another
    await this.send(`SAVEPOINT ${name}`);
    return {
      release: async () => {
        await this.send(`RELEASE SAVEPOINT ${name}`);
      },
      rollback: async () => {
        await this.send(`ROLLBACK TO SAVEPOINT ${name}; RELEASE SAVEPOINT ${name}`);
        this.failure = undefined;
      },
    };
  }

  abstract commit(): Promise<void>;
  abstract rollback(): Promise<void>;
  abstract abort(reason: Error): Promise<void>;

  /** Runs a statement of user code when it is the turn of the scope it comes from. */
  async userQuery(args: QueryArgs): Promise<unknown> {
    const scope = this.scopes.within(this);
    // Code that lost its context has no scope to wait for; it may speak as long as the transaction is open.
    while (scope && !scope.isActive()) await scope.unit.turn();
    return this.send(...args);
  }

  /** Hands pg something that it drives itself (COPY); at once or not at all, because it is used at once. */
  userSubmit(submittable: object): unknown {
    const scope = this.scopes.within(this);
    this.assertOpen();
    if (this.isBusy || (scope && !scope.isActive())) throw hfError('HF_UOW_STREAM_RETURNED', { method: 'query()', value: 'a stream' });
    if (this.pendingBegin !== undefined) this.client.query(this.pendingBegin).catch((error: Error) => this.refuse(error));
    this.pendingBegin = undefined;
    return this.client.query(submittable);
  }

  /**
   * Sends when the statements before it have been answered; what the server makes of it is noticed here. In line, because pg calls it deprecated
   * to have several on their way, and because what waits can still be refused when the transaction ends.
   */
  protected async send(...args: QueryArgs): Promise<PgResult> {
    if (this.isBusy) await new Promise<void>((resolve) => this.line.push(resolve));
    this.isBusy = true;
    try {
      this.assertOpen();
      const result = this.pendingBegin === undefined ? await this.client.query(...args) : ((await this.around(args)) as PgResult);
      this.notice();
      return result;
    } catch (error) {
      this.failure ??= { error };
      throw this.reason ?? error;
    } finally {
      const next = this.line.shift();
      if (next) next();
      else this.isBusy = false;
    }
  }

  /** Sends a statement together with BEGIN, when it is the first, and with what comes before and after it. */
  protected around(args: QueryArgs, also: Pick<Around, 'before' | 'after'> = {}): Promise<PgResult | PgResult[]> {
    const sent = (): void => {
      this.pendingBegin = undefined;
    };
    return queryAround(this.client, { ...also, begin: this.pendingBegin, sent, refused: (error) => this.refuse(error) }, args);
  }

  private refuse(error: Error): void {
    this.refusedBy = error;
    this.reason ??= error;
  }

  /** @throws HF_UOW_ENDED, why it was ended from outside, HF_UOW_ROLLBACK_ONLY when a statement inside ended it */
  private assertOpen(): void {
    if (this.reason) throw this.reason;
    if (this.isClosed) throw hfError('HF_UOW_ENDED', {});
    if (this.wasEndedByUser) throw this.givenUp();
  }

  private notice(): void {
    const status = transactionStatus(this.client);
    if (status === 'I') this.wasEndedByUser = true;
    else if (status === 'T') this.failure = undefined; // a savepoint of the user's has undone it
  }

  /** @throws HF_UOW_ROLLBACK_ONLY when the server has no working transaction of ours: a statement would fail, or be a transaction of its own */
  protected async assertUsable(): Promise<void> {
    if (this.reason) throw this.reason;
    if (this.pendingBegin !== undefined) return;
    if (this.failure) await this.catchUp();
    const status = transactionStatus(this.client);
    if (this.wasEndedByUser || status === 'I' || status === 'E') throw this.givenUp();
  }

  /** An error is told before the status that goes with it arrives; an empty statement waits for that. */
  protected async catchUp(): Promise<void> {
    await this.client.query('').catch(() => {});
  }

  /** Why the transaction cannot be committed. */
  protected givenUp(): Error {
    if (this.wasEndedByUser || transactionStatus(this.client) === 'I') {
      return hfError('HF_UOW_ROLLBACK_ONLY', { reason: 'it had been committed or rolled back by a statement inside the unit' });
    }
    return this.statementFailed();
  }

  protected statementFailed(): Error {
    return hfError('HF_UOW_ROLLBACK_ONLY', { reason: 'a statement in it had failed' }, { cause: this.failure?.error });
  }
}
