import {
  type ClaimedSagas,
  type ClaimTerms,
  type LockedSaga,
  type NewSaga,
  nextSagaMs,
  type SagaChange,
  type SagaNote,
  type SagaOperationStore,
  type SagaStore,
  type SagaTelling,
  type SignalKey,
  type Transaction,
  type WantedLock,
} from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { sessionName } from '../node-store.js';
import type { Statement } from '../sql/sql.js';
import { sqlOf, type TextRow } from '../sql/transaction-sql.js';
import { PostgresSagaOperations } from './saga-operations.js';
import { folded, listText, storedOf } from './saga-rows.js';
import { SagaStatements } from './saga-statements.js';

interface ClaimRow {
  readonly id: string | null;
  readonly wait_ms: number | null;
}

/** A saga that has none of them in its history has no more lines than its steps make. */
const FAILURES: readonly SagaNote['event'][] = ['failed', 'undo-failed', 'parked'];

/** Sagas as rows: one for each instance, and its history apart. */
export class PostgresSagaStore implements SagaStore {
  readonly operations: SagaOperationStore;
  private readonly statements: SagaStatements;

  constructor(private readonly context: PostgresContext) {
    this.statements = new SagaStatements(context);
    this.operations = new PostgresSagaOperations(context, (change) => this.changing(change));
  }

  async start(tx: Transaction, begun: NewSaga): Promise<{ readonly isStarted: boolean; readonly saga: string | undefined }> {
    const { id, saga, version, outline, state, progress, notes, timeoutMs, isTaken, parent } = begun;
    const { service, nodeId, clock, tables } = this.context;
    const sql = sqlOf(tx);
    const { rows } = await sql.run<{ is_started: boolean; saga: string | null }>(
      this.statements.start(
        service,
        id,
        clock.aheadOfDatabaseMs(),
        saga,
        version,
        progress.status,
        folded(progress),
        state,
        timeoutMs ?? null,
        isTaken ? nodeId : null,
        listText(notes),
        sessionName(nodeId),
        outline,
        parent ?? null,
        nextSagaMs(progress) !== undefined,
      ),
    );
    if (rows[0]?.is_started) return { isStarted: true, saga };
    if (rows[0]?.saga) return { isStarted: false, saga: rows[0].saga };
    // It was committed while this one waited for it: the next statement sees it, where the isolation lets it.
    const later = await sql.run<{ saga: string }>({
      text: `select saga from ${tables.saga} where service = $1 and id = $2`,
      values: [service, id],
    });
    return { isStarted: false, saga: later.rows[0]?.saga };
  }

  async claimKey(tx: Transaction, { key, id, waits }: WantedLock): Promise<string | undefined> {
    const { rows } = await sqlOf(tx).run<{ holder: string }>(this.statements.claimKey(this.context.service, key, id, waits));
    return rows[0]?.holder;
  }

  async dropKey(tx: Transaction, { key, id }: Pick<WantedLock, 'key' | 'id'>): Promise<void> {
    await sqlOf(tx).run(this.statements.dropKey(this.context.service, key, id));
  }

  async claim({ versions, inHand, limit }: ClaimTerms): Promise<ClaimedSagas> {
    const { pool, service, nodeId, clock } = this.context;
    const names = versions.map(({ saga }) => saga);
    const numbers = versions.map(({ version }) => version);
    const { rows } = await pool.run<ClaimRow>(
      this.statements.claim(service, clock.aheadOfDatabaseMs(), names, numbers, inHand, nodeId, limit),
    );
    const wait = rows.find(({ id }) => id === null)?.wait_ms;
    const ids = rows.flatMap(({ id }) => (id === null ? [] : [id]));
    return { ids, nextDueMs: wait === null || wait === undefined ? undefined : Math.max(0, Math.ceil(wait)) };
  }

  async release(ids: readonly string[]): Promise<void> {
    const { pool, service, nodeId, tables } = this.context;
    await pool.run({
      text: `update ${tables.saga} set worker = null where service = $1 and id = any($2::text[]) and worker = $3::uuid`,
      values: [service, ids, nodeId],
    });
  }

  async lock(tx: Transaction, id: string, { waits }: { readonly waits: boolean }): Promise<LockedSaga | undefined> {
    const { service, nodeId, clock } = this.context;
    const statement = waits ? this.statements.waitingLock : this.statements.lock;
    let row: TextRow | undefined;
    // Together with BEGIN and the savepoint, in one round trip.
    await sqlOf(tx).runFirst({
      ...statement(service, id, nodeId, clock.aheadOfDatabaseMs(), sessionName(nodeId)),
      answered: (answer) => {
        row = answer;
      },
    });
    const savepoint = await tx.savepoint();
    if (row === undefined) return undefined;
    // COMMIT comes next, and releases it.
    return { saga: storedOf(row), savepoint: { rollback: () => savepoint.rollback(), release: async () => undefined } };
  }

  async change(tx: Transaction, change: SagaChange): Promise<void> {
    await sqlOf(tx).runLast(this.changing(change));
  }

  async tell(tx: Transaction, tellings: readonly SagaTelling[]): Promise<void> {
    const { service, clock } = this.context;
    await sqlOf(tx).run(this.statements.tell(service, clock.aheadOfDatabaseMs(), listText(tellings)));
  }

  async signal(tx: Transaction, { type, key, value }: SignalKey & { readonly value: unknown }): Promise<void> {
    const { service, clock } = this.context;
    await sqlOf(tx).run(this.statements.signal(service, clock.aheadOfDatabaseMs(), type, key, JSON.stringify(value ?? null)));
  }

  private changing({ id, state, progress, notes, afterMs, isTaken, isDeaf = false, reach }: SagaChange): Statement {
    const { service, nodeId, clock } = this.context;
    const change = [
      service,
      id,
      clock.aheadOfDatabaseMs(),
      progress.status,
      folded(progress),
      state ?? null,
      afterMs ?? null,
      isTaken ? nodeId : null,
      isDeaf,
      listText(notes),
    ];
    const { statements } = this;
    const isFailure = notes.some(({ event }) => FAILURES.includes(event));
    if (reach === undefined) return (isFailure ? statements.failure : statements.change)(...change);
    const { seen, tells, awaitsNoMore, awaits, frees } = reach;
    // The usual, a reply: the other parts cost half as much again, also when there is nothing for them.
    if (!isFailure && tells.length + awaitsNoMore.length + awaits.length === 0 && frees === undefined)
      return statements.changeSeen(...change, listText(seen));
    const withReach = isFailure ? statements.failureWithReach : statements.changeWithReach;
    return withReach(...change, ...[seen, tells, awaitsNoMore, awaits].map(listText), frees ?? null);
  }
}
