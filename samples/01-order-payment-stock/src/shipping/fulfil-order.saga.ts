import { Compensate, NonRetryableError, Saga, SagaContext, Step } from '@holdfast/nest';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { ChargeCard, ReleaseStock, ReserveStock } from '../contract/index.js';
import { ADDRESSES } from './addresses.js';
import { Parcel } from './parcel.entity.js';

/** What is known at the start, and what a step finds out. */
export interface FulfilOrderState {
  orderId: string;
  customer: string;
  amount: number;
  payment?: { paymentId: string };
}

/** From the order to the parcel. It ends completed, undone, or parked in front of a person: never half done and silent. */
@Saga('fulfil-order', { version: 1 })
export class FulfilOrderSaga {
  constructor(@InjectRepository(Parcel) private readonly parcels: Repository<Parcel>) {}

  /** Stock is asked, and the step is done when the reply has come. */
  @Step()
  @Compensate('release')
  async reserve(saga: SagaContext<FulfilOrderState>) {
    return saga.request(new ReserveStock(saga.state.orderId));
  }

  async release(saga: SagaContext<FulfilOrderState>) {
    return saga.request(new ReleaseStock(saga.state.orderId));
  }

  /** When payments refuses, what was reserved is released. Once the money is taken there is no way back: that is what a pivot is. */
  @Step({ after: 'reserve', pivot: true })
  async charge(saga: SagaContext<FulfilOrderState>) {
    const { orderId, customer, amount } = saga.state;
    return saga.request(new ChargeCard(orderId, customer, amount), { into: 'payment' });
  }

  /** Runs here: the parcel and the end of the saga are one commit. Without an address it parks, and a person asks the customer. */
  @Step({ after: 'charge' })
  async ship(saga: SagaContext<FulfilOrderState>): Promise<void> {
    const { orderId, customer, payment } = saga.state;
    const address = ADDRESSES[customer];
    if (address === undefined) throw new NonRetryableError(`nobody knows where ${customer} lives`);
    await this.parcels.insert({ orderId, paymentId: payment?.paymentId, address });
  }
}
