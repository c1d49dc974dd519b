import { CHECK_BACK_AFTER_MS, LEASE_MS, MAX_PARKED_DELAY_MS, type NodeStore } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import { leaving } from './delivery/taken-types.js';
import { prepared, type Statement } from './sql/sql.js';

/** Begin of the names below. */
export const SESSION_PREFIX = 'holdfast ';

/** Name that sessions with a transaction of the framework carry in `pg_stat_activity`, so that those of a frozen process can be ended. */
export function sessionName(nodeId: string): string {
  return `${SESSION_PREFIX}${nodeId}`;
}

/** Longest wait for the end of one session. */
const TERMINATE_MS = 1000;

/**
 * A process that works says so every second. What was moved this long after its last word was moved by others: without that limit every place of a
 * subscription would be suspect after each death, those that others have worked on for seconds too.
 */
const LAST_WORDS_MS = 2000;
const DIED_AT = `least(clock_timestamp(), seen_at + interval '${LAST_WORDS_MS} milliseconds')::text as died_at`;

interface SilentRow {
  readonly id: string;
  readonly died_at: string;
}

/** Whoever has not spoken for so long himself, and for so much of the silence of the dead, finds nobody silent: it may be the clock, or the database, that was away. */
const OWN_SILENCE_MS = 3000;
const OWN_SILENCE_SHARE = 0.5;

/** Processes as rows: a row without a heartbeat is a process that died or froze. */
export class PostgresNodeStore implements NodeStore {
  private readonly heartbeatStatement;
  private readonly silentStatement;
  private readonly liveStatement;
  private readonly areSilent;
  private readonly haveSpoken;
  private readonly markStatement;

  constructor(private readonly context: PostgresContext) {
    const { node, subscription } = context.tables;
    this.heartbeatStatement = prepared(
      `with last as (select id, seen_at from ${node} where id = $1 for update)
       update ${node} n set seen_at = clock_timestamp() from last where n.id = last.id
       returning (extract(epoch from n.seen_at - last.seen_at) * 1000)::float8 as pause_ms`,
    );
    this.areSilent = `service = $1 and id <> $2 and seen_at < clock_timestamp() - $3 * interval '1 millisecond'`;
    this.haveSpoken = `exists (select from ${node} where id = $2 and seen_at > clock_timestamp() - greatest(${OWN_SILENCE_MS}, ${OWN_SILENCE_SHARE} * $3) * interval '1 millisecond')`;
    this.silentStatement = prepared(
      `select false as is_ahead from ${node} where ${this.areSilent} and ${this.haveSpoken}
       union all select true from ${node} where service = $1 and id <> $2 and seen_at > clock_timestamp()
       union all select true from ${subscription} where service = $1 and last_death_at > clock_timestamp()`,
    );
    // A time, and no marks: those would have to wait for, or pass over, the rows that others have in work.
    this.markStatement = prepared(
      `update ${subscription} s set last_death_at = d.at from (
         select s.id, max(n.died_at) as at from ${subscription} s join unnest($2::uuid[], $3::timestamptz[]) n(id, died_at) on n.id = any(s.served_by)
         where s.service = $1 group by s.id) d
       where s.id = d.id and s.last_death_at < d.at`,
    );
    this.liveStatement = prepared(`select id from ${node} where service = $1 order by id`);
  }

  async join(nodeId: string, silentForMs: number): Promise<void> {
    this.context.silentForMs = silentForMs;
    await this.putBack();
    await this.context.pool.run(this.joining(nodeId));
    const { rows } = await this.context.pool.run<SilentRow>({
      text: `select id, ${DIED_AT} from ${this.context.tables.node} where ${this.areSilent}`,
      values: [this.context.service, nodeId, silentForMs],
    });
    if (rows.length > 0) await this.context.pool.run(this.marking(rows));
  }

  async heartbeat(nodeId: string): Promise<number | undefined> {
    const { rows: heard } = await this.context.pool.run<{ pause_ms: number }>(this.heartbeatStatement(nodeId));
    if (heard[0] !== undefined) {
      // The clock was set back since the last heartbeat.
      if (heard[0].pause_ms < 0) await this.putBack();
      return Math.max(0, heard[0].pause_ms);
    }
    // Whoever registered meanwhile has taken it for gone. Both or nothing: the next heartbeat would not know what is missing.
    await this.context.pool.transaction(async (sql) => {
      await sql.run(this.joining(nodeId));
      await sql.run({
        text: `update ${this.context.tables.subscription} set served_by = array_append(served_by, $2::uuid) where id = any($1::int[]) and $2::uuid <> all(served_by)`,
        values: [this.context.served ?? [], nodeId],
      });
    });
    return undefined;
  }

  async reap(nodeId: string, silentForMs: number): Promise<readonly string[]> {
    const t = this.context.tables;
    const { rows: silent } = await this.context.pool.run<{ is_ahead: boolean }>(
      this.silentStatement(this.context.service, nodeId, silentForMs),
    );
    if (silent.some((row) => row.is_ahead)) await this.putBack();
    if (silent.every((row) => row.is_ahead)) return [];
    return this.context.pool.transaction(async (sql) => {
      const { rows } = await sql.run<SilentRow>({
        text: `delete from ${t.node} where id in (select id from ${t.node} where ${this.areSilent} and ${this.haveSpoken} for update skip locked) returning id, ${DIED_AT}`,
        values: [this.context.service, nodeId, silentForMs],
      });
      const ids = rows.map(({ id }) => id);
      if (ids.length === 0) return ids;
      // Frozen, not dead: its sessions still hold what it had in work. Waited for, because what they hold is what it may have frozen of.
      await sql.run({
        text: `select pg_terminate_backend(pid, ${TERMINATE_MS}) from pg_stat_activity where application_name = any($1::text[]) and usename = current_user`,
        values: [ids.map(sessionName)],
      });
      await sql.run(this.marking(rows));
      await sql.run({
        text: `update ${t.delivery} set next_attempt_at = least(next_attempt_at, clock_timestamp()), counted_by = null where id in (
                 select id from ${t.delivery} where state = 'retry' and is_suspect and counted_by = any($1::uuid[]) for update skip locked)`,
        values: [ids],
      });
      await sql.run({ text: leaving(t), values: [ids] });
      // Their units have ended with them, or will not be let commit.
      await sql.run({
        text: `update ${t.branch} set due_at = clock_timestamp() where id in (
                 select id from ${t.branch} where service = $2 and worker = any($1::uuid[]) and due_at > clock_timestamp() for update skip locked)`,
        values: [ids, this.context.service],
      });
      return ids;
    });
  }

  /**
   * Times that lie further ahead than any that is written: they are from before the clock was set back, and all would wait until it has caught up. Whoever
   * died then would be silent no sooner, what he had leased be his, and what he may have died of be suspect; parked and half messages would not be sent.
   */
  private async putBack(): Promise<void> {
    const { node, subscription, cursor, parked, halfMessage } = this.context.tables;
    const times = [
      [node, 'seen_at', 0],
      [subscription, 'last_death_at', 0],
      [cursor, 'lease_until', LEASE_MS],
      [parked, 'next_attempt_at', MAX_PARKED_DELAY_MS],
      [halfMessage, 'check_at', CHECK_BACK_AFTER_MS],
    ] as const;
    const { pool, clock } = this.context;
    for (const [table, column, mostMs] of times)
      await pool.run({
        text: `update ${table} set ${column} = clock_timestamp() + $1 * interval '1 millisecond'
               where ctid in (select ctid from ${table} where ${column} > clock_timestamp() + $1 * interval '1 millisecond' for update skip locked)`,
        values: [mostMs === 0 ? 0 : mostMs + clock.aheadOfDatabaseMs()],
      });
  }

  async leave(nodeId: string): Promise<void> {
    const { pool, tables } = this.context;
    await pool.run({ text: `with gone as (delete from ${tables.node} where id = any($1::uuid[])) ${leaving(tables)}`, values: [[nodeId]] });
  }

  async live(): Promise<readonly string[]> {
    const { rows } = await this.context.pool.run<{ id: string }>(this.liveStatement(this.context.service));
    return rows.map(({ id }) => id);
  }

  /** The same of one death, however often: it is told by the last word of whoever died. */
  private marking(dead: readonly SilentRow[]): Statement {
    return this.markStatement(
      this.context.service,
      dead.map(({ id }) => id),
      dead.map(({ died_at }) => died_at),
    );
  }

  private joining(nodeId: string): Statement {
    return {
      text: `insert into ${this.context.tables.node} (id, service, transport) values ($1, $2, $3) on conflict (id) do update set seen_at = clock_timestamp()`,
      values: [nodeId, this.context.service, this.context.transport ?? null],
    };
  }
}
