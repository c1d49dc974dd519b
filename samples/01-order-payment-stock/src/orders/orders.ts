import { randomUUID } from 'node:crypto';
import { MessageBus, Transactional } from '@holdfast/nest';
import { Injectable, UnprocessableEntityException } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { OrderPlaced } from '../contract/index.js';
import { Order } from './order.entity.js';

/** Highest amount that is sold on credit. */
const CREDIT_LIMIT = 1000;

@Injectable()
export class Orders {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly bus: MessageBus,
  ) {}

  /** The order and the message about it are one commit: both, or neither. */
  @Transactional()
  async place(customer: string, amount: number): Promise<Order> {
    const order = await this.orders.save(this.orders.create({ id: randomUUID(), customer, amount }));
    await this.bus.publish(new OrderPlaced(order.id, customer, amount), { key: order.id });
    // Last on purpose: a refusal rolls the order back, and the message published above goes with it.
    if (amount > CREDIT_LIMIT) throw new UnprocessableEntityException('over the credit limit');
    return order;
  }
}
