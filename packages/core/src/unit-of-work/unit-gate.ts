import { hfError } from '../errors/catalogue.js';

/**
 * Lets units of work begin only while the ORM takes part in them: a unit without it would commit nothing together and tell nobody.
 *
 * It is *new*, then *open*, then *closed*; `closed` resolves when the units that were open have ended.
 */
export class UnitGate {
  private phase: 'new' | 'open' | 'closed' = 'new';
  private inside = 0;
  private emptied: (() => void) | undefined;

  /** Units that have begun and not ended. */
  get count(): number {
    return this.inside;
  }

  open(): void {
    this.phase = 'open';
  }

  /** Lets no unit in any more; resolves when none is left. */
  close(): Promise<void> {
    this.phase = 'closed';
    if (this.inside === 0) return Promise.resolve();
    return new Promise((resolve) => {
      this.emptied = resolve;
    });
  }

  /** A unit begins. @throws HF_NOT_STARTED, HF_STOPPING */
  enter(): void {
    if (this.phase === 'new') throw hfError('HF_NOT_STARTED', { call: 'A unit of work' });
    if (this.phase === 'closed') throw hfError('HF_STOPPING', { activity: 'a unit of work' });
    this.inside += 1;
  }

  leave(): void {
    this.inside -= 1;
    if (this.inside === 0) this.emptied?.();
  }
}
