import 'reflect-metadata';
import {
  Holdfast,
  HoldfastModule,
  Idempotent,
  Message,
  MessageBus,
  NonRetryableError,
  OnMessage,
  Subscriptions,
  Transactional,
  UnitOfWork,
} from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { type INestApplicationContext, Injectable, Module, type Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { type KafkaPlace, PARTITIONS } from '../runner/kafka.js';
import type { RabbitPlace } from '../runner/rabbit.js';
import { type Order, POOL_SIZE, type Shop } from './shop.js';

/** Told when an order is placed. */
@Message('order.placed')
export class OrderPlaced {
  constructor(
    readonly orderId: string,
    readonly total: number,
  ) {}
}

/** Name of the subscription that pays. */
export const PAYMENT = 'payment.pay';

const INSERT_ORDER = 'insert into orders (id, total) values ($1, $2)';
const INSERT_PAYMENT = 'insert into payment (order_id, total) values ($1, $2)';

/** How a service of the benchmark is set up. */
export interface NestShopOptions {
  readonly url: string;
  readonly service?: string;
  readonly poolSize?: number;
  /** Over RabbitMQ; left out, over the database. */
  readonly rabbit?: RabbitPlace;
  /** Over Kafka. */
  readonly kafka?: KafkaPlace;
  /** Whether this service sends what is in the outbox; default true. */
  readonly relay?: boolean;
  /** The handler; left out, the service only publishes. */
  readonly payments?: PaymentOptions;
}

/** How payments are made. */
export interface PaymentOptions {
  readonly batchSize?: number;
  readonly ordering?: 'none' | 'key';
  /** Refuses the first message for good: with `ordering: 'key'` its key is blocked. */
  readonly refusesFirst?: boolean;
}

/** How the message of an order is published. */
export type KeyOf = (order: Order) => string | undefined;

const ownKey: KeyOf = ({ id }) => id;

@Injectable()
class Orders {
  constructor(
    private readonly dataSource: DataSource,
    private readonly bus: MessageBus,
    private readonly unitOfWork: UnitOfWork,
  ) {}

  @Transactional()
  async place({ id, total }: Order, keyOf: KeyOf): Promise<void> {
    await this.dataSource.query(INSERT_ORDER, [id, total]);
    await this.bus.publish(new OrderPlaced(id, total), { key: keyOf({ id, total }) });
  }

  /** The same with a half message, which has no key. */
  @Transactional({ protocol: 'half-message' })
  async placeHalf({ id, total }: Order): Promise<void> {
    await this.dataSource.query(INSERT_ORDER, [id, total]);
    await this.bus.publish(new OrderPlaced(id, total));
  }

  /** Many in one transaction, for filling the log. */
  @Transactional()
  async placeAll(orders: readonly Order[], keyOf: KeyOf): Promise<void> {
    const ids = orders.map(({ id }) => id);
    await this.dataSource.query('insert into orders (id, total) select id, 42 from unnest($1::uuid[]) id', [ids]);
    for (const order of orders) await this.bus.publish(new OrderPlaced(order.id, order.total), { key: keyOf(order) });
  }

  placeJoined(order: Order): Promise<void> {
    return this.dataSource.transaction((manager) => this.unitOfWork.join(manager, () => this.place(order, ownKey)));
  }

  /** The same without a message. */
  @Transactional()
  async placeSilently({ id, total }: Order): Promise<void> {
    await this.dataSource.query(INSERT_ORDER, [id, total]);
  }
}

interface Payments {
  handled: number;
}

/** A handler class for these options: decorators take them when the class is made. */
function paymentsWith({ batchSize = 1, ordering = 'none', refusesFirst = false }: PaymentOptions): Type<Payments> {
  @Injectable()
  class PaymentsOnMessage implements Payments {
    handled = 0;
    private refused: string | undefined;

    constructor(private readonly dataSource: DataSource) {}

    @OnMessage(OrderPlaced, { name: PAYMENT, batchSize, ordering, timeout: '10s' })
    @Idempotent()
    @Transactional()
    async pay({ orderId, total }: OrderPlaced): Promise<void> {
      this.refused ??= orderId;
      if (refusesFirst && orderId === this.refused) throw new NonRetryableError('refused');
      await this.dataSource.query(INSERT_PAYMENT, [orderId, total]);
      this.handled += 1;
    }
  }
  return PaymentsOnMessage;
}

/** A NestJS service on Holdfast, written as a user writes one. */
export class NestShop implements Shop {
  private constructor(
    private readonly app: INestApplicationContext,
    private readonly orders: Orders,
    private readonly payments: Payments | undefined,
  ) {}

  static async open(options: NestShopOptions): Promise<NestShop> {
    const { url, service = 'shop', poolSize = POOL_SIZE, relay = true, payments } = options;
    const handler = payments && paymentsWith(payments);
    @Module({
      imports: [
        // A connection that is idle for ten seconds stays, as on the other side: a round does not begin with connecting.
        TypeOrmModule.forRoot({ type: 'postgres', url, poolSize, extra: { idleTimeoutMillis: 0 } }),
        HoldfastModule.forRoot({ service, transport: transportOf(options), store: typeorm(), relay }),
      ],
      providers: [Orders, ...(handler ? [handler] : [])],
    })
    class ShopModule {}
    const app = await NestFactory.createApplicationContext(ShopModule, { logger: ['error'] });
    return new NestShop(app, app.get(Orders), handler && app.get(handler));
  }

  get handled(): number {
    return this.payments?.handled ?? 0;
  }

  get holdfast(): Holdfast {
    return this.app.get(Holdfast);
  }

  place(order: Order, keyOf: KeyOf = ownKey): Promise<void> {
    return this.orders.place(order, keyOf);
  }

  placeHalf(order: Order): Promise<void> {
    return this.orders.placeHalf(order);
  }

  placeAll(orders: readonly Order[], keyOf: KeyOf = ownKey): Promise<void> {
    return this.orders.placeAll(orders, keyOf);
  }

  /** In a transaction of TypeORM's own. */
  placeJoined(order: Order): Promise<void> {
    return this.orders.placeJoined(order);
  }

  placeSilently(order: Order): Promise<void> {
    return this.orders.placeSilently(order);
  }

  async pause(): Promise<void> {
    await this.app.get(Subscriptions).pause(PAYMENT, { by: 'bench' });
  }

  async resume(): Promise<void> {
    await this.app.get(Subscriptions).resume(PAYMENT, { by: 'bench' });
  }

  async close(): Promise<void> {
    await this.app.close();
  }
}

function transportOf({ rabbit, kafka: place }: NestShopOptions) {
  if (place !== undefined) return kafka({ ...place, partitions: PARTITIONS });
  return rabbit ? rabbitmq(rabbit) : database();
}
