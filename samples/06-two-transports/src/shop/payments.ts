import { Idempotent, OnMessage, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { ChargeCard } from './messages.js';
import { Payment } from './payment.entity.js';

@Injectable()
export class Payments {
  constructor(@InjectRepository(Payment) private readonly payments: Repository<Payment>) {}

  @OnMessage(ChargeCard, { name: 'payments.charge' })
  @Idempotent()
  @Transactional()
  async charge({ orderId, amount }: ChargeCard): Promise<void> {
    await this.payments.insert({ orderId, amount });
  }
}
