import { Message } from '@holdfast/core';

/** A customer has placed an order. Told by orders. */
@Message('order.placed')
export class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly customer: string,
    readonly amount: number,
  ) {}
}
