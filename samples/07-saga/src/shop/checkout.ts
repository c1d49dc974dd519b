import { Sagas, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { InjectRepository } from '@nestjs/typeorm';
import { Repository } from 'typeorm';
import { Order } from './entities.js';
import { PlaceOrderSaga } from './place-order.saga.js';

/** Takes orders. */
@Injectable()
export class Checkout {
  constructor(
    @InjectRepository(Order) private readonly orders: Repository<Order>,
    private readonly sagas: Sagas,
  ) {}

  /** The order and its saga are there together, or neither; a second click starts no second one. */
  @Transactional()
  async place(orderId: string, customer: string, total: number): Promise<string> {
    await this.orders.createQueryBuilder().insert().values({ id: orderId, customer, total, status: 'new' }).orIgnore().execute();
    const { id } = await this.sagas.start(PlaceOrderSaga, { orderId, customer, total }, { id: orderId });
    return id;
  }
}
