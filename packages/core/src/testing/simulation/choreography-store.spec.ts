import type { Abort, ChoreographyStore, NewPart, PartOutcome } from '../../choreography/choreography.store.port.js';
import { hfError } from '../../errors/catalogue.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import type { SimulatedTransaction } from './database.spec.js';

/** Stored deliveries of undos. */
export const UNDOS = 'undo';
const SAGAS = 'choreography';
const PARTS = 'part';
/** Longest wait for another transaction with the same saga. */
const WAIT_MS = 2000;

/** A part that is to be undone now. */
export interface UndoRow {
  readonly part: NewPart;
  /** Attempts made. */
  readonly attempts: number;
  readonly dueMs: number;
  /** Given up, until a person has looked. */
  readonly isDead: boolean;
}

interface ChoreographyRow {
  readonly parts: number;
  readonly isAborted: boolean;
}

/** What a service did for choreographed sagas, as rows: what each method means is what the statements for PostgreSQL mean. */
export class SimulatedChoreographyStore implements ChoreographyStore {
  record(tx: Transaction, part: NewPart): Promise<PartOutcome> {
    const sql = tx as SimulatedTransaction;
    return inTurn(sql, part.sagaId, (row = { parts: 0, isAborted: false }) => {
      if (row.isAborted) return 'aborted';
      const number = row.parts + 1;
      sql.put(SAGAS, part.sagaId, { ...row, parts: number } satisfies ChoreographyRow);
      if (partsOf(sql, part.sagaId).some(([, { message }]) => message.id === part.message.id)) return 'repeated';
      sql.put(PARTS, `${part.sagaId} ${String(number).padStart(3, '0')}`, part);
      return 'recorded';
    });
  }

  abort(tx: Transaction, { id }: { readonly id: string }): Promise<Abort> {
    const sql = tx as SimulatedTransaction;
    return inTurn(sql, id, (row = { parts: 0, isAborted: false }) => {
      if (row.isAborted) return { isNew: false, parts: 0 };
      sql.put(SAGAS, id, { ...row, isAborted: true } satisfies ChoreographyRow);
      const parts = partsOf(sql, id).length;
      nextPart(sql, id);
      return { isNew: true, parts };
    });
  }

  undone(tx: Transaction, sagaId: string): Promise<boolean> {
    const sql = tx as SimulatedTransaction;
    return inTurn(sql, sagaId, () => nextPart(sql, sagaId));
  }

  /** Nothing here lives long enough. */
  async trim(): Promise<number> {
    return 0;
  }
}

/** One statement, with the saga locked to the end of the transaction. */
function inTurn<T>(sql: SimulatedTransaction, id: string, work: (row: ChoreographyRow | undefined) => T): Promise<T> {
  return sql.statement(async () => {
    await sql.lock(SAGAS, id, { waitMs: WAIT_MS }).catch((error: { readonly code?: string }) => {
      throw error.code === '55P03' ? hfError('HF_SAGA_BUSY', { id, waitMs: WAIT_MS }, { cause: error }) : error;
    });
    return work(sql.get<ChoreographyRow>(SAGAS, id));
  });
}

function partsOf(sql: SimulatedTransaction, id: string): [string, NewPart][] {
  return sql.all<NewPart>(PARTS).filter(([, { sagaId }]) => sagaId === id);
}

function nextPart(sql: SimulatedTransaction, id: string): boolean {
  const [last] = partsOf(sql, id).sort(([one], [other]) => (one < other ? 1 : -1));
  if (last === undefined) return false;
  const [place, part] = last;
  sql.put(PARTS, place, undefined);
  sql.add(UNDOS, { part, attempts: 0, dueMs: sql.db.nowMs, isDead: false } satisfies UndoRow);
  return true;
}
