import 'reflect-metadata';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
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

  await shop.place('Ada', 2);
  await shop.place('Nobody', 0).catch((error: Error) => console.log(`shop: refused, ${error.message}`));
  await shop.place('Grace', 1);

  const letters = app.get(DataSource).getRepository(Letter);
  while ((await letters.count()) < 2) await sleep(50);
  const orders = await app.get(DataSource).getRepository(Order).count();
  console.log(`orders=${orders} letters=${await letters.count()}`);
  await app.close();
  await server.remove();
}

void main();
