import { Message } from '@holdfast/core';

/** An order is paid. Told by payments. */
@Message('payment.taken')
export class PaymentTaken {
  constructor(
    readonly orderId: string,
    readonly paymentId: string,
  ) {}
}
