import { Body, Controller, Post } from '@nestjs/common';
import type { Order } from './order.entity.js';
import { Orders } from './orders.js';

@Controller('orders')
export class OrdersController {
  constructor(private readonly orders: Orders) {}

  @Post()
  place(@Body('customer') customer: string, @Body('amount') amount: number): Promise<Order> {
    return this.orders.place(customer, amount);
  }
}
