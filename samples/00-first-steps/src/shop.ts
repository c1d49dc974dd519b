import { MessageBus, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Column, Entity, PrimaryGeneratedColumn, Repository } from 'typeorm';
import { OrderPlaced } from './order-placed.js';

@Entity()
export class Order {
  @PrimaryGeneratedColumn() id!: number;
  @Column() customer!: string;
  @Column('int') pieces!: number;
}

@Injectable()
export class Shop {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly bus: MessageBus,
  ) {}

  @Transactional()
  async place(customer: string, pieces: number): Promise<Order> {
    const order = await this.orders.save({ customer, pieces });
    await this.bus.publish(new OrderPlaced(order.id, customer), { key: String(order.id) });
    if (pieces < 1) throw new Error('an order of nothing');
    return order;
  }
}
