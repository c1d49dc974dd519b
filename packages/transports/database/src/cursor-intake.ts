import type { CursorKey, CursorStore, Intake, Lease, Taken, Transaction } from '@holdfast/core';

/** One lane of the log as a subscription reads it. */
export class CursorIntake implements Intake {
  constructor(
    private readonly cursors: CursorStore,
    private readonly cursor: CursorKey,
  ) {}

  take(tx: Transaction, limit: number): Promise<Taken> {
    return this.cursors.take(tx, this.cursor, limit);
  }

  lease(limit: number, ttlMs: number): Promise<Lease | undefined> {
    return this.cursors.lease(this.cursor, limit, ttlMs);
  }

  async settle(): Promise<void> {
    // The cursor's transaction has settled it.
  }
}
