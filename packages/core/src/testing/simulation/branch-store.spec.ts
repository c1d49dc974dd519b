import { hfError } from '../../errors/catalogue.js';
import type { BranchChange, BranchProgress, BranchVerdict } from '../../try-confirm-cancel/branch-decisions.js';
import type {
  BranchOperationStore,
  BranchStore,
  BranchTerms,
  BranchWorkStore,
  ClaimedBranches,
  LockedBranch,
  NewBranch,
  RegisteredBranch,
} from '../../try-confirm-cancel/branch.store.port.js';
import type { BranchInfo } from '../../try-confirm-cancel/branches.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import type { Client, SimulatedDatabase, SimulatedTransaction } from './database.spec.js';

/** A branch as a row. */
export interface BranchRow {
  readonly id: string;
  readonly method: string;
  readonly arguments: string;
  readonly result: string | undefined;
  readonly isTried: boolean;
  readonly isUnbegun: boolean;
  readonly progress: BranchProgress;
  readonly deaths: number;
  readonly revision: number;
  readonly worker: string | undefined;
  readonly dueMs: number | undefined;
  readonly endedMs: number | undefined;
  readonly registeredMs: number;
  readonly updatedMs: number;
}

interface DecisionRow {
  readonly verdict: BranchVerdict;
}

type Names = { readonly branch: string; readonly decision: string; readonly audit: string };

/** Before somebody else may take one whose time is up. */
const OVERDUE_MS = 10_000;

/** Branches of one service as rows of a database in memory: what each method means is what the statements for PostgreSQL mean. */
export class SimulatedBranchStore implements BranchStore {
  readonly work: BranchWorkStore;
  readonly operations: BranchOperationStore;
  private readonly names: Names;

  constructor(
    private readonly db: SimulatedDatabase,
    private readonly client: Client,
    service: string,
  ) {
    this.names = { branch: `${service}.branch`, decision: `${service}.decision`, audit: `${service}.audit` };
    const work = new SimulatedBranchWork(db, client, this.names);
    this.work = work;
    this.operations = new SimulatedBranchOperations(db, client, { names: this.names, work });
  }

  register({ id, method, arguments: args, timeoutMs }: NewBranch): Promise<string> {
    return this.db.alone(this.client, async (sql) => {
      const { nowMs } = this.db;
      await sql.lock(this.names.branch, id);
      sql.put(this.names.branch, id, {
        ...{ id, method, arguments: args, result: undefined, isTried: false, isUnbegun: false },
        progress: { status: 'trying', operation: undefined, attempts: 0, failure: undefined },
        ...{ deaths: 0, revision: 0, worker: this.client.name, dueMs: nowMs + timeoutMs, endedMs: undefined },
        ...{ registeredMs: nowMs, updatedMs: nowMs },
      } satisfies BranchRow);
      return this.db.life;
    });
  }

  begin(tx: Transaction, id: string): Promise<boolean> {
    const sql = sqlOf(tx);
    const { branch, decision } = this.names;
    return sql.statement(async () => {
      await sql.lock(branch, id);
      const row = sql.get<BranchRow>(branch, id);
      return row?.worker === this.client.name && row.progress.status === 'trying' && sql.get(decision, id) === undefined;
    });
  }

  async finish(tx: Transaction, id: string, result: string | undefined): Promise<void> {
    const sql = sqlOf(tx);
    sql.runLast(() => {
      const row = sql.get<BranchRow>(this.names.branch, id);
      if (row !== undefined) sql.put(this.names.branch, id, { ...row, isTried: true, result } satisfies BranchRow);
    });
  }

  async commitWith(tx: Transaction, { id, server }: RegisteredBranch): Promise<void> {
    const sql = sqlOf(tx);
    sql.runLast(async () => {
      if (server !== this.db.life) throw hfError('HF_TCC_SERVER', { id });
      await sql.lock(this.names.decision, id);
      if (sql.get(this.names.decision, id) !== undefined) throw hfError('HF_TCC_DECIDED', { id });
      sql.put(this.names.decision, id, { verdict: 'committed' } satisfies DecisionRow);
    });
  }
}

class SimulatedBranchWork implements BranchWorkStore {
  constructor(
    private readonly db: SimulatedDatabase,
    private readonly client: Client,
    private readonly names: Names,
  ) {}

  claim({ methods, inHand, limit }: BranchTerms): Promise<ClaimedBranches> {
    return this.db.alone(this.client, async (sql) => {
      const { nowMs } = this.db;
      const me = this.client.name;
      const nodes = this.db.table('node');
      const rows = sql.all<BranchRow>(this.names.branch).map(([, row]) => row);
      const isOurs = ({ worker, progress }: BranchRow) =>
        worker === undefined || worker === me || progress.status === 'trying' || !nodes.has(worker);
      const isDue = ({ id, method, dueMs }: BranchRow) =>
        dueMs !== undefined && dueMs <= nowMs && methods.includes(method) && !inHand.includes(id);
      const due = rows.filter((row) => isDue(row) && isOurs(row)).sort((a, b) => (a.dueMs as number) - (b.dueMs as number));
      const ids: string[] = [];
      for (const { id } of due) {
        if (ids.length === limit) break;
        if (!(await sql.lock(this.names.branch, id, { waits: false }))) continue;
        // As it is under the lock.
        const row = sql.get<BranchRow>(this.names.branch, id);
        if (row === undefined || !isDue(row) || !isOurs(row)) continue;
        const { worker, progress } = row;
        const isTrying = progress.status === 'trying';
        const mayHaveDiedOfIt = !isTrying || (sql.get(this.names.decision, id) !== undefined && !nodes.has(worker ?? ''));
        const deaths = row.deaths + (worker !== undefined && worker !== me && mayHaveDiedOfIt ? 1 : 0);
        sql.put(this.names.branch, id, {
          ...row,
          worker: me,
          deaths,
          dueMs: isTrying ? nowMs + OVERDUE_MS : row.dueMs,
        } satisfies BranchRow);
        ids.push(id);
      }
      const later = rows.flatMap(({ dueMs }) => (dueMs === undefined || dueMs <= nowMs ? [] : [dueMs - nowMs]));
      return { ids, nextDueMs: later.length === 0 ? undefined : Math.min(...later) };
    });
  }

  release(ids: readonly string[]): Promise<void> {
    return this.each(ids, (row) => row.dueMs !== undefined && { ...row, worker: undefined, dueMs: Math.min(row.dueMs, this.db.nowMs) });
  }

  unbegun(id: string): Promise<void> {
    return this.each([id], (row) => !row.isTried && { ...row, isUnbegun: true });
  }

  decide(id: string): Promise<boolean> {
    const { decision } = this.names;
    return this.db.alone(this.client, async (sql) => {
      if (!(await sql.lock(decision, id, { waits: false }))) return false;
      if (sql.get(decision, id) === undefined) sql.put(decision, id, { verdict: 'rolled-back' } satisfies DecisionRow);
      return true;
    });
  }

  async lock(tx: Transaction, id: string, { waits }: { readonly waits: boolean }): Promise<LockedBranch | 'busy' | 'gone'> {
    const sql = sqlOf(tx);
    const { branch: table, decision } = this.names;
    const isOurs = (row: BranchRow | undefined): row is BranchRow => row?.worker === this.client.name && row.dueMs !== undefined;
    const branch = await sql.statement(async () => {
      if (!isOurs(sql.get(table, id))) return 'gone';
      if (!(await sql.lock(table, id, { waits }))) return 'busy';
      const row = sql.get<BranchRow>(table, id);
      if (!isOurs(row)) return 'gone';
      const { method, arguments: args, result, isTried, isUnbegun, progress, deaths, revision } = row;
      const verdict = sql.get<DecisionRow>(decision, id)?.verdict;
      return { ...{ id, method, arguments: args, result, isTried, isUnbegun, progress, deaths, verdict }, revision: BigInt(revision) };
    });
    if (typeof branch === 'string') return branch;
    const savepoint = await tx.savepoint();
    return { branch, savepoint: { rollback: () => savepoint.rollback(), release: async () => undefined } };
  }

  async change(tx: Transaction, id: string, change: BranchChange): Promise<void> {
    const sql = sqlOf(tx);
    sql.runLast(() => this.changing(sql, id, change));
  }

  /** Writes a change of a row that is locked. */
  changing(sql: SimulatedTransaction, id: string, { progress, afterMs }: BranchChange): void {
    const row = sql.get<BranchRow>(this.names.branch, id);
    if (row === undefined) return;
    const { nowMs } = this.db;
    const hasEnded = progress.status === 'confirmed' || progress.status === 'cancelled';
    sql.put(this.names.branch, id, {
      ...row,
      ...{ progress, deaths: 0, revision: row.revision + 1, worker: undefined, updatedMs: nowMs },
      dueMs: afterMs === undefined ? undefined : nowMs + afterMs,
      endedMs: hasEnded ? nowMs : undefined,
    } satisfies BranchRow);
  }

  /** Changes those of this process. */
  private each(ids: readonly string[], change: (row: BranchRow) => BranchRow | false): Promise<void> {
    return this.db.alone(this.client, async (sql) => {
      for (const id of [...ids].sort()) {
        await sql.lock(this.names.branch, id);
        const row = sql.get<BranchRow>(this.names.branch, id);
        const changed = row?.worker === this.client.name && change(row);
        if (changed) sql.put(this.names.branch, id, changed);
      }
    });
  }
}

/** The same branches as operators see them. */
class SimulatedBranchOperations implements BranchOperationStore {
  constructor(
    private readonly db: SimulatedDatabase,
    private readonly client: Client,
    private readonly parts: { readonly names: Names; readonly work: SimulatedBranchWork },
  ) {}

  find(id: string): Promise<BranchInfo | undefined> {
    return this.db.alone(this.client, (sql) => {
      const row = sql.get<BranchRow>(this.parts.names.branch, id);
      return row && infoOf(row);
    });
  }

  /** All of them on one page: nobody here has many. */
  list({ method, status }: Parameters<BranchOperationStore['list']>[0]): ReturnType<BranchOperationStore['list']> {
    return this.db.alone(this.client, (sql) => {
      const rows = sql.all<BranchRow>(this.parts.names.branch).map(([, row]) => row);
      const wanted = rows.filter(
        (row) => (method === undefined || row.method === method) && (status === undefined || row.progress.status === status),
      );
      return { items: wanted.map(infoOf).reverse(), next: undefined };
    });
  }

  operate(
    id: string,
    { name, by, reason }: Parameters<BranchOperationStore['operate']>[1],
    change: (progress: BranchProgress) => BranchChange,
  ): ReturnType<BranchOperationStore['operate']> {
    const { names, work } = this.parts;
    return this.db.alone(this.client, async (sql) => {
      await sql.lock(names.branch, id);
      const row = sql.get<BranchRow>(names.branch, id);
      if (row?.progress.status !== 'parked') return row && { method: row.method, status: row.progress.status };
      work.changing(sql, id, change(row.progress));
      sql.add(names.audit, { action: `branch ${name}`, target: id, by, reason });
      return { method: row.method, status: 'parked' };
    });
  }

  openBesides(methods: readonly string[]): ReturnType<BranchOperationStore['openBesides']> {
    return this.db.alone(this.client, (sql) => {
      const found = new Map<string, number>();
      for (const [, { method, endedMs }] of sql.all<BranchRow>(this.parts.names.branch))
        if (endedMs === undefined && !methods.includes(method)) found.set(method, (found.get(method) ?? 0) + 1);
      return [...found].sort(([a], [b]) => (a < b ? -1 : 1)).map(([method, count]) => ({ method, count }));
    });
  }

  /** Nothing here lives long enough. */
  async trim(): Promise<number> {
    return 0;
  }
}

function infoOf({ id, method, arguments: args, result, isTried, progress, registeredMs, updatedMs }: BranchRow): BranchInfo {
  return {
    ...progress,
    ...{ id, method, isTried },
    arguments: JSON.parse(args) as readonly unknown[],
    result: result === undefined ? undefined : JSON.parse(result),
    registeredAt: new Date(registeredMs),
    updatedAt: new Date(updatedMs),
  };
}

function sqlOf(tx: Transaction): SimulatedTransaction {
  return tx as SimulatedTransaction;
}
