// A till that is killed at the two worst moments, and books that are right all the same.
import 'reflect-metadata';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import { Outbox } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { DataSource } from 'typeorm';
import { BooksModule } from './books/books.module.js';

const PATIENCE_MS = 60_000;
const LOOK_MS = 50;

interface Totals {
  readonly sold: number;
  readonly booked: number;
  readonly lost: number;
  readonly twice: number;
  readonly invented: number;
}

/** Runs a till with these sales; how it ended. @param dies the moment at which it is killed with kill -9 */
async function till(sales: readonly string[], dies?: string): Promise<string> {
  const env = { ...process.env, HOLDFAST_FAILPOINT: dies === undefined ? '' : `${dies}=kill` };
  const child = spawn(process.execPath, [join(__dirname, 'till', 'main.js'), ...sales], { env, stdio: ['ignore', 'inherit', 'inherit'] });
  const [code, signal] = (await once(child, 'exit')) as [number | null, string | null];
  return signal ?? `exit ${code}`;
}

async function play(app: INestApplicationContext): Promise<Totals> {
  console.log('1. Five sales, one of them over the limit.');
  await till(['1:10', '2:20', '3:5000', '4:40', '5:50']);

  console.log('\n2. The till is killed right after the COMMIT of sale 6, before its message is on its way.');
  console.log(`   ${await till(['6:60'], 'unit:after-commit')}`);

  console.log('\n3. The till is killed before the COMMIT of sale 7, whose message is registered already.');
  console.log(`   ${await till(['7:70'], 'half-message:after-register')}`);

  console.log('\n4. Nobody starts it again. The books ask what became of the two.');
  const outbox = app.get(Outbox);
  console.log(`   ${(await outbox.stats()).halfMessages} messages are registered.`);
  await until(async () => (await outbox.stats()).halfMessages === 0);
  const totals = await until(async () => {
    const now = await totalsOf(app.get(DataSource));
    return now.lost === 0 && now;
  });
  console.log('   Sale 6 is committed, so its message was sent; sale 7 is not, so its message is gone.');
  return totals;
}

async function totalsOf(dataSource: DataSource): Promise<Totals> {
  const [row] = (await dataSource.query(
    `select (select count(*)::int from sale) as sold, (select count(*)::int from booking) as booked,
       (select count(*)::int from sale s where not exists (select from booking b where b."saleId" = s.id)) as lost,
       (select (count(*) - count(distinct "saleId"))::int from booking) as twice,
       (select count(*)::int from booking b where not exists (select from sale s where s.id = b."saleId")) as invented`,
  )) as [Totals];
  return row;
}

async function until<T>(look: () => Promise<T | false>): Promise<T> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(LOOK_MS)) {
    const found = await look();
    if (found !== false) return found;
  }
  throw new Error(`waited ${PATIENCE_MS / 1000} s in vain`);
}

async function main(): Promise<void> {
  console.log('Holdfast: half messages. A till and the books on one PostgreSQL, no broker.\n');
  const server = await EmbeddedPostgres.start();
  try {
    process.env.DATABASE_URL = await server.createDatabase('shop');
    const app = await NestFactory.createApplicationContext(BooksModule, { logger: ['fatal', 'error'] });
    const totals = await play(app).finally(() => app.close());
    const line = Object.entries(totals).map(([name, value]) => `${name}=${value}`);
    console.log(`\n${line.join(' ')}`);
    const { sold, booked, lost, twice, invented } = totals;
    process.exitCode = sold === booked && lost + twice + invented === 0 ? 0 : 1;
  } finally {
    await server.remove();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
