import { HoldfastStrategy } from '@holdfast/nest';
import type { INestMicroservice, LogLevel } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { BillingModule } from './billing.module.js';

/** Before: `{ transport: Transport.RMQ, options: { urls, queue } }`. */
export function billing(logger: LogLevel[]): Promise<INestMicroservice> {
  return NestFactory.createMicroservice(BillingModule, {
    logger,
    inject: [HoldfastStrategy],
    useFactory: (strategy: HoldfastStrategy) => ({ strategy }),
  });
}
