import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { reportReady, serviceLogger } from '../supervisor/supervised.js';
import { StockModule } from './stock.module.js';

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(StockModule, { logger: serviceLogger('stock') });
  app.enableShutdownHooks(); // SIGTERM finishes what is in flight
  reportReady();
}

void main();
