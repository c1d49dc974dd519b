import { Idempotent, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { PaymentTaken } from '../contract/index.js';
import { Reservation } from './reservation.entity.js';

@Injectable()
export class Stock {
  constructor(@InjectRepository(Reservation) private readonly reservations: Repository<Reservation>) {}

  @OnMessage(PaymentTaken, { name: 'stock.reserve' })
  @Retry(5)
  @Idempotent()
  @Transactional()
  async reserve({ orderId }: PaymentTaken): Promise<void> {
    await this.reservations.insert({ orderId });
  }
}
