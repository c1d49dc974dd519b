import { HoldfastModule, Idempotent, Message, MessageBus, OnMessage, Retry, Transactional } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Injectable, Module } from '@nestjs/common';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { Column, Entity, PrimaryGeneratedColumn, Repository } from 'typeorm';

@Entity()
export class Order {
  @PrimaryGeneratedColumn('uuid') id!: string;
  @Column('int') total!: number;
}

@Message('order.placed')
export class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {}
}

@Injectable()
export class Orders {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly bus: MessageBus,
  ) {}

  @Transactional() // the row and the message: one commit
  async place(total: number): Promise<Order> {
    const order = await this.orders.save({ total });
    await this.bus.publish(new OrderPlaced(order.id, total), { key: order.id });
    return order;
  }
}

@Injectable()
export class Billing {
  @OnMessage(OrderPlaced, { name: 'billing.charge' }) // one durable subscription per handler
  @Retry(5) // then: dead letter
  @Idempotent() // by source and message id
  @Transactional()
  async charge({ orderId, total }: OrderPlaced): Promise<void> {
    console.log(`order ${orderId} costs ${total}`);
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, autoLoadEntities: true }),
    TypeOrmModule.forFeature([Order]),
    HoldfastModule.forRoot({ service: 'shop', transport: database(), store: typeorm() }), // once, and global
  ],
  providers: [Orders, Billing],
})
export class AppModule {}
