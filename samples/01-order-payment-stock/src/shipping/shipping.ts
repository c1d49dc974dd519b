import { Idempotent, OnMessage, Retry, Sagas, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { OrderPlaced } from '../contract/index.js';
import { FulfilOrderSaga } from './fulfil-order.saga.js';

@Injectable()
export class Shipping {
  constructor(private readonly sagas: Sagas) {}

  /** The saga and the memory of the message are one commit: each order has one saga. */
  @OnMessage(OrderPlaced, { name: 'shipping.begin' })
  @Retry(5)
  @Idempotent()
  @Transactional()
  async begin({ orderId, customer, amount }: OrderPlaced): Promise<void> {
    await this.sagas.start(FulfilOrderSaga, { orderId, customer, amount }, { id: orderId });
  }
}
