import { NonRetryableError } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import type { OrderPlaced } from './order-placed.js';

/** Nobody answers: later somebody may. */
export class GatewayDown extends Error {
  override readonly name = 'GatewayDown';
}

/** The gateway does not take this currency, today or tomorrow. */
export class UnknownCurrency extends Error {
  override readonly name = 'UnknownCurrency';
}

/** Stands for a foreign API, so its own memory is no part of our database. */
@Injectable()
export class CardGateway {
  /** Whether it answers. */
  isUp = true;
  /** Calls that reached it or tried to. */
  calls = 0;
  /** What it has charged, by the key that came with the call. */
  private readonly charges = new Map<string, string>();

  get charged(): number {
    return this.charges.size;
  }

  async charge({ currency, card }: OrderPlaced, idempotencyKey: string): Promise<string> {
    this.calls += 1;
    if (!this.isUp) throw new GatewayDown('the card gateway does not answer');
    if (currency !== 'EUR') throw new UnknownCurrency(`the card gateway takes no ${currency}`);
    if (card === 'declined') throw new NonRetryableError('card declined');
    // As a real one does: the same key is the same charge.
    const known = this.charges.get(idempotencyKey);
    const id = known ?? `ch-${this.charges.size + 1}`;
    this.charges.set(idempotencyKey, id);
    return id;
  }
}
