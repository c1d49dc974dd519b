import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { reportReady, serviceLogger } from '../supervisor/supervised.js';
import { OrdersModule } from './orders.module.js';

async function main(): Promise<void> {
  const app = await NestFactory.create(OrdersModule, { logger: serviceLogger('orders') });
  app.enableShutdownHooks(); // SIGTERM finishes what is in flight
  await app.listen(0, '127.0.0.1');
  reportReady(await app.getUrl());
}

void main();
