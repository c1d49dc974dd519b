import 'reflect-metadata';
import {
  Command,
  HoldfastModule,
  Idempotent,
  Message,
  OnMessage,
  Saga,
  type SagaContext,
  Sagas,
  Step,
  subscribe,
  Transactional,
} from '@holdfast/nest';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { type INestApplicationContext, Injectable, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import type { RabbitPlace } from '../runner/rabbit.js';
import type { RemoteState, SagaShop } from './saga-shop.js';
import { type Order, POOL_SIZE } from './shop.js';

/** What a step asks the partner for; its reply is a reference. */
class OfOrder extends Command<string> {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {
    super();
  }
}

@Message('stock.reserve')
class Reserve extends OfOrder {}

@Message('card.charge')
class Charge extends OfOrder {}

@Message('parcel.ship')
class Ship extends OfOrder {}

@Saga('place-order-elsewhere', { version: 1 })
class PlaceOrderElsewhere {
  @Step()
  async reserve(saga: SagaContext<RemoteState>) {
    return saga.request(new Reserve(saga.id, saga.state.total), { into: 'reservation' });
  }

  @Step({ after: 'reserve' })
  async charge(saga: SagaContext<RemoteState>) {
    return saga.request(new Charge(saga.id, saga.state.total), { into: 'charge' });
  }

  @Step({ after: 'charge' })
  async ship(saga: SagaContext<RemoteState>) {
    return saga.request(new Ship(saga.id, saga.state.total), { into: 'shipment' });
  }
}

/** The other end of the steps. */
@Injectable()
class Partner {
  constructor(private readonly dataSource: DataSource) {}

  @OnMessage(Reserve, { name: 'reserve' })
  @Idempotent()
  @Transactional()
  async reserve({ orderId, total }: Reserve): Promise<string> {
    await this.dataSource.query('insert into reservation (order_id, total) values ($1, $2)', [orderId, total]);
    return `r-${orderId}`;
  }

  @OnMessage(Charge, { name: 'charge' })
  @Idempotent()
  @Transactional()
  async charge({ orderId, total }: Charge): Promise<string> {
    await this.dataSource.query('insert into charge (order_id, total) values ($1, $2)', [orderId, total]);
    return `c-${orderId}`;
  }

  @OnMessage(Ship, { name: 'ship' })
  @Idempotent()
  @Transactional()
  async ship({ orderId, total }: Ship): Promise<string> {
    await this.dataSource.query('insert into shipment (order_id, total) values ($1, $2)', [orderId, total]);
    return `s-${orderId}`;
  }
}

/** Where both services are: each has a database of its own. */
export interface RemotePlaces {
  readonly shop: string;
  readonly partner: string;
  readonly rabbit: RabbitPlace;
}

/** Two NestJS services on Holdfast: the sagas of one, whose steps are done by the other. */
export class NestRemoteSagas implements SagaShop {
  ended = 0;
  private readonly unsubscribe: () => void;
  private readonly sagas: Sagas;

  private constructor(
    private readonly shop: INestApplicationContext,
    private readonly partner: INestApplicationContext,
  ) {
    this.sagas = shop.get(Sagas);
    this.unsubscribe = subscribe('saga:ended', () => {
      this.ended += 1;
    });
  }

  static async open({ shop, partner, rabbit }: RemotePlaces): Promise<NestRemoteSagas> {
    const other = await openService('partner', partner, { rabbit, provider: Partner });
    return new NestRemoteSagas(await openService('shop', shop, { rabbit, provider: PlaceOrderElsewhere }), other);
  }

  start({ id, total }: Order): Promise<unknown> {
    return this.sagas.start(PlaceOrderElsewhere, { total }, { id });
  }

  async startAndWait({ id, total }: Order): Promise<unknown> {
    await this.sagas.start(PlaceOrderElsewhere, { total }, { id });
    return this.sagas.result(id);
  }

  async close(): Promise<void> {
    this.unsubscribe();
    await this.shop.close();
    await this.partner.close();
  }
}

async function openService(
  service: string,
  url: string,
  { rabbit, provider }: { readonly rabbit: RabbitPlace; readonly provider: Type },
): Promise<INestApplicationContext> {
  @Module({
    imports: [
      TypeOrmModule.forRoot({ type: 'postgres', url, poolSize: POOL_SIZE, extra: { idleTimeoutMillis: 0 } }),
      HoldfastModule.forRoot({ service, transport: rabbitmq(rabbit), store: typeorm() }),
    ],
    providers: [provider],
  })
  class ServiceModule {}
  return NestFactory.createApplicationContext(ServiceModule, { logger: ['error'] });
}
