// Registration: literal, from configuration, several transports, a node that only publishes.
import { Injectable, Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { duration, HoldfastModule, type HoldfastOptions, type HoldfastOptionsFactory, Message, MessageBus } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { inMemory } from '@holdfast/transport-in-memory';
import { kafka } from '@holdfast/transport-kafka';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { rocketmq } from '@holdfast/transport-rocketmq';
import { typeorm } from '@holdfast/typeorm';

/** What is used of `@nestjs/config`. */
@Injectable()
export class ConfigService {
  get<T = string>(name: string, byDefault: T): T {
    return (process.env[name] as T | undefined) ?? byDefault;
  }

  getOrThrow<T>(name: string): T {
    const value = process.env[name];
    if (value === undefined) throw new Error(`${name} is not set`);
    return value as T;
  }
}

@Module({ providers: [ConfigService], exports: [ConfigService] })
export class ConfigModule {}

const orm = TypeOrmModule.forRoot({ type: 'postgres', autoLoadEntities: true });

// The smallest: no broker to install.
@Module({ imports: [orm, HoldfastModule.forRoot({ service: 'orders', transport: database(), store: typeorm() })] })
export class SmallModule {}

// From configuration.
@Module({
  imports: [
    ConfigModule,
    orm,
    HoldfastModule.forRootAsync({
      imports: [ConfigModule],
      inject: [ConfigService],
      useFactory: (config: ConfigService): HoldfastOptions => ({
        service: 'orders',
        transport: rabbitmq({ url: config.getOrThrow<string>('AMQP_URL'), prefetch: 200 }),
        store: typeorm({ schema: 'messaging' }),
        migrate: false,
        outsideTransaction: 'throw',
        stopTimeout: duration(config.get<string>('STOP_TIMEOUT', '25s')),
        defaults: { retry: { attempts: 8, backoff: { delay: '1s', maxDelay: '5m' } }, timeout: '1m', concurrency: 20 },
      }),
    }),
  ],
})
export class ConfiguredModule {}

// From a class.
@Injectable()
export class BusConfiguration implements HoldfastOptionsFactory {
  createHoldfastOptions(): HoldfastOptions {
    return { service: 'stock', transport: rocketmq({ endpoint: 'localhost:8081' }), store: typeorm() };
  }
}

@Module({ imports: [orm, HoldfastModule.forRootAsync({ useClass: BusConfiguration })] })
export class StockModule {}

// Analytics go to another broker: the class says where.
@Message('page.viewed', { destination: 'analytics:page-views' })
export class PageViewed {
  constructor(readonly url: string) {}
}

@Module({
  imports: [
    orm,
    HoldfastModule.forRoot({
      service: 'shop',
      transports: {
        default: rabbitmq({ url: ['amqp://rabbit-1', 'amqp://rabbit-2'] }),
        analytics: kafka({ brokers: ['kafka-1:9092', 'kafka-2:9092'], ssl: true }),
      },
      store: typeorm(),
      // Messages of a producer that knows nothing of CloudEvents.
      readForeign: ({ address, headers, body }) =>
        address === 'legacy.orders'
          ? { id: headers['x-message-id'] ?? '', source: 'legacy', type: 'order.placed', data: JSON.parse(Buffer.from(body).toString()) }
          : undefined,
    }),
  ],
})
export class ShopModule {
  constructor(private readonly bus: MessageBus) {}

  async viewed(url: string): Promise<void> {
    await this.bus.publish(new PageViewed(url));
    await this.bus.publish(new PageViewed(url), { destination: 'analytics:page-views-sampled' });
  }
}

// A node that writes to the outbox and leaves the sending to others.
@Module({ imports: [orm, HoldfastModule.forRoot({ service: 'orders', transport: database(), store: typeorm(), relay: false })] })
export class ApiOnlyModule {}

// A bus without a database: publish waits for the broker, retries stay in process, and production must agree to lose what is in memory.
@Module({ imports: [HoldfastModule.forRoot({ service: 'demo', transport: inMemory(), allowInMemory: true })] })
export class DemoModule {}
