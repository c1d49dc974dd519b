// docs/how-to/nest-handlers.md
import {
  Durable,
  HoldfastClientProxy,
  HoldfastContext,
  HoldfastModule,
  HoldfastRecord,
  HoldfastStrategy,
  Idempotent,
  Message,
  Retry,
  Transactional,
} from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Controller, Injectable, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import { InjectRepository, TypeOrmModule } from '@nestjs/typeorm';
import { firstValueFrom } from 'rxjs';
import { Column, Entity, PrimaryColumn, Repository } from 'typeorm';

@Entity()
export class Reservation {
  @PrimaryColumn() orderId!: string;
  @Column() sku!: string;
}

@Message('parcel.sent')
export class ParcelSent {
  constructor(readonly orderId: string) {}
}

@Controller()
export class StockController {
  constructor(@InjectRepository(Reservation) private readonly reservations: Repository<Reservation>) {}

  @EventPattern<string>('order.placed')
  @Durable({ name: 'stock.reserve', ordering: 'key' })
  @Retry({ attempts: 5, backoff: { delay: '200ms' } })
  @Idempotent()
  @Transactional()
  async reserve(@Payload() order: { orderId: string; sku: string }, @Ctx() context: HoldfastContext): Promise<void> {
    const { attempt, signal } = context.getDelivery();
    signal.throwIfAborted();
    await this.reservations.insert(order);
    if (attempt > 1) console.log(`${order.orderId} needed ${attempt} attempts`);
  }

  /** A message class brings its schema and versions; its type is the pattern. */
  @EventPattern<string>('parcel.sent')
  @Durable({ name: 'stock.forget' })
  async forget({ orderId }: ParcelSent): Promise<void> {
    await this.reservations.delete({ orderId });
  }

  @MessagePattern('stock.reserved')
  async reserved(@Payload() sku: string): Promise<number> {
    return this.reservations.countBy({ sku });
  }
}

@Injectable()
export class Shop {
  constructor(private readonly client: HoldfastClientProxy) {}

  @Transactional()
  async sell(orderId: string, sku: string): Promise<void> {
    this.client.emit('order.placed', new HoldfastRecord({ orderId, sku }, { key: orderId }));
  }

  async reserved(sku: string): Promise<number> {
    return firstValueFrom(this.client.send<number>('stock.reserved', sku));
  }
}

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Reservation], synchronize: true }),
    }),
    TypeOrmModule.forFeature([Reservation]),
    HoldfastModule.forRoot({ service: 'warehouse', transport: database(), store: typeorm() }),
  ],
  controllers: [StockController],
  providers: [Shop],
})
export class WarehouseModule {}

export async function main(port: number): Promise<void> {
  const app = await NestFactory.create(WarehouseModule);
  app.enableShutdownHooks();
  app.connectMicroservice({ strategy: app.get(HoldfastStrategy) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.listen(port);
}

/** Without HTTP. */
export async function worker(): Promise<void> {
  const app = await NestFactory.createMicroservice(WarehouseModule, {
    inject: [HoldfastStrategy],
    useFactory: (strategy: HoldfastStrategy) => ({ strategy }),
  });
  app.enableShutdownHooks();
  await app.listen();
}
