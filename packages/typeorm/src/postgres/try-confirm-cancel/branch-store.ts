import {
  type BranchOperationStore,
  type BranchStore,
  hfError,
  type NewBranch,
  type RegisteredBranch,
  type Transaction,
} from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { sessionName } from '../node-store.js';
import { LIFE } from '../server-life.js';
import { IS_DURABLE, prepared } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';
import { PostgresBranchOperations } from './branch-operations.js';
import { DECISION, SCOPE } from './branch-rows.js';
import { PostgresBranchWork } from './branch-work.js';

const UNIQUE_VIOLATION = '23505';
const NOT_NULL_VIOLATION = '23502';

/** Branches of tries as rows, and the decisions of their units as guard rows. */
export class PostgresBranchStore implements BranchStore {
  readonly work: PostgresBranchWork;
  readonly operations: BranchOperationStore;
  private readonly registerStatement;
  private readonly beginStatement;
  private readonly finishStatement;
  private readonly commitStatement;

  constructor(private readonly context: PostgresContext) {
    const { branch, guard } = context.tables;
    const now = `(clock_timestamp() + $3::float8 * interval '1 millisecond')`;
    this.registerStatement = prepared(
      `insert into ${branch} (service, id, method, arguments, status, due_at, worker, registered_at, updated_at)
       select $1, $2, $4, $5, 'trying', ${now} + $6::float8 * interval '1 millisecond', $7::uuid, ${now}, ${now} where ${IS_DURABLE}
       returning ${LIFE} as server`,
    );
    // Under a name by which others can end the session of a frozen process (nodes).
    this.beginStatement = prepared(
      `select set_config('application_name', $3, true) from ${branch} b
       where b.id = $1 and b.worker = $2::uuid and b.status = 'trying' and ${IS_DURABLE}
         and not exists (select from ${guard} g where g.scope = '${SCOPE}' and g.key = b.id and g.branch = '' and g.operation = '${DECISION}')
       for update of b`,
    );
    this.finishStatement = prepared(`update ${branch} set is_tried = true, result = $2 where id = $1`);
    // On another server the decision becomes null, which the table refuses: nobody has to look at the answer before COMMIT.
    this.commitStatement = prepared(
      `insert into ${guard} (scope, key, branch, operation, status)
       select '${SCOPE}', $1, '', '${DECISION}', case when ${LIFE} = $2 then 'committed' end where ${IS_DURABLE}`,
    );
    this.work = new PostgresBranchWork(context);
    this.operations = new PostgresBranchOperations(context, this.work);
  }

  async register({ id, method, arguments: args, timeoutMs }: NewBranch): Promise<string> {
    const { pool, service, nodeId, clock } = this.context;
    const { rows } = await pool.run<{ server: string }>(
      this.registerStatement(service, id, clock.aheadOfDatabaseMs(), method, args, timeoutMs, nodeId),
    );
    return (rows[0] as { server: string }).server;
  }

  async begin(tx: Transaction, id: string): Promise<boolean> {
    const { nodeId } = this.context;
    const { rows } = await sqlOf(tx).run(this.beginStatement(id, nodeId, sessionName(nodeId)));
    return rows.length === 1;
  }

  async finish(tx: Transaction, id: string, result: string | undefined): Promise<void> {
    await sqlOf(tx).runLast(this.finishStatement(id, result ?? null));
  }

  async commitWith(tx: Transaction, { id, server }: RegisteredBranch): Promise<void> {
    await sqlOf(tx).runLast({ ...this.commitStatement(id, server), refusal: (error) => this.refused(error, id) });
  }

  private refused(error: unknown, id: string): Error | undefined {
    const { code, table, detail } = error as { readonly code?: unknown; readonly table?: unknown; readonly detail?: unknown };
    // The decisions of other branches, and of half messages, are in the same table.
    if (!this.context.tables.guard.endsWith(String(table)) || !String(detail).includes(id)) return undefined;
    if (code === UNIQUE_VIOLATION) return hfError('HF_TCC_DECIDED', { id }, { cause: error });
    return code === NOT_NULL_VIOLATION ? hfError('HF_TCC_SERVER', { id }, { cause: error }) : undefined;
  }
}
