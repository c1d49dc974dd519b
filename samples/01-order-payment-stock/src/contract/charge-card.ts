import { Command, Message } from '@holdfast/core';

/** Asks payments for the money of an order; the reply names the payment. */
@Message('card.charge')
export class ChargeCard extends Command<{ paymentId: string }> {
  constructor(
    readonly orderId: string,
    readonly customer: string,
    readonly amount: number,
  ) {
    super();
  }
}
