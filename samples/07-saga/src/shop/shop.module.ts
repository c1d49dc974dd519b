import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { BadDays } from './bad-days.js';
import { Checkout } from './checkout.js';
import { Account, Order, Shelf } from './entities.js';
import { PlaceOrderSaga } from './place-order.saga.js';
import { ReturnOrderSaga } from './return-order.saga.js';

const ENTITIES = [Order, Shelf, Account];

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities: ENTITIES, synchronize: true }),
    }),
    TypeOrmModule.forFeature(ENTITIES),
    HoldfastModule.forRoot({ service: 'shop', transport: database(), store: typeorm() }),
  ],
  providers: [PlaceOrderSaga, ReturnOrderSaga, Checkout, BadDays],
})
export class ShopModule {}
