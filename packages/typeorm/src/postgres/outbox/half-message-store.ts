import {
  type CheckBack,
  type CheckBackTerms,
  type CheckedUnit,
  failpoint,
  type HalfMessage,
  type HalfMessageRef,
  type HalfMessageStore,
  hfError,
  type RegisteredUnit,
  type SettledHalfMessages,
  type Transaction,
} from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { drawingIds } from './sequence-behind.js';
import { LIFE } from '../server-life.js';
import { ApartConnection, type ApartConnectionParts } from '../sql/apart-connection.js';
import { Gathered } from '../sql/gathered.js';
import { IS_DURABLE, prepared, type SqlRunner, type Statement } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** What the decisions of half messages are filed under in the guard table. */
const SCOPE = 'half-message';
const OPERATION = 'commit';
/** Longest wait of a check-back for a transaction that has written its decision and not ended. */
const LOCK_TIMEOUT = '100ms';
/** Such transactions that one check-back waits for: it holds its own decisions meanwhile, and with them the COMMIT of whoever comes too late. */
const MOST_OPEN = 10;
const LOCK_NOT_AVAILABLE = '55P03';
const UNIQUE_VIOLATION = '23505';
const NOT_NULL_VIOLATION = '23502';
/** A decision against a unit is kept longer than any transaction stays open in which it could still try to commit. */
const ROLLED_BACK_KEPT = '30 days';

/** What goes into one round on the connection apart. */
interface Round {
  readonly registered: readonly HalfMessage[];
  readonly checkAfterMs: number;
  readonly gone: readonly HalfMessageRef[];
}

interface DueRow {
  readonly unit_id: string;
  readonly status: string | null;
}

interface Undecided {
  /** Their transactions have written something else, and not ended. */
  readonly open: ReadonlySet<string>;
  /** Enough of those were waited for; these are still due, and those are not. */
  readonly unasked: ReadonlySet<string>;
}

interface SettledRow {
  readonly unit_id: string;
  readonly outcome: 'committed' | 'rolled-back';
  readonly lane: number;
  readonly messages: number;
}

/** The register and the decisions of units with half messages. */
export class PostgresHalfMessageStore implements HalfMessageStore {
  private readonly roundStatement;
  private readonly commitStatement;
  private readonly logStatement;
  private readonly dueStatement;
  private readonly decideStatement;
  private readonly againStatement;
  private readonly decidedStatement;
  private readonly apart: ApartConnection;
  private readonly rounds: Gathered<Round, string>;
  private readonly logs: Gathered<readonly HalfMessageRef[], readonly number[]>;

  constructor(
    private readonly context: PostgresContext,
    apart: ApartConnectionParts,
  ) {
    const { halfMessage, guard } = context.tables;
    const now = (parameter: string) => `clock_timestamp() + ${parameter} * interval '1 millisecond'`;
    const decisionOf = (unit: string) => `g.scope = '${SCOPE}' and g.key = ${unit} and g.branch = '' and g.operation = '${OPERATION}'`;
    // Nobody waits for the disk here: WAL is flushed in order, so the COMMIT that comes after it makes what is registered durable too. What is deleted and
    // comes back after a crash is sent again.
    this.roundStatement = prepared(
      `with relaxed as (select set_config('synchronous_commit', 'off', true)),
       free as (select h.unit_id, h.ordinal from ${halfMessage} h join unnest($1::text[], $2::int[]) g(unit_id, ordinal)
         on h.unit_id = g.unit_id and h.ordinal = g.ordinal cross join relaxed for update of h skip locked),
       gone as (delete from ${halfMessage} h using free f where h.unit_id = f.unit_id and h.ordinal = f.ordinal),
       registered as (insert into ${halfMessage} (unit_id, ordinal, transport, type, attributes, body, check_at)
       select r.unit_id, r.ordinal, r.transport, r.type, r.attributes, r.body, ${now('($10 + r.after_ms)')}
       from unnest($3::text[], $4::int[], $5::text[], $6::text[], $7::text[], $8::bytea[], $9::float8[]) r(unit_id, ordinal, transport, type, attributes, body, after_ms)
       cross join relaxed)
       select ${LIFE} as server`,
    );
    // On another server the decision becomes null, which the table refuses: nobody has to look at the answer before COMMIT.
    this.commitStatement = prepared(
      `insert into ${guard} (scope, key, branch, operation, status)
       select '${SCOPE}', $1, '', '${OPERATION}', case when ${LIFE} = $2 then 'committed' end where ${IS_DURABLE}`,
    );
    this.logStatement = prepared(
      this.intoLog(
        `select h.unit_id, h.ordinal, 'committed' as outcome from ${halfMessage} h join unnest($4::text[], $5::int[]) r(unit_id, ordinal)
         on h.unit_id = r.unit_id and h.ordinal = r.ordinal for update of h skip locked`,
      ),
    );
    this.dueStatement = prepared(
      `select d.unit_id, g.status from (
         select unit_id, min(check_at) as since from (
           select unit_id, check_at from ${halfMessage} where check_at <= ${now('$2')} order by check_at limit $1 * 10) h
         group by unit_id order by since limit $1) d
       left join ${guard} g on ${decisionOf('d.unit_id')} order by d.since`,
    );
    this.decideStatement = prepared(
      `insert into ${guard} (scope, key, branch, operation, status, reason)
       select '${SCOPE}', unit_id, '', '${OPERATION}', 'rolled-back', 'asked by ' || $2 from unnest($1::text[]) unit_id order by unit_id
       on conflict do nothing`,
    );
    this.againStatement = prepared(
      `update ${halfMessage} set check_at = ${now('($2::float8 + $3::float8)')} where unit_id = any($1::text[]) returning unit_id`,
    );
    this.decidedStatement = prepared(
      this.intoLog(
        `select h.unit_id, h.ordinal, g.status as outcome from ${halfMessage} h join ${guard} g on ${decisionOf('h.unit_id')}
         where h.unit_id = any($4::text[]) for update of h skip locked`,
      ),
    );
    this.apart = new ApartConnection(apart);
    this.logs = new Gathered((moved) => this.log(moved));
    this.rounds = new Gathered((rounds) => this.runRounds(rounds));
  }

  /** Lets go of the connection apart. */
  close(): void {
    this.apart.close();
  }

  register(messages: readonly HalfMessage[], checkAfterMs: number): Promise<string> {
    return this.rounds.run({ registered: messages, checkAfterMs, gone: [] });
  }

  async commitWith(tx: Transaction, { unitId, server }: RegisteredUnit): Promise<void> {
    await sqlOf(tx).runLast({ ...this.commitStatement(unitId, server), refusal: (error) => this.refused(error, unitId) });
  }

  async settle({ gone, logged }: SettledHalfMessages): Promise<readonly number[]> {
    const [lanes] = await Promise.all([
      logged.length > 0 ? this.logs.run(logged) : [],
      gone.length > 0 ? this.rounds.run({ registered: [], checkAfterMs: 0, gone }) : undefined,
    ]);
    return lanes;
  }

  async checkBack({ limit, againMs }: CheckBackTerms): Promise<CheckBack> {
    const { pool, clock } = this.context;
    const ahead = clock.aheadOfDatabaseMs();
    const { rows: due } = await pool.run<DueRow>(this.dueStatement(limit, ahead));
    if (due.length === 0) return { units: [], lanes: [] };
    const { open, unasked } = await this.decide(due.filter(({ status }) => status === null).map(({ unit_id }) => unit_id));
    failpoint('half-message:after-decision');
    const unknown = open.size === 0 ? [] : (await pool.run<{ unit_id: string }>(this.againStatement([...open], ahead, againMs))).rows;
    const ids = due.map(({ unit_id }) => unit_id).filter((unit) => !open.has(unit) && !unasked.has(unit));
    const { rows: settled } = await drawingIds(this.context, () => pool.run<SettledRow>(this.decidedStatement(...this.logTerms(), ids)));
    const units: CheckedUnit[] = [
      ...settled.map(({ unit_id, outcome, messages }) => ({ unitId: unit_id, outcome, messages })),
      ...[...open].map((unitId) => ({
        unitId,
        outcome: 'unknown' as const,
        messages: unknown.filter(({ unit_id }) => unit_id === unitId).length,
      })),
    ];
    return { units, lanes: lanesOf(settled.filter(({ outcome }) => outcome === 'committed')) };
  }

  async trim(retentionMs: number, limit: number): Promise<number> {
    const { halfMessage, guard } = this.context.tables;
    const before = `clock_timestamp() + $3::float8 * interval '1 millisecond'`;
    // While a message of the unit is registered somebody may ask, however old it is.
    const { rowCount } = await this.context.pool.run({
      text: `delete from ${guard} where ctid = any(array(
               select g.ctid from ${guard} g where g.scope = '${SCOPE}' and g.decided_at < ${before} - $1::float8 * interval '1 millisecond'
                 and (g.status = 'committed' or g.decided_at < ${before} - interval '${ROLLED_BACK_KEPT}')
                 and not exists (select from ${halfMessage} h where h.unit_id = g.key) limit $2))`,
      values: [retentionMs, limit, this.context.clock.aheadOfDatabaseMs()],
    });
    return rowCount;
  }

  /** Deletes what `chosen` gives and, of committed units, puts it into the log: the messages of a unit into one lane of their transport. */
  private intoLog(chosen: string): string {
    const { tables } = this.context;
    return `with chosen as (${chosen}),
      gone as (delete from ${tables.halfMessage} h using chosen c where h.unit_id = c.unit_id and h.ordinal = c.ordinal
        returning h.*, c.outcome,
          ((select min(l.lane) from ${tables.lane} l where l.transport = h.transport) + abs(hashtext(h.unit_id)::bigint) % $1)::smallint as lane),
      moved as (insert into ${tables.outbox} (lane, id, type, attributes, body)
        select n.lane, case when n.id > coalesce(m.id, 0) then n.id end, type, attributes, body
        from (select lane, nextval(${tables.sequenceOf('lane')}) as id, type, attributes, body
          from (select * from gone where outcome = 'committed' and ${IS_DURABLE} order by unit_id, ordinal) committed) n
        left join unnest($2::smallint[], $3::bigint[]) m(lane, id) on m.lane = n.lane)
      select unit_id, outcome, lane, count(*)::int as messages from gone group by unit_id, outcome, lane order by unit_id`;
  }

  /** What `intoLog` is told: the number of lanes, and the highest id that is taken in each (an id below would be null, which the table refuses). */
  private logTerms(): [lanes: number, marked: number[], marks: bigint[]] {
    return [this.context.lanes, ...this.context.marks.columns()];
  }

  private async log(moved: readonly (readonly HalfMessageRef[])[]): Promise<readonly (readonly number[])[]> {
    const statement = this.logStatement(...this.logTerms(), ...columnsOf(moved.flat()));
    const { rows } = await drawingIds(this.context, () => this.context.pool.run<SettledRow>(statement));
    const lanes = lanesOf(rows);
    return moved.map(() => lanes);
  }

  /** Writes that these units are rolled back, where nothing is written yet. */
  private async decide(units: readonly string[]): Promise<Undecided> {
    const undecided = { open: new Set<string>(), unasked: new Set<string>() };
    if (units.length === 0) return undecided;
    return this.context.pool.transaction(async (sql) => {
      await sql.run({ text: `set local lock_timeout = '${LOCK_TIMEOUT}'` });
      if (await this.isDecided(sql, units)) return undecided;
      for (const unit of units) {
        if (undecided.open.size >= MOST_OPEN) undecided.unasked.add(unit);
        else if (!(await this.isDecided(sql, [unit]))) undecided.open.add(unit);
      }
      return undecided;
    });
  }

  /** False when one of them is open. */
  private async isDecided(sql: SqlRunner, units: readonly string[]): Promise<boolean> {
    await sql.run({ text: 'savepoint asked' });
    try {
      await sql.run(this.decideStatement(units, this.context.nodeId));
      await sql.run({ text: 'release savepoint asked' });
      return true;
    } catch (error) {
      if ((error as { code?: unknown }).code !== LOCK_NOT_AVAILABLE) throw error;
      await sql.run({ text: 'rollback to savepoint asked' });
      return false;
    }
  }

  /** All that waits, in one statement of its own. */
  private async runRounds(rounds: readonly Round[]): Promise<readonly string[]> {
    const [row] = await this.apart.run<{ server: string }>(this.roundOf(rounds));
    const { server } = row as { server: string };
    return rounds.map(() => server);
  }

  private roundOf(rounds: readonly Round[]): Statement {
    const registered = rounds.flatMap((round) => round.registered);
    return this.roundStatement(
      ...columnsOf(rounds.flatMap(({ gone }) => gone)),
      ...columnsOf(registered),
      registered.map(({ transport }) => transport),
      registered.map(({ type }) => type),
      registered.map(({ attributes }) => attributes),
      registered.map(({ body }) => body),
      rounds.flatMap(({ registered: messages, checkAfterMs }) => messages.map(() => checkAfterMs)),
      this.context.clock.aheadOfDatabaseMs(),
    );
  }

  private refused(error: unknown, unit: string): Error | undefined {
    const { code, table } = error as { readonly code?: unknown; readonly table?: unknown };
    if (!this.context.tables.guard.endsWith(String(table))) return undefined;
    // Only a check-back could have written the row.
    if (code === UNIQUE_VIOLATION) return hfError('HF_HALF_MESSAGE_ROLLED_BACK', { unit }, { cause: error });
    if (code !== NOT_NULL_VIOLATION) return undefined;
    // Which of the two is the wrong one is not known here: the register goes over a new connection from now on.
    this.apart.close();
    return hfError('HF_HALF_MESSAGE_SERVER', { unit }, { cause: error });
  }
}

function columnsOf(refs: readonly HalfMessageRef[]): [string[], number[]] {
  return [refs.map(({ unitId }) => unitId), refs.map(({ ordinal }) => ordinal)];
}

function lanesOf(rows: readonly SettledRow[]): readonly number[] {
  return [...new Set(rows.map(({ lane }) => lane))];
}
