import { Command, Message } from '@holdfast/core';

/** Asks stock to keep a lamp for an order. */
@Message('stock.reserve')
export class ReserveStock extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}
