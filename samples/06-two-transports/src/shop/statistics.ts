import { Idempotent, OnMessage, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { OrderPlaced } from './messages.js';
import { Sale } from './sale.entity.js';

@Injectable()
export class Statistics {
  constructor(@InjectRepository(Sale) private readonly sales: Repository<Sale>) {}

  @OnMessage(OrderPlaced, { name: 'statistics.count' })
  @Idempotent()
  @Transactional()
  async count({ orderId }: OrderPlaced): Promise<void> {
    await this.sales.insert({ orderId });
  }
}
