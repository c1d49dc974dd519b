// Two services that change a line each: the one that handles first, the one that keeps its outbox after it.
import 'reflect-metadata';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import type { INestApplicationContext, LogLevel, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { billing } from './billing/main.js';
import { cleanBroker, prepareBroker } from './broker.js';
import { OrdersModule } from './orders/orders.module.js';
import { OrdersBeforeModule } from './orders/orders-before.module.js';
import { Story, type Totals } from './story.js';

const logger: LogLevel[] = ['fatal'];

function isRight({ orders, charged, twice, repeats, refused, waiting }: Totals): boolean {
  return charged === orders && twice === 0 && repeats === 2 && refused === 1 && waiting === 0;
}

/** Runs a service while `work` does something with it. */
async function during<A extends INestApplicationContext, T>(starting: Promise<A>, work: (app: A) => Promise<T>): Promise<T> {
  const app = await starting;
  return work(app).finally(() => app.close());
}

const orders = (module: Type) => NestFactory.createApplicationContext(module, { logger });

function play(): Promise<Totals> {
  return during(billing(logger), async (microservice) => {
    await microservice.listen();
    const story = new Story(microservice, (line) => console.log(line));
    await during(orders(OrdersBeforeModule), (app) => story.before(app));
    return during(orders(OrdersModule), (app) => story.after(app));
  });
}

async function run(version: string): Promise<void> {
  console.log(`Holdfast: keep your outbox. Two Nest services, a PostgreSQL database each, RabbitMQ ${version} between them.\n`);
  const server = await EmbeddedPostgres.start();
  try {
    process.env.ORDERS_DATABASE_URL = await server.createDatabase('orders');
    process.env.BILLING_DATABASE_URL = await server.createDatabase('billing');
    const totals = await play();
    const account = Object.entries(totals).map(([name, value]) => `${name}=${value}`);
    console.log(`\n${account.join(' ')}`);
    process.exitCode = isRight(totals) ? 0 : 1;
  } finally {
    await server.remove();
    await cleanBroker();
  }
}

async function main(): Promise<void> {
  const version = await prepareBroker().catch((error: Error) => {
    console.log(error.message);
    process.exitCode = 1;
    return undefined;
  });
  if (version !== undefined) await run(version);
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
