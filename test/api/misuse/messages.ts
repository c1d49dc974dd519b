// The messages that the wrong uses are about.
import { Command, Message } from '@holdfast/nest';

@Message('order.placed')
export class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {}
}

@Message('order.shipped')
export class OrderShipped {
  constructor(readonly parcels: string[]) {}
}

@Message('card.charge')
export class ChargeCard extends Command<{ paymentId: string }> {
  constructor(readonly orderId: string) {
    super();
  }
}

@Message('card.refund')
export class RefundCard extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}
