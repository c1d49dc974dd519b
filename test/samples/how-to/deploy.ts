// docs/how-to/deploy.md
import { type Health, Holdfast, Idempotent, OnMessage, subscribe, Transactional } from '@holdfast/nest';
import { holdfastMigrations } from '@holdfast/typeorm';
import { Controller, Get, Injectable, type OnApplicationShutdown, ServiceUnavailableException } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { PriceChanged } from './prices.js';

export const dataSource = new DataSource({
  type: 'postgres',
  url: process.env.DATABASE_URL,
  migrations: [...holdfastMigrations(), 'dist/migrations/*.js'],
});

@Injectable()
export class Catalogue {
  @OnMessage(PriceChanged, { name: 'catalogue.prices', formerly: 'prices.update' })
  @Idempotent()
  @Transactional()
  async update(_price: PriceChanged): Promise<void> {
    // …
  }
}

@Controller('health')
export class HealthController {
  constructor(private readonly holdfast: Holdfast) {}

  @Get()
  async health(): Promise<Health> {
    const health = await this.holdfast.health({ maxLag: '5m' });
    if (health.status === 'down') throw new ServiceUnavailableException(health);
    return health;
  }
}

@Controller('ready')
export class Readiness implements OnApplicationShutdown {
  private isStopping = false;
  private readonly unsubscribe = subscribe('node:stopping', ({ service }) => {
    this.isStopping ||= service === 'shop';
  });

  @Get()
  ready(): string {
    if (this.isStopping) throw new ServiceUnavailableException('stopping');
    return 'ready';
  }

  onApplicationShutdown(): void {
    this.unsubscribe();
  }
}
