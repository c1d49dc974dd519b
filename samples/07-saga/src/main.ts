// One service whose orders are sagas: what is done is undone when a later step fails, what cannot be undone waits for a person, and some take days.
import 'reflect-metadata';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import { HoldfastTesting } from '@holdfast/nest/testing';
import { NestFactory } from '@nestjs/core';
import { Test } from '@nestjs/testing';
import { Days } from './days.js';
import { ShopModule } from './shop/shop.module.js';
import { Story } from './story.js';
import { type Totals, totalsOf } from './totals.js';

const say = (line: string) => console.log(line);

async function orders(): Promise<void> {
  const app = await NestFactory.createApplicationContext(ShopModule, { logger: ['fatal', 'error'] });
  const story = new Story(app, say);
  await story.stock();
  await story.goodAndBad();
  await story.repair(await story.park());
  await app.close();
}

/** The same module, with the transport and the clock of the test kit: nobody waits for two weeks. */
async function days(): Promise<Totals> {
  const app = await HoldfastTesting.inMemory(Test.createTestingModule({ imports: [ShopModule] })).compile();
  await app.init();
  await new Days(app, app.get(HoldfastTesting), say).play();
  const totals = await totalsOf(app);
  await app.close();
  return totals;
}

async function main(): Promise<void> {
  say('Holdfast: orders as sagas. One Nest service on one PostgreSQL, no broker.\n');
  const server = await EmbeddedPostgres.start();
  try {
    process.env.DATABASE_URL = await server.createDatabase('shop');
    await orders();
    const totals = await days();
    const line = Object.entries(totals).map(([name, value]) => `${name}=${value}`);
    say(`\n${line.join(' ')}`);
    const ended = totals.shipped + totals.cancelled + totals.returned;
    process.exitCode = totals.lost === 0 && totals.parked === 0 && totals.orders === ended ? 0 : 1;
  } finally {
    await server.remove();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
