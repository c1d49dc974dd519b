import { Global, Module, type OnApplicationShutdown } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { OutboxRow } from '../outbox/outbox-row.entity.js';
import { Order } from './order.entity.js';

const connect = () =>
  new DataSource({ type: 'postgres', url: process.env.ORDERS_DATABASE_URL, entities: [Order, OutboxRow], synchronize: true }).initialize();

/** The service's own database. */
@Global()
@Module({ providers: [{ provide: DataSource, useFactory: connect }], exports: [DataSource] })
export class OrdersDatabaseModule implements OnApplicationShutdown {
  constructor(private readonly dataSource: DataSource) {}

  onApplicationShutdown(): Promise<void> {
    return this.dataSource.destroy();
  }
}
