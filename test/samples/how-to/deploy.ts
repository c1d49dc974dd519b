// docs/how-to/deploy.md
import { Idempotent, OnMessage, subscribe, Transactional } from '@holdfast/nest';
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
