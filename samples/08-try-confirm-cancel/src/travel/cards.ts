import { Retry, TryBranch, TryConfirmCancel } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { CardGateway } from './card-gateway.js';

/** What a trip is paid with. */
export interface Payment {
  readonly card: string;
  readonly amount: number;
}

/** Cards at the provider: authorise, then capture or void. */
@Injectable()
export class Cards {
  constructor(private readonly gateway: CardGateway) {}

  @TryConfirmCancel({ confirm: 'capture', cancel: 'release' })
  async hold(trip: string, { card, amount }: Payment): Promise<{ hold: string }> {
    return { hold: await this.gateway.authorize(trip, card, amount) };
  }

  /** Tried three times; then the branch parks, and a person looks at it. */
  @Retry({ attempts: 3, backoff: { delay: '50ms' } })
  async capture(_trip: string, _payment: Payment, branch: TryBranch<{ hold: string }>): Promise<void> {
    await this.gateway.capture(branch.result.hold, branch.idempotencyKey);
  }

  /** Takes the branch, so it also runs where nobody knows whether the money is held: `branch.result` is undefined then. */
  async release(trip: string, _payment: Payment, branch: TryBranch<{ hold: string } | undefined>): Promise<void> {
    await this.gateway.void(branch.result ?? { trip }, branch.idempotencyKey);
  }
}
