import {
  type BranchChange,
  type BranchFilter,
  type BranchInfo,
  type BranchOperationStore,
  type BranchProgress,
  type BranchStatus,
  hfError,
  type OperatorAction,
  type Page,
  type Paged,
} from '@holdfast/core';
import { audit } from '../audit.js';
import { Conditions, pageLimit } from '../conditions.js';
import type { PostgresContext } from '../context.js';
import { type BranchRow, COLUMNS, infoOf, progressOf, SCOPE } from './branch-rows.js';
import type { PostgresBranchWork } from './branch-work.js';

/** A decision against a unit is kept longer than any transaction stays open in which it could still try to commit. */
const ROLLED_BACK_KEPT = '30 days';
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Branches of one service, as operators see and repair them. */
export class PostgresBranchOperations implements BranchOperationStore {
  constructor(
    private readonly context: PostgresContext,
    private readonly work: PostgresBranchWork,
  ) {}

  async find(id: string): Promise<BranchInfo | undefined> {
    const { pool, tables, service } = this.context;
    const { rows } = await pool.run<BranchRow>({
      text: `select ${COLUMNS} from ${tables.branch} b where b.service = $1 and b.id = $2`,
      values: [service, id],
    });
    return rows[0] && infoOf(rows[0]);
  }

  async list({ method, status, since, limit: asked, cursor }: BranchFilter & Page): Promise<Paged<BranchInfo>> {
    const { pool, tables, service } = this.context;
    const limit = pageLimit(asked);
    if (cursor !== undefined && !UUID.test(cursor)) throw hfError('HF_OPERATOR_PAGE', { what: 'cursor', value: cursor });
    const where = new Conditions(service);
    if (method !== undefined) where.and(`b.method = ${where.bind(method)}`);
    // The partial index of what is parked wants to see it.
    if (status === 'parked') where.and(`b.status = 'parked'`);
    else if (status !== undefined) where.and(`b.status = ${where.bind(status)}`);
    if (since !== undefined) where.and(`b.registered_at >= ${where.bind(since)}`);
    // Ids ascend with the time of their registration.
    if (cursor !== undefined) where.and(`b.id < ${where.bind(cursor)}`);
    const { rows } = await pool.run<BranchRow>({
      text: `select ${COLUMNS} from ${tables.branch} b where b.service = $1 ${where.text} order by b.id desc limit ${limit + 1}`,
      values: where.values,
    });
    const items = rows.slice(0, limit).map(infoOf);
    return { items, next: rows.length > limit ? items.at(-1)?.id : undefined };
  }

  async operate(
    id: string,
    { name, ...action }: OperatorAction & { readonly name: string },
    change: (progress: BranchProgress) => BranchChange,
  ): Promise<{ readonly method: string; readonly status: BranchStatus } | undefined> {
    const { context } = this;
    const parked = await context.pool.transaction(async (sql) => {
      // What is in work is locked for as long as its attempt takes, and is not parked.
      const { rows } = await sql.run<BranchRow>({
        text: `select ${COLUMNS} from ${context.tables.branch} b where b.service = $1 and b.id = $2 and b.status = 'parked' for update of b`,
        values: [context.service, id],
      });
      const [row] = rows;
      if (row === undefined) return undefined;
      await sql.run(this.work.changing(id, change(progressOf(row))));
      await audit(sql, context, { action: `branch ${name}`, target: id, ...action });
      return row;
    });
    return parked ?? this.find(id);
  }

  async openBesides(methods: readonly string[]): Promise<readonly { readonly method: string; readonly count: number }[]> {
    const { pool, tables, service } = this.context;
    const { rows } = await pool.run<{ method: string; count: string }>({
      text: `select b.method, count(*) as count from ${tables.branch} b
             where b.service = $1 and b.due_at is not null and b.method <> all($2::text[]) group by 1 order by 1`,
      values: [service, methods],
    });
    return rows.map(({ method, count }) => ({ method, count: Number(count) }));
  }

  async trim(keptMs: number, limit: number): Promise<number> {
    const { pool, tables, service, clock } = this.context;
    const { branch, guard } = tables;
    const before = `(select clock_timestamp() + ($2::float8 - $3::float8) * interval '1 millisecond')`;
    const values = [service, clock.aheadOfDatabaseMs(), keptMs, limit];
    const { rowCount } = await pool.run({
      text: `delete from ${branch} where ctid = any(array(select ctid from ${branch} where service = $1 and ended_at < ${before} limit $4))`,
      values,
    });
    // Nobody asks for the decision of a branch that is gone, but a unit may still want to write one.
    await pool.run({
      text: `delete from ${guard} where ctid = any(array(
               select g.ctid from ${guard} g where g.scope = '${SCOPE}' and g.decided_at < (select clock_timestamp() + ($1::float8 - $2::float8) * interval '1 millisecond')
                 and (g.status = 'committed' or g.decided_at < clock_timestamp() + $1::float8 * interval '1 millisecond' - interval '${ROLLED_BACK_KEPT}')
                 and not exists (select from ${branch} b where b.id = g.key) limit $3))`,
      values: values.slice(1),
    });
    return rowCount;
  }
}
