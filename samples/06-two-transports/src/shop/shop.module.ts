import { HoldfastModule, type HoldfastOptions } from '@holdfast/nest';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Checkout } from './checkout.js';
import { Order } from './order.entity.js';
import { Payment } from './payment.entity.js';
import { Payments } from './payments.js';
import { Sale } from './sale.entity.js';
import { Statistics } from './statistics.js';

const ENTITIES = [Order, Payment, Sale];

/** Where the brokers of this run are. */
function options(
  { RABBITMQ_URL: url = '', RABBITMQ_EXCHANGE: exchange, KAFKA_BROKERS = '', KAFKA_PREFIX: prefix } = process.env,
): HoldfastOptions {
  return {
    service: 'shop',
    transports: {
      default: rabbitmq({ url, exchange }),
      events: kafka({ brokers: KAFKA_BROKERS.split(','), prefix, confirmTimeout: '5s' }),
    },
    store: typeorm(),
  };
}

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities: ENTITIES, synchronize: true }),
    }),
    TypeOrmModule.forFeature(ENTITIES),
    HoldfastModule.forRootAsync({ useFactory: () => options() }),
  ],
  providers: [Checkout, Payments, Statistics],
})
export class ShopModule {}
