import { Delivery, Idempotent, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryGeneratedColumn, Repository } from 'typeorm';
import { OrderPlaced } from './order-placed.js';

@Entity()
export class Letter {
  @PrimaryGeneratedColumn() id!: number;
  @Column() to!: string;
  @Column() text!: string;
}

@Injectable()
export class Mail {
  constructor(@InjectRepository(Letter) private readonly letters: Repository<Letter>) {}

  @OnMessage(OrderPlaced, { name: 'mail.confirm' })
  @Retry({ attempts: 5, backoff: { delay: '100ms' } })
  @Idempotent()
  @Transactional()
  async confirm(order: OrderPlaced, delivery: Delivery): Promise<void> {
    console.log(`mail: order ${order.orderId}, attempt ${delivery.attempt}`);
    await this.letters.insert({ to: order.customer, text: `Your order ${order.orderId} is on its way.` });
    if (order.customer === 'Grace' && delivery.attempt < 3) throw new Error('the printer is out of paper');
  }
}
