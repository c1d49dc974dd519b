import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { Idempotent, NonRetryableError, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { MoreThanOrEqual, Repository } from 'typeorm';
import { ChargeCard } from '../contract/index.js';
import { Account } from './account.entity.js';
import { Payment } from './payment.entity.js';

/** What a payment takes, in milliseconds: long enough for a kill to hit some of them half done. */
const PAYMENT_MS = 20;

@Injectable()
export class Payments {
  constructor(
    @InjectRepository(Payment) private readonly payments: Repository<Payment>,
    @InjectRepository(Account) private readonly accounts: Repository<Account>,
  ) {}

  /** The payment, the money, the memory of the message and the reply are one commit. A kill or a refusal in here leaves nothing behind. */
  @OnMessage(ChargeCard, { name: 'payments.charge' })
  @Retry({ attempts: 5, backoff: { delay: '200ms' } })
  @Idempotent()
  @Transactional()
  async charge({ orderId, customer, amount }: ChargeCard): Promise<{ paymentId: string }> {
    const payment = await this.payments.save(this.payments.create({ id: randomUUID(), orderId, amount }));
    await sleep(PAYMENT_MS);
    const { affected } = await this.accounts.decrement({ customer, balance: MoreThanOrEqual(amount) }, 'balance', amount);
    if (affected === 0) throw new NonRetryableError('not enough money');
    return { paymentId: payment.id };
  }
}
