import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { reportReady, serviceLogger } from '../supervisor/supervised.js';
import { ShippingModule } from './shipping.module.js';

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(ShippingModule, { logger: serviceLogger('shipping') });
  app.enableShutdownHooks(); // SIGTERM finishes what is in flight
  reportReady();
}

void main();
