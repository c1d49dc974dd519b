import { Message } from '@holdfast/nest';

/** A parcel is back in the shop. */
@Message('parcel.returned')
export class ParcelReturned {
  constructor(readonly orderId: string) {}
}
