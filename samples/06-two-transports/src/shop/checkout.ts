import { MessageBus, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { ChargeCard, OrderPlaced } from './messages.js';
import { Order } from './order.entity.js';

@Injectable()
export class Checkout {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly bus: MessageBus,
  ) {}

  /** The order, the command and the event are one commit, whichever broker is away. */
  @Transactional()
  async place(id: string, amount: number): Promise<void> {
    await this.orders.insert({ id, amount });
    await this.bus.send(new ChargeCard(id, amount), { key: id });
    await this.bus.publish(new OrderPlaced(id, amount), { key: id });
  }
}
