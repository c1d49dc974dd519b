import { fromNestOutbox, HoldfastModule } from '@holdfast/nest';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { broker } from '../broker.js';
import { BillingController } from './billing.controller.js';
import { Charge } from './charge.entity.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.BILLING_DATABASE_URL, entities: [Charge], synchronize: true }),
    }),
    TypeOrmModule.forFeature([Charge]),
    HoldfastModule.forRoot({
      service: 'billing',
      // The old queue, until orders has changed its two lines and the queue is empty.
      transport: rabbitmq({
        url: broker.url,
        exchange: broker.exchange,
        foreign: [{ subscription: 'billing.charge', queue: broker.queue }],
      }),
      readForeign: fromNestOutbox({ source: 'orders' }),
      store: typeorm(),
    }),
  ],
  controllers: [BillingController],
})
export class BillingModule {}
