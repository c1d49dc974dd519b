import { MessageBus, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { Sold } from '../sold.js';
import { Sale } from './sale.entity.js';

/** What one customer may spend. */
const LIMIT = 1000;

@Injectable()
export class Till {
  constructor(
    @InjectRepository(Sale) private readonly sales: Repository<Sale>,
    private readonly bus: MessageBus,
  ) {}

  /** The message is registered before the commit; the commit decides whether anybody ever sees it. */
  @Transactional({ protocol: 'half-message' })
  async sell(id: number, amount: number): Promise<void> {
    await this.sales.insert({ id, amount });
    await this.bus.publish(new Sold(id, amount));
    if (amount > LIMIT) throw new Error('over the limit');
  }
}
