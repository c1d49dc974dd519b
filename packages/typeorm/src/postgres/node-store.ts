import type { NodeStore } from '@holdfast/core';
import type { PostgresContext } from './context.js';
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

/** Processes as rows: a row without a heartbeat is a process that died or froze. */
export class PostgresNodeStore implements NodeStore {
  private readonly heartbeatStatement;
  private readonly silentStatement;
  private readonly liveStatement;

  constructor(private readonly context: PostgresContext) {
    const { node } = context.tables;
    this.heartbeatStatement = prepared(`update ${node} set seen_at = clock_timestamp() where id = $1`);
    this.silentStatement = prepared(
      `select id from ${node} where service = $1 and id <> $2 and seen_at < clock_timestamp() - $3 * interval '1 millisecond'`,
    );
    this.liveStatement = prepared(`select id from ${node} where service = $1 order by id`);
  }

  async join(nodeId: string): Promise<void> {
    await this.context.pool.run(this.joining(nodeId));
  }

  async heartbeat(nodeId: string): Promise<boolean> {
    const { rowCount } = await this.context.pool.run(this.heartbeatStatement(nodeId));
    if (rowCount === 1) return false;
    // Whoever registered meanwhile has taken it for gone. Both or nothing: the next heartbeat would not know what is missing.
    await this.context.pool.transaction(async (sql) => {
      await sql.run(this.joining(nodeId));
      await sql.run({
        text: `update ${this.context.tables.subscription} set served_by = array_append(served_by, $2::uuid) where id = any($1::int[]) and $2::uuid <> all(served_by)`,
        values: [this.context.served ?? [], nodeId],
      });
    });
    return true;
  }

  async reap(nodeId: string, silentForMs: number): Promise<readonly string[]> {
    const t = this.context.tables;
    const silent = await this.context.pool.run(this.silentStatement(this.context.service, nodeId, silentForMs));
    if (silent.rows.length === 0) return [];
    return this.context.pool.transaction(async (sql) => {
      const { rows } = await sql.run<{ id: string; died_at: string }>({
        text: `delete from ${t.node} where id in (select id from ${t.node} where service = $1 and id <> $2
                 and seen_at < clock_timestamp() - $3 * interval '1 millisecond' for update skip locked)
               returning id, least(clock_timestamp(), seen_at + interval '${LAST_WORDS_MS} milliseconds')::text as died_at`,
        values: [this.context.service, nodeId, silentForMs],
      });
      const ids = rows.map(({ id }) => id);
      if (ids.length === 0) return ids;
      // Frozen, not dead: its sessions still hold what it had in work. Waited for, because what they hold is what it may have frozen of.
      await sql.run({
        text: `select pg_terminate_backend(pid, ${TERMINATE_MS}) from pg_stat_activity where application_name = any($1::text[]) and usename = current_user`,
        values: [ids.map(sessionName)],
      });
      // A time, and no marks: those would have to wait for, or pass over, the rows that others have in work.
      await sql.run({
        text: `update ${t.subscription} s set last_death_at = greatest(last_death_at, d.at) from (
                 select s.id, max(n.died_at) as at from ${t.subscription} s join unnest($2::uuid[], $3::timestamptz[]) n(id, died_at) on n.id = any(s.served_by)
                 where s.service = $1 group by s.id) d
               where s.id = d.id`,
        values: [this.context.service, ids, rows.map(({ died_at }) => died_at)],
      });
      await sql.run({
        text: `update ${t.delivery} set next_attempt_at = least(next_attempt_at, clock_timestamp()), counted_by = null where id in (
                 select id from ${t.delivery} where state = 'retry' and is_suspect and counted_by = any($1::uuid[]) for update skip locked)`,
        values: [ids],
      });
      // Their units have ended with them, or will not be let commit.
      await sql.run({
        text: `update ${t.branch} set due_at = clock_timestamp() where id in (
                 select id from ${t.branch} where service = $2 and worker = any($1::uuid[]) and due_at > clock_timestamp() for update skip locked)`,
        values: [ids, this.context.service],
      });
      return ids;
    });
  }

  async leave(nodeId: string): Promise<void> {
    await this.context.pool.run({ text: `delete from ${this.context.tables.node} where id = $1`, values: [nodeId] });
  }

  async live(): Promise<readonly string[]> {
    const { rows } = await this.context.pool.run<{ id: string }>(this.liveStatement(this.context.service));
    return rows.map(({ id }) => id);
  }

  private joining(nodeId: string): Statement {
    return {
      text: `insert into ${this.context.tables.node} (id, service, transport) values ($1, $2, $3) on conflict (id) do update set seen_at = clock_timestamp()`,
      values: [nodeId, this.context.service, this.context.transport ?? null],
    };
  }
}
