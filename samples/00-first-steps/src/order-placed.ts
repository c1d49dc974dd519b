import { Message } from '@holdfast/nest';

@Message('order.placed')
export class OrderPlaced {
  constructor(
    readonly orderId: number,
    readonly customer: string,
  ) {}
}
