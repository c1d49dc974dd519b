// One service over two brokers: commands over RabbitMQ, events over Kafka, which ends in the middle.
import 'reflect-metadata';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Brokers } from './brokers.js';
import { ShopModule } from './shop/shop.module.js';
import { Story, type Totals } from './story.js';

function isRight({ orders, charged, counted, twice, waiting }: Totals): boolean {
  return charged === orders && counted === orders && twice === 0 && waiting === 0;
}

async function play(app: INestApplicationContext, { kafka }: Brokers): Promise<Totals> {
  const story = new Story(app, (line) => console.log(line));
  await story.both();
  await story.outage(kafka);
  return story.account();
}

async function run(brokers: Brokers): Promise<void> {
  console.log('Holdfast: two transports. One Nest service on one PostgreSQL, commands over RabbitMQ, events over Kafka.\n');
  const server = await EmbeddedPostgres.start();
  try {
    Object.assign(process.env, brokers.environment, { DATABASE_URL: await server.createDatabase('shop') });
    const app = await NestFactory.createApplicationContext(ShopModule, { logger: ['fatal'] });
    const totals = await play(app, brokers).finally(() => app.close());
    const account = Object.entries(totals).map(([name, value]) => `${name}=${value}`);
    console.log(`\n${account.join(' ')}`);
    process.exitCode = isRight(totals) ? 0 : 1;
  } finally {
    await server.remove();
    await brokers.clean();
  }
}

async function main(): Promise<void> {
  const brokers = await Brokers.open().catch((error: Error) => {
    console.log(error.message);
    process.exitCode = 1;
    return undefined;
  });
  if (brokers !== undefined) await run(brokers);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
