// docs/how-to/recognise-repeats.md
import { Idempotent, Message, MessageBus, OnMessage, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryGeneratedColumn, Repository } from 'typeorm';

@Message('refund.requested')
export class RefundRequested {
  constructor(
    readonly orderId: string,
    readonly amount: number,
  ) {}
}

@Entity()
export class Refund {
  @PrimaryGeneratedColumn() id!: number;
  @Column() orderId!: string;
  @Column('int') amount!: number;
}

@Injectable()
export class ServiceDesk {
  constructor(private readonly bus: MessageBus) {}

  /** The client makes the request's id and sends it again with the request, so both are one message. */
  async request(requestId: string, refund: RefundRequested): Promise<void> {
    await this.bus.publish(refund, { id: requestId });
  }
}

@Injectable()
export class Refunds {
  constructor(@InjectRepository(Refund) private readonly refunds: Repository<Refund>) {}

  /** One refund for an order, however many messages ask for it. */
  @OnMessage(RefundRequested, { name: 'refunds.pay' })
  @Idempotent({ key: ({ orderId }: RefundRequested) => orderId, ttl: '90d' })
  @Transactional()
  async pay({ orderId, amount }: RefundRequested): Promise<void> {
    await this.refunds.insert({ orderId, amount });
  }

  /** Every message counts, once. */
  @OnMessage(RefundRequested, { name: 'refunds.count' })
  @Idempotent()
  @Transactional()
  async count({ orderId }: RefundRequested): Promise<void> {
    await this.refunds.insert({ orderId, amount: 0 });
  }
}
