// One service, a card gateway that breaks, and what becomes of the messages.
import 'reflect-metadata';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { BillingModule } from './billing/billing.module.js';
import { Story, type Totals } from './story.js';

function isRight({ orders, charged, discarded, left, twice }: Totals): boolean {
  return orders === charged + discarded && left === 0 && twice === 0;
}

async function play(app: INestApplicationContext): Promise<Totals> {
  const story = new Story(app, (line) => console.log(line));
  await story.shortFailure();
  await story.outage();
  return story.repair();
}

async function main(): Promise<void> {
  console.log('Holdfast: a card gateway that breaks. One Nest service on one PostgreSQL, no broker.\n');
  const server = await EmbeddedPostgres.start();
  try {
    process.env.DATABASE_URL = await server.createDatabase('billing');
    const app = await NestFactory.createApplicationContext(BillingModule, { logger: ['fatal', 'error'] });
    const totals = await play(app).finally(() => app.close());
    console.log(
      `\n${Object.entries(totals)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ')}`,
    );
    process.exitCode = isRight(totals) ? 0 : 1;
  } finally {
    await server.remove();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
