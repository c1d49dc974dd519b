import { Message } from '@holdfast/nest';

/** What the customer pays with. */
export type Card = 'good' | 'declined';

@Message('order.placed')
export class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly amount: number,
    readonly currency: string,
    readonly card: Card,
  ) {}
}
