import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import { subscribe } from '@holdfast/nest';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { Letter } from './mail.js';
import { Order, Shop } from './shop.js';
import { ShopModule } from './shop.module.js';

async function main(): Promise<void> {
  const server = await EmbeddedPostgres.start();
  process.env.DATABASE_URL = await server.createDatabase('shop');
  const app = await NestFactory.createApplicationContext(ShopModule);
  const shop = app.get(Shop);
  let handled = 0;
  subscribe('delivery:succeeded', () => {
    handled += 1;
  });

  await shop.place('Ada', 2);
  await shop.place('Nobody', 0).catch((error: Error) => console.log(`shop: refused, ${error.message}`));
  await shop.place('Grace', 1);

  while (handled < 2) await sleep(50);
  const { manager } = app.get(DataSource);
  console.log(`orders=${await manager.count(Order)} letters=${await manager.count(Letter)}`);
  await app.close();
  await server.remove();
}

void main();
