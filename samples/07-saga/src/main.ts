// One service whose orders are sagas: what is done is undone when a later step fails, and what cannot be undone waits for a person.
import 'reflect-metadata';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ShopModule } from './shop/shop.module.js';
import { Story, type Totals } from './story.js';

async function play(app: INestApplicationContext): Promise<Totals> {
  const story = new Story(app, (line) => console.log(line));
  await story.stock();
  await story.goodAndBad();
  return story.repair(await story.park());
}

async function main(): Promise<void> {
  console.log('Holdfast: orders as sagas. One Nest service on one PostgreSQL, no broker.\n');
  const server = await EmbeddedPostgres.start();
  try {
    process.env.DATABASE_URL = await server.createDatabase('shop');
    const app = await NestFactory.createApplicationContext(ShopModule, { logger: ['fatal', 'error'] });
    const totals = await play(app).finally(() => app.close());
    console.log(
      `\n${Object.entries(totals)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ')}`,
    );
    process.exitCode = totals.lost === 0 && totals.parked === 0 && totals.orders === totals.shipped + totals.cancelled ? 0 : 1;
  } finally {
    await server.remove();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
