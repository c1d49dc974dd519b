import { Message } from '@holdfast/nest';

/** Something was sold. */
@Message('till.sold')
export class Sold {
  constructor(
    readonly saleId: number,
    readonly amount: number,
  ) {}
}
