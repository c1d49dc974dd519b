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
import { claimed } from '../claimed.js';
import type { PostgresContext } from '../context.js';
import { sessionName } from '../node-store.js';
import type { Statement } from '../sql/sql.js';
import { sqlOf, type TextRow } from '../sql/transaction-sql.js';
import { PostgresSagaOperations } from './saga-operations.js';
import { folded, listText, storedOf, tellingsText } from './saga-rows.js';
import { SagaStatements } from './saga-statements.js';

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
    const { rowCount } = await sql.run(
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
    if (rowCount > 0) return { isStarted: true, saga };
    // It may have been committed while this one waited for it: a statement of its own sees it, where the isolation lets it.
    const there = await sql.run<{ saga: string }>({
      text: `select saga from ${tables.saga} where service = $1 and id = $2`,
      values: [service, id],
    });
    return { isStarted: false, saga: there.rows[0]?.saga };
  }

  async claimKey(tx: Transaction, { key, id }: WantedLock): Promise<string | undefined> {
    const { rows } = await sqlOf(tx).run<{ holder: string }>(this.statements.claimKey(this.context.service, key, id));
    return rows[0]?.holder;
  }

  async queueForKey(tx: Transaction, { key, id }: WantedLock): Promise<boolean> {
    const { rows } = await sqlOf(tx).run<{ holder: string }>(this.statements.queueForKey(this.context.service, key, id));
    return rows[0]?.holder === id;
  }

  async dropKey(tx: Transaction, { key, id }: WantedLock): Promise<void> {
    await sqlOf(tx).run(this.statements.dropKey(this.context.service, key, id));
  }

  claim({ versions, inHand, limit }: ClaimTerms): Promise<ClaimedSagas> {
    const { pool, service, nodeId, clock } = this.context;
    const names = versions.map(({ saga }) => saga);
    const numbers = versions.map(({ version }) => version);
    return claimed(pool, this.statements.claim(service, clock.aheadOfDatabaseMs(), names, numbers, inHand, nodeId, limit));
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
    const { lock, waitingLock, arrived } = this.statements;
    const sql = sqlOf(tx);
    let row: TextRow | undefined;
    const arrivals: TextRow[] = [];
    // Together with BEGIN and the savepoint, in one round trip.
    await sql.runFirst({
      ...(waits ? waitingLock : lock)(service, id, nodeId, clock.aheadOfDatabaseMs(), sessionName(nodeId)),
      answered: (answer) => {
        row = answer;
      },
    });
    await sql.runFirst({ ...arrived(service, id), answered: (answer) => arrivals.push(answer) });
    const savepoint = await sql.savepoint({ isLast: true });
    return row && { saga: storedOf(row, arrivals), savepoint };
  }

  async change(tx: Transaction, change: SagaChange): Promise<void> {
    for (const statement of this.changing(change)) await sqlOf(tx).runLast(statement);
  }

  async tell(tx: Transaction, tellings: readonly SagaTelling[]): Promise<void> {
    const { service, clock } = this.context;
    await sqlOf(tx).run(this.statements.tell(service, clock.aheadOfDatabaseMs(), tellingsText(tellings)));
  }

  async signal(tx: Transaction, { type, key, value }: SignalKey & { readonly value: unknown }): Promise<void> {
    const { service, clock } = this.context;
    await sqlOf(tx).run(this.statements.signal(service, clock.aheadOfDatabaseMs(), type, key, JSON.stringify(value ?? null)));
  }

  private changing({ id, state, progress, notes, afterMs, isTaken, isDeaf = false, reach }: SagaChange): readonly Statement[] {
    const { service, nodeId, clock } = this.context;
    const { change, shorten, seen, reach: reaching } = this.statements;
    const ahead = clock.aheadOfDatabaseMs();
    const worker = isTaken ? nodeId : null;
    const changing = [
      change(service, id, ahead, progress.status, folded(progress), state ?? null, afterMs ?? null, worker, isDeaf),
      ...this.noting(id, ahead, notes),
    ];
    if (notes.some(({ event }) => FAILURES.includes(event))) changing.push(shorten(service, id));
    if (reach === undefined) return changing;
    const { tells, awaitsNoMore, awaits, frees } = reach;
    if (reach.seen.length > 0) changing.push(seen(service, id, listText(reach.seen)));
    if (tells.length + awaitsNoMore.length + awaits.length > 0 || frees !== undefined)
      changing.push(reaching(service, id, ahead, tellingsText(tells), listText(awaitsNoMore), listText(awaits), frees ?? null));
    return changing;
  }

  private noting(id: string, ahead: number, notes: readonly SagaNote[]): readonly Statement[] {
    const { service } = this.context;
    const [first] = notes;
    if (first === undefined) return [];
    if (notes.length > 1) return [this.statements.notes(service, id, ahead, listText(notes))];
    return [this.statements.note(service, id, ahead, first.step ?? null, first.event, first.detail ?? null)];
  }
}
