import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import { reportReady, serviceLogger } from '../supervisor/supervised.js';
import { PaymentsModule } from './payments.module.js';

async function main(): Promise<void> {
  const app = await NestFactory.createApplicationContext(PaymentsModule, { logger: serviceLogger('payments') });
  app.enableShutdownHooks(); // SIGTERM finishes what is in flight
  reportReady();
}

void main();
