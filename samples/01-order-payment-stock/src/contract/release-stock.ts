import { Command, Message } from '@holdfast/core';

/** Undoes ReserveStock: the lamp is for sale again. */
@Message('stock.release')
export class ReleaseStock extends Command {
  constructor(readonly orderId: string) {
    super();
  }
}
