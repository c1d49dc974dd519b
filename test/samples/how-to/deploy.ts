// docs/how-to/deploy.md
import { Idempotent, OnMessage, Transactional } from '@holdfast/nest';
import { holdfastMigrations } from '@holdfast/typeorm';
import { Injectable } from '@nestjs/common';
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
