// Nest's own handlers and client, unchanged, over Holdfast: the guarantees come from the decorators on top.
import { Controller, Injectable, Module, UsePipes, ValidationPipe } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, MessagePattern, Payload } from '@nestjs/microservices';
import {
  Durable,
  HoldfastClientProxy,
  HoldfastContext,
  HoldfastRecord,
  HoldfastStrategy,
  Idempotent,
  Retry,
  Transactional,
} from '@holdfast/nest';
import { firstValueFrom } from 'rxjs';
import { DataSource } from 'typeorm';
import { OrdersModule } from './01-orders.js';

export class OrderPlacedDto {
  orderId!: string;
  total!: number;
}

@Controller()
@UsePipes(new ValidationPipe({ transform: true }))
export class StockController {
  constructor(private readonly dataSource: DataSource) {}

  // `<string>`: without it Nest 12 picks its typed-events overload, which knows no second parameter.
  @EventPattern<string>('order.placed')
  @Durable({ name: 'stock.reserve', ordering: 'key' })
  @Retry(5)
  @Idempotent()
  @Transactional()
  async reserve(@Payload() order: OrderPlacedDto, @Ctx() context: HoldfastContext): Promise<void> {
    const { attempt, source } = context.getDelivery();
    await this.dataSource.query('insert into reservation (order_id, source, attempt) values ($1, $2, $3)', [
      order.orderId,
      source,
      attempt,
    ]);
  }

  @MessagePattern('stock.count')
  count(@Payload() sku: string): number {
    return sku.length;
  }
}

@Injectable()
export class Shop {
  constructor(private readonly client: HoldfastClientProxy) {}

  // `emit` joins the unit of work like `bus.publish`.
  @Transactional()
  async sell(order: OrderPlacedDto): Promise<void> {
    await firstValueFrom(this.client.emit('order.placed', new HoldfastRecord(order, { key: order.orderId, delay: '5s' })));
  }

  async stock(sku: string): Promise<number> {
    return firstValueFrom(this.client.send<number>('stock.count', sku));
  }
}

@Module({ imports: [OrdersModule], controllers: [StockController], providers: [Shop] })
export class AppModule {}

async function main(): Promise<void> {
  const app = await NestFactory.create(AppModule);
  app.enableShutdownHooks();
  app.connectMicroservice({ strategy: app.get(HoldfastStrategy) }, { inheritAppConfig: true });
  await app.startAllMicroservices();
  await app.listen(3000);
}

void main();
