import { Injectable } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Outbox } from '../outbox/outbox.js';
import { Order } from './order.entity.js';

/** Knows the outbox, and nothing of Holdfast. */
@Injectable()
export class Orders {
  constructor(
    private readonly dataSource: DataSource,
    private readonly outbox: Outbox,
  ) {}

  async place(id: string, amount: number): Promise<void> {
    await this.dataSource.transaction(async (manager) => {
      await manager.insert(Order, { id, amount });
      await this.outbox.add(manager, { topic: 'order.placed', key: id, id: `placed-${id}`, payload: { orderId: id, amount } });
    });
  }
}
