// A service whose handlers are Nest's own, as crash tests run it: handles, says what it does, stops at SIGTERM. Options in CRASH_OPTIONS.
import 'reflect-metadata';
import { createInterface } from 'node:readline';
import { Durable, Holdfast, HoldfastContext, HoldfastModule, HoldfastStrategy, Idempotent, Retry, Transactional } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Controller, Inject, Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Ctx, EventPattern, Payload } from '@nestjs/microservices';
import { TypeOrmModule } from '@nestjs/typeorm';
import { DataSource } from 'typeorm';
import { handle } from './handling.js';
import type { Work } from './messages.js';
import type { ProgramOptions } from './options.js';
import { codeAndMessage, say } from './report.js';

const { url, poolSize = 10, lanes, service = 'crash' } = JSON.parse(process.env.CRASH_OPTIONS ?? '{}') as ProgramOptions;
const again = () => Retry({ attempts: 5, backoff: { delay: 50, factor: 1, jitter: 'none' } });

@Controller()
class Handlers {
  constructor(
    @Inject(DataSource) private readonly dataSource: DataSource,
    @Inject(Holdfast) private readonly bus: Holdfast,
  ) {}

  @EventPattern<string>('crash.work')
  @Durable({ name: 'ordered', from: 'earliest', ordering: 'key' })
  @again()
  @Idempotent()
  @Transactional()
  async ordered(@Payload() work: Work, @Ctx() context: HoldfastContext): Promise<void> {
    await this.handle('ordered', work, context);
  }

  @EventPattern<string>('crash.work')
  @Durable({ name: 'batch', from: 'earliest', batchSize: 8 })
  @again()
  @Idempotent()
  @Transactional()
  async batch(@Payload() work: Work, @Ctx() context: HoldfastContext): Promise<void> {
    await this.handle('batch', work, context);
  }

  private handle(name: string, work: Work, context: HoldfastContext): Promise<void> {
    return handle({ dataSource: this.dataSource, bus: this.bus, subscription: { name } }, work, context.getDelivery());
  }
}

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url, poolSize, extra: { connectionTimeoutMillis: 10_000 } }),
    HoldfastModule.forRoot({ service, transport: database(), store: typeorm({ lanes }) }),
  ],
  controllers: [Handlers],
})
class Service {}

async function main(): Promise<void> {
  const inject = [HoldfastStrategy];
  const useFactory = (strategy: HoldfastStrategy) => ({ strategy });
  const app = await NestFactory.createMicroservice(Service, { inject, useFactory, logger: false, abortOnError: false });
  process.on('SIGTERM', async () => {
    const started = performance.now();
    say({ e: 'stopping' });
    await app.close();
    say({ e: 'stopped', ms: Math.round(performance.now() - started) });
    process.exit(0);
  });
  // Whoever started it is gone.
  createInterface({ input: process.stdin }).on('close', () => process.exit(3));
  await app.listen();
  say({ e: 'ready' });
}

main().catch((error: unknown) => {
  say({ e: 'failed', error: codeAndMessage(error) });
  process.exit(2);
});
