import { Delivery, Idempotent, MessageBus, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { CardGateway, UnknownCurrency } from './card-gateway.js';
import { Charge } from './charge.entity.js';
import { OrderPlaced } from './order-placed.js';

@Injectable()
export class Billing {
  constructor(
    @InjectRepository(Charge) private readonly charges: Repository<Charge>,
    private readonly gateway: CardGateway,
    private readonly bus: MessageBus,
  ) {}

  /** All of them leave with one commit. */
  @Transactional()
  async place(orders: readonly OrderPlaced[]): Promise<void> {
    for (const order of orders) await this.bus.publish(order, { key: order.orderId });
  }

  /** Four attempts: at once, then after about 100, 200 and 400 ms. What then still fails waits as a dead letter for a person. */
  @OnMessage(OrderPlaced, { name: 'billing.charge' })
  @Retry({
    attempts: 4,
    backoff: { delay: '100ms', factor: 2, maxDelay: '5s', jitter: 'equal' },
    retryIf: (error) => !(error instanceof UnknownCurrency),
  })
  @Idempotent()
  @Transactional()
  async charge(order: OrderPlaced, delivery: Delivery): Promise<void> {
    const id = await this.gateway.charge(order, delivery.idempotencyKey);
    await this.charges.insert({ id, orderId: order.orderId, amount: order.amount });
  }
}
