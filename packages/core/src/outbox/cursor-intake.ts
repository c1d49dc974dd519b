import type { Incoming, Intake, Lease, RetakeTerms, Taken } from '../delivery/intake.port.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { CursorKey, CursorStore } from './log.store.port.js';

/** One lane of the log as a subscription reads it. */
export class CursorIntake implements Intake {
  constructor(
    private readonly cursors: CursorStore,
    private readonly cursor: CursorKey,
  ) {}

  take(tx: Transaction, limit: number): Promise<Taken> {
    return this.cursors.take(tx, this.cursor, limit);
  }

  /** The cursor is taken again: still before the message, or moved past it by somebody, or by a commit we were told had failed. */
  async retake(tx: Transaction, message: Incoming, { waits = false }: RetakeTerms = {}): Promise<boolean> {
    if (waits) await this.cursors.lock(tx, this.cursor);
    const { messages } = await this.take(tx, 1);
    return messages[0]?.place === message.place;
  }

  lease(limit: number, ttlMs: number): Promise<Lease | undefined> {
    return this.cursors.lease(this.cursor, limit, ttlMs);
  }

  async settle(): Promise<void> {
    // The cursor's transaction has settled it.
  }
}
