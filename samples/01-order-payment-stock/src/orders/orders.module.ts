import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Order } from './order.entity.js';
import { OrdersController } from './orders.controller.js';
import { Orders } from './orders.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, schema: 'orders', entities: [Order], synchronize: true }),
    TypeOrmModule.forFeature([Order]),
    HoldfastModule.forRoot({ service: 'orders', transport: database(), store: typeorm() }),
  ],
  controllers: [OrdersController],
  providers: [Orders],
})
export class OrdersModule {}
