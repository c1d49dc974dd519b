import { HoldfastModule } from '@holdfast/nest';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { transport } from '../transport.js';
import { Order } from './order.entity.js';
import { OrdersController } from './orders.controller.js';
import { Orders } from './orders.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, schema: 'orders', entities: [Order], synchronize: true }),
    TypeOrmModule.forFeature([Order]),
    HoldfastModule.forRoot({ service: 'orders', transport: transport(), store: typeorm() }),
  ],
  controllers: [OrdersController],
  providers: [Orders],
})
export class OrdersModule {}
