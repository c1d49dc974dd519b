import 'reflect-metadata';
import {
  Compensate,
  HoldfastModule,
  NonRetryableError,
  Retry,
  Saga,
  type SagaContext,
  Sagas,
  Step,
  subscribe,
  UnitOfWork,
} from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { type INestApplicationContext, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { SagaShop, SagaState } from './saga-shop.js';
import { type Order, POOL_SIZE } from './shop.js';

@Saga('place-order', { version: 1 })
class PlaceOrder {
  constructor(private readonly dataSource: DataSource) {}

  @Step()
  @Compensate('release')
  async reserve({ id, state }: SagaContext<SagaState>): Promise<void> {
    await this.dataSource.query('insert into reservation (order_id, total) values ($1, $2)', [id, state.total]);
  }

  async release({ id }: SagaContext<SagaState>): Promise<void> {
    await this.dataSource.query('delete from reservation where order_id = $1', [id]);
  }

  @Step({ after: 'reserve' })
  @Compensate('refund')
  async charge({ id, state }: SagaContext<SagaState>): Promise<void> {
    await this.dataSource.query('insert into charge (order_id, total) values ($1, $2)', [id, state.total]);
  }

  async refund({ id }: SagaContext<SagaState>): Promise<void> {
    await this.dataSource.query('delete from charge where order_id = $1', [id]);
  }

  @Step({ after: 'charge' })
  async ship({ id, state }: SagaContext<SagaState>): Promise<void> {
    await this.dataSource.query('insert into shipment (order_id, total) values ($1, $2)', [id, state.total]);
    if (state.isRefused) throw new NonRetryableError('refused');
  }
}

/** Its only step is tried again a day later. */
@Saga('sleeping', { version: 1 })
class Sleeping {
  @Step()
  @Retry({ attempts: 2, backoff: { delay: '1d', maxDelay: '1d' } })
  async wait(_: SagaContext<Record<string, never>>): Promise<void> {
    throw new Error('not today');
  }
}

/** A NestJS service with sagas on Holdfast, written as a user writes one. */
export class NestSagas implements SagaShop {
  ended = 0;
  private readonly unsubscribe: () => void;

  private constructor(
    private readonly app: INestApplicationContext,
    private readonly sagas: Sagas,
    private readonly unitOfWork: UnitOfWork,
  ) {
    this.unsubscribe = subscribe('saga:ended', () => {
      this.ended += 1;
    });
  }

  static async open(url: string): Promise<NestSagas> {
    @Module({
      imports: [
        TypeOrmModule.forRoot({ type: 'postgres', url, poolSize: POOL_SIZE, extra: { idleTimeoutMillis: 0 } }),
        HoldfastModule.forRoot({ service: 'shop', transport: database(), store: typeorm() }),
      ],
      providers: [PlaceOrder, Sleeping],
    })
    class ShopModule {}
    const app = await NestFactory.createApplicationContext(ShopModule, { logger: ['error'] });
    return new NestSagas(app, app.get(Sagas), app.get(UnitOfWork));
  }

  start({ id, total }: Order, isRefused: boolean): Promise<unknown> {
    return this.sagas.start(PlaceOrder, { total, isRefused }, { id });
  }

  async startAndWait({ id, total }: Order, isRefused: boolean): Promise<unknown> {
    await this.sagas.start(PlaceOrder, { total, isRefused }, { id });
    return this.sagas.result(id);
  }

  /** Many in one transaction. */
  async startAll(orders: readonly Order[]): Promise<void> {
    await this.unitOfWork.run({ timeout: '5m' }, async () => {
      for (const order of orders) await this.start(order, false);
    });
  }

  /** A saga that has nothing to do for a day. */
  async startSleeping(id: string): Promise<void> {
    await this.sagas.start(Sleeping, {}, { id });
  }

  async close(): Promise<void> {
    this.unsubscribe();
    await this.app.close();
  }
}
