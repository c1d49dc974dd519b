import { Injectable } from '@nestjs/common';

/** Money on one card. */
interface Hold {
  readonly id: string;
  readonly trip: string;
  readonly amount: number;
  status: 'held' | 'captured' | 'released';
}

/** Stands for the card provider: another company, in another house, with a memory of its own. It knows nothing of transactions. */
@Injectable()
export class CardGateway {
  private readonly holds: Hold[] = [];
  private readonly seen = new Set<string>();
  /** It answers nobody. */
  isClosed = false;

  /** Holds money for a trip; a card without money is refused. */
  async authorize(trip: string, card: string, amount: number): Promise<string> {
    this.assertOpen();
    if (card === 'empty') throw new Error('the card is refused');
    const id = `h-${this.holds.length + 1}`;
    this.holds.push({ id, trip, amount, status: 'held' });
    return id;
  }

  /** Takes what is held; a second call with the same key does nothing. */
  async capture(id: string, idempotencyKey: string): Promise<void> {
    this.end(
      this.holds.filter((hold) => hold.id === id),
      { to: 'captured', idempotencyKey },
    );
  }

  /** Gives back what is held: one hold, or all of a trip that nobody has captured. */
  async void(what: { readonly hold: string } | { readonly trip: string }, idempotencyKey: string): Promise<void> {
    const meant = this.holds.filter((hold) => ('hold' in what ? hold.id === what.hold : hold.trip === what.trip));
    this.end(meant, { to: 'released', idempotencyKey });
  }

  /** Money in one state. */
  sum(status: Hold['status']): number {
    return this.holds.filter((hold) => hold.status === status).reduce((sum, { amount }) => sum + amount, 0);
  }

  private end(holds: readonly Hold[], { to, idempotencyKey }: { readonly to: Hold['status']; readonly idempotencyKey: string }): void {
    this.assertOpen();
    if (this.seen.has(idempotencyKey)) return;
    this.seen.add(idempotencyKey);
    for (const hold of holds) if (hold.status === 'held') hold.status = to;
  }

  private assertOpen(): void {
    if (this.isClosed) throw new Error('the card provider is closed');
  }
}
