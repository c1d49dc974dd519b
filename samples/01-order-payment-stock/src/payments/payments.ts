import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Idempotent, MessageBus, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import type { Repository } from 'typeorm';
import { OrderPlaced, PaymentTaken } from '../contract/index.js';
import { Payment } from './payment.entity.js';

/** What a payment takes, in milliseconds: long enough for a kill to hit some of them half done. */
const PAYMENT_MS = 20;

@Injectable()
export class Payments {
  constructor(
    @InjectRepository(Payment) private readonly payments: Repository<Payment>,
    private readonly bus: MessageBus,
  ) {}

  /** The payment, the memory of the message and PaymentTaken are one commit. A kill in here leaves nothing behind. */
  @OnMessage(OrderPlaced, { name: 'payments.take' })
  @Retry({ attempts: 5, backoff: { delay: '200ms' } })
  @Idempotent()
  @Transactional()
  async take({ orderId, amount }: OrderPlaced): Promise<void> {
    const payment = await this.payments.save(this.payments.create({ id: randomUUID(), orderId, amount }));
    await sleep(PAYMENT_MS);
    await this.bus.publish(new PaymentTaken(orderId, payment.id), { key: orderId });
  }
}
