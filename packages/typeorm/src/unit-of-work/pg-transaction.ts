import { hfError, type Savepoint, type Scope, type ScopeStorage, type Transaction } from '@holdfast/core';
import type { SqlResult, Statement } from '../postgres/sql/sql.js';
import {
  type CarriedStatement,
  type FirstStatement,
  type LastStatement,
  runFirstNow,
  tellRows,
  type TextRow,
} from '../postgres/sql/transaction-sql.js';
import { KeptInserts, refusedAsKept } from './kept-inserts.js';
import { type Around, isPlain, queryAround } from './pg-batch.js';
import { type PgClient, type PgResult, transactionStatus } from './pg-client.js';
import { canBeGrouped, type Outcome, queryGroup, repeatable } from './pg-group.js';

type QueryArgs = Parameters<PgClient['query']>;

/** Where a transaction belongs. */
export interface TransactionPlace {
  /** Name of the data source. */
  readonly name: string;
  /** Where its statements find their scope. */
  readonly scopes: ScopeStorage;
  /** Whether the framework's statements are prepared by name. */
  readonly isPreparing: boolean;
}

/** Statements that go out together, at most. */
const MAX_GROUP = 64;

/** A statement that waits for those before it. */
interface Turn {
  readonly args: QueryArgs;
  /** Takes its rows. */
  readonly row: ((row: TextRow) => void) | undefined;
  readonly resolve: (result: PgResult) => void;
  readonly reject: (error: unknown) => void;
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
  protected pendingBegin: Statement | undefined;
  /** Set when the server refused BEGIN. */
  protected refusedBy: Error | undefined;
  /** The INSERT that the server has as its unnamed statement: the same text again needs no parsing and planning. */
  private parsed: string | undefined;
  /** Statements that go out with the next one. */
  private waiting: readonly FirstStatement[] = [];
  private readonly line: Turn[] = [];
  private savepoints = 0;
  private wasEndedByUser = false;

  constructor(
    protected readonly place: TransactionPlace,
    protected readonly client: PgClient,
  ) {
    this.dataSource = place.name;
  }

  /**
   * Runs a statement of the framework, without TypeORM and without waiting for a turn: the caller knows that nobody else uses the connection,
   * or does not mind. A named statement is prepared once per connection.
   */
  async run<Row = Record<string, unknown>>(statement: Statement): Promise<SqlResult<Row>> {
    const known = this.untilKnown();
    if (known) await known;
    const result = await this.send([this.named(statement)]);
    return { rows: result.rows as Row[], rowCount: result.rowCount ?? 0 };
  }

  /** The same for rows that are wanted as texts. */
  async rows(statement: Statement): Promise<readonly TextRow[]> {
    const known = this.untilKnown();
    if (known) await known;
    const rows: TextRow[] = [];
    await this.send([this.named(statement)], (row) => rows.push(row));
    return rows;
  }

  /** Sends a statement together with the next one, in one round trip. */
  async runFirst(statement: FirstStatement): Promise<void> {
    const known = this.untilKnown();
    if (known) await known;
    this.waiting = [...this.waiting, this.named(statement)];
  }

  abstract runLast(statement: LastStatement): Promise<void>;

  /** Whether there is anything for `flush`. */
  protected get hasWaiting(): boolean {
    return this.waiting.length > 0;
  }

  /** Sends what still waits for a next one. */
  async flush(): Promise<void> {
    const last = this.waiting.at(-1);
    if (last === undefined) return;
    this.waiting = this.waiting.slice(0, -1);
    await runFirstNow(this, last);
  }

  async savepoint({ isLast = false } = {}): Promise<Savepoint> {
    this.savepoints += 1;
    const name = `hf_${this.savepoints}`; // never reused, so that one that was left open cannot be mistaken for another
    const text = `SAVEPOINT ${name}`;
    const release = `RELEASE SAVEPOINT ${name}`;
    // Under a name it can go out together with what waits for it.
    await this.send(this.hasWaiting ? [this.named({ name: `hf_savepoint_${this.savepoints}`, text })] : [text]);
    return {
      release: async () => {
        if (isLast) return this.runLast({ name: `hf_release_${name}`, text: release });
        // The error that was swallowed says more than the server's answer to this.
        const known = this.untilKnown();
        if (known) await known;
        await this.send([release]);
      },
      rollback: async () => {
        await this.send([`ROLLBACK TO SAVEPOINT ${name}; RELEASE SAVEPOINT ${name}`]);
        this.failure = undefined;
      },
    };
  }

  /** True when nobody else can have sent anything over the connection. */
  protected abstract readonly isExclusive: boolean;

  abstract commit(): Promise<void>;
  abstract rollback(): Promise<void>;
  abstract abort(reason: Error): Promise<void>;

  /** Runs a statement of user code when it is the turn of the scope it comes from. */
  userQuery(args: QueryArgs): Promise<unknown> {
    const scope = this.place.scopes.within(this);
    try {
      // Code that lost its context has no scope to wait for; it may speak as long as the transaction is open.
      return scope === undefined || scope.isActive() ? this.send(args) : this.inTurn(scope, args);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  private async inTurn(scope: Scope, args: QueryArgs): Promise<unknown> {
    while (!scope.isActive()) await scope.unit.turn();
    return this.send(args);
  }

  /** Hands pg something that it drives itself (COPY); at once or not at all, because it is used at once. */
  userSubmit(submittable: object): unknown {
    const scope = this.place.scopes.within(this);
    this.assertOpen();
    if (this.isBusy || (scope && !scope.isActive())) throw hfError('HF_UOW_STREAM_RETURNED', { method: 'query()', value: 'a stream' });
    if (this.pendingBegin !== undefined) this.client.query(this.pendingBegin).catch((error: Error) => this.refuse(error));
    this.pendingBegin = undefined;
    for (const { text, values, answered } of this.waiting)
      this.client.query({ text, values }).then(
        ({ rows }) => tellRows(rows as object[], answered),
        (error: unknown) => {
          this.failure ??= { error };
        },
      );
    this.waiting = [];
    this.parsed = undefined;
    return this.client.query(submittable);
  }

  /**
   * Sends when the statements before it have been answered; what the server makes of it is noticed here. In line, because what waits can still be
   * refused when the transaction ends; those that wait together go out together.
   */
  protected send(args: QueryArgs, row?: (row: TextRow) => void): Promise<PgResult> {
    if (this.isBusy) return new Promise<PgResult>((resolve, reject) => this.line.push({ args, row, resolve, reject }));
    this.isBusy = true;
    return this.sendNow(args, row);
  }

  /** The line goes on before anybody is told, so that whoever is told finds the connection free when it is. */
  private async sendNow(given: QueryArgs, row?: (row: TextRow) => void): Promise<PgResult> {
    const carried = this.waiting;
    const inserts = this.insertsFor(given);
    const insert = inserts?.named(given);
    const args: QueryArgs = insert === undefined ? given : [insert.statement];
    try {
      this.assertOpen();
      const text = insert === undefined ? this.repeatable(args) : undefined;
      const parsed = this.pendingBegin === undefined && carried.length === 0 ? this.parsed : undefined;
      this.parsed = undefined;
      const result = (await this.queryAs(args, { parsed: text === parsed ? parsed : undefined, row })) as PgResult;
      this.parsed = text ?? (isNamed(args) ? parsed : undefined);
      this.notice();
      if (inserts !== undefined && insert?.isNew) await this.runLast(inserts.learning(insert.statement));
      return result;
    } catch (error) {
      if (insert?.isNew === false) refusedAsKept(insert.statement, error);
      const known = refusalOf(carried, error);
      this.failure ??= { error: known };
      throw this.reason ?? known;
    } finally {
      this.next();
    }
  }

  /** Through pg alone what nothing is known of and nothing goes with: it may have options of pg's. */
  private queryAs(args: QueryArgs, { parsed, row }: Pick<Around, 'parsed' | 'row'>): Promise<PgResult | PgResult[]> {
    const isAlone = this.pendingBegin === undefined && this.waiting.length === 0;
    const isKnown = parsed !== undefined || row !== undefined || isOurs(args);
    return isAlone && !isKnown ? this.client.query(...args) : this.around(args, { parsed, row });
  }

  /** Only where nobody else speaks over the connection. */
  private insertsFor(args: QueryArgs): KeptInserts | undefined {
    const mayBe = typeof args[0] === 'string' && this.place.isPreparing && this.isExclusive && canBeGrouped(this.client, args);
    return mayBe ? KeptInserts.of(this.client) : undefined;
  }

  private repeatable(args: QueryArgs): string | undefined {
    return this.isExclusive ? repeatable(this.client, args) : undefined;
  }

  /** The turn of those that wait in line. */
  private next(): void {
    const [turn, ...others] = this.nextTurns();
    if (turn === undefined) this.isBusy = false;
    else if (others.length > 0) void this.sendTogether([turn, ...others]);
    // Not within this call: each of those that find the transaction ended would call the next one, and there may be thousands.
    else queueMicrotask(() => void this.sendNow(turn.args, turn.row).then(turn.resolve, turn.reject));
  }

  private nextTurns(): readonly Turn[] {
    const most = this.pendingBegin === undefined && this.waiting.length === 0 ? MAX_GROUP : 1;
    let count = 0;
    for (const { args, row } of this.line.slice(0, most)) {
      if (row !== undefined || !canBeGrouped(this.client, args)) break;
      count += 1;
    }
    return this.line.splice(0, Math.max(1, count));
  }

  private async sendTogether(turns: readonly Turn[]): Promise<void> {
    const outcomes = await this.groupOutcomes(turns);
    // What was not run because of an error before it gets the server's answer for itself.
    this.line.unshift(...turns.filter((_, index) => outcomes[index] === undefined));
    const failed = outcomes.find((outcome) => outcome !== undefined && 'error' in outcome);
    if (failed === undefined) this.notice();
    else this.failure ??= failed as { readonly error: unknown };
    this.next();
    for (const [index, { resolve, reject }] of turns.entries()) {
      const outcome = outcomes[index];
      if (outcome === undefined) continue;
      if ('error' in outcome) reject(this.reason ?? outcome.error);
      else resolve(outcome.result);
    }
  }

  private async groupOutcomes(turns: readonly Turn[]): Promise<readonly Outcome[]> {
    try {
      this.assertOpen();
    } catch (error) {
      return turns.map(() => ({ error }));
    }
    const kept = turns.map(({ args }) => this.insertsFor(args)?.known(args));
    const statements = turns.map(({ args }, at): QueryArgs => (kept[at] === undefined ? args : [kept[at]]));
    const lastUnnamed = statements.findLast((args) => !isNamed(args));
    const { parsed } = this;
    this.parsed = undefined;
    const outcomes = await queryGroup(this.client, statements, parsed).catch((error: unknown) => turns.map(() => ({ error })));
    for (const [at, insert] of kept.entries()) {
      const outcome = outcomes[at];
      if (insert !== undefined && outcome !== undefined && 'error' in outcome) refusedAsKept(insert, outcome.error);
    }
    if (outcomes.every((outcome) => outcome !== undefined && 'result' in outcome))
      this.parsed = lastUnnamed === undefined ? parsed : this.repeatable(lastUnnamed);
    return outcomes;
  }

  /** Sends a statement together with BEGIN, when it is the first, with what waits for it, and with what comes before and after it. */
  protected around(
    args: QueryArgs,
    { before = [], after, parsed, row }: Pick<Around, 'before' | 'after' | 'parsed' | 'row'>,
  ): Promise<PgResult | PgResult[]> {
    const around: Around = {
      begin: this.pendingBegin,
      before: this.waiting.length > 0 ? [...this.waiting, ...before] : before,
      after,
      parsed,
      row,
      sent: () => {
        this.pendingBegin = undefined;
        this.waiting = [];
      },
      refused: (error) => this.refuse(error),
    };
    return queryAround(this.client, around, args);
  }

  /** As the server is to see it: under its name or, behind a pooler that does not keep prepared statements, without one. */
  protected named<S extends Statement>(statement: S): S {
    return this.place.isPreparing ? statement : { ...statement, name: undefined };
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

  /** Checked at once, unless a statement has failed whose status is not known yet: a promise then. @throws as `assertUsable` */
  protected untilKnown(): Promise<void> | undefined {
    if (this.failure && !this.reason && this.pendingBegin === undefined) return this.catchUp().then(() => this.assertUsable());
    this.assertUsable();
    return undefined;
  }

  /** @throws HF_UOW_ROLLBACK_ONLY when the server has no working transaction of ours: a statement would fail, or be a transaction of its own */
  private assertUsable(): void {
    if (this.reason) throw this.reason;
    if (this.pendingBegin !== undefined) return;
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

function isNamed([config]: QueryArgs): boolean {
  return typeof config === 'object' && (config as Partial<Statement>).name !== undefined;
}

/** A named statement that asks pg for nothing special: pg would copy it property by property, which costs as much as sending it. */
function isOurs(args: QueryArgs): boolean {
  return isNamed(args) && isPlain(args[0] as object);
}

/** What an error is for the caller, when it is about one of these statements. */
export function refusalOf(statements: readonly CarriedStatement[], error: unknown): unknown {
  for (const { refusal } of statements) {
    const known = refusal?.(error);
    if (known) return known;
  }
  return error;
}
