// docs/how-to/ask-and-answer.md
import { Command, Idempotent, isHoldfastError, Message, MessageBus, NonRetryableError, OnMessage, Transactional } from '@holdfast/nest';
import { Injectable, NotFoundException } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryGeneratedColumn, Repository } from 'typeorm';

@Message('card.charge')
export class ChargeCard extends Command<{ paymentId: number } | { declined: string }> {
  constructor(
    readonly orderId: string,
    readonly amount: number,
  ) {
    super();
  }
}

@Entity()
export class Payment {
  @PrimaryGeneratedColumn() id!: number;
  @Column() orderId!: string;
  @Column('int') amount!: number;
}

@Injectable()
export class Cards {
  constructor(@InjectRepository(Payment) private readonly payments: Repository<Payment>) {}

  @OnMessage(ChargeCard)
  @Idempotent()
  @Transactional()
  async charge({ orderId, amount }: ChargeCard): Promise<{ paymentId: number } | { declined: string }> {
    if (orderId === '') throw new NonRetryableError('there is no such order', { details: { orderId } });
    if (amount > 10_000) return { declined: 'limit' };
    const { id } = await this.payments.save({ orderId, amount });
    return { paymentId: id };
  }
}

@Injectable()
export class Checkout {
  constructor(private readonly bus: MessageBus) {}

  async pay(orderId: string, amount: number): Promise<string> {
    try {
      const reply = await this.bus.request(new ChargeCard(orderId, amount), { timeout: '5s' });
      return 'declined' in reply ? `declined: ${reply.declined}` : `paid: ${reply.paymentId}`;
    } catch (error) {
      if (isHoldfastError(error, 'HF_REQUEST_REJECTED')) throw new NotFoundException(error.details.reason);
      throw error;
    }
  }

  /** The order is paid once, so its id says which request this is, also when it is asked again. */
  async payForSure(orderId: string, amount: number): Promise<number> {
    for (let attempt = 1; ; attempt += 1) {
      try {
        const reply = await this.bus.request(new ChargeCard(orderId, amount), { id: `charge ${orderId}`, timeout: '5s' });
        return 'paymentId' in reply ? reply.paymentId : 0;
      } catch (error) {
        if (!isHoldfastError(error, 'HF_REQUEST_TIMEOUT') || attempt === 3) throw error;
      }
    }
  }
}
