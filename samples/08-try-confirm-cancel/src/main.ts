// One service that holds a room and a card before it books a trip: the commit decides whether both are taken or given back.
import 'reflect-metadata';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import { NestFactory } from '@nestjs/core';
import { Story } from './story.js';
import { TravelModule } from './travel/travel.module.js';

async function main(): Promise<void> {
  console.log('Holdfast: try, confirm, cancel. One Nest service on one PostgreSQL, no broker.\n');
  const server = await EmbeddedPostgres.start();
  try {
    process.env.DATABASE_URL = await server.createDatabase('travel');
    const app = await NestFactory.createApplicationContext(TravelModule, { logger: ['fatal'] });
    const story = new Story(app, (line) => console.log(line));
    const play = async () => {
      await story.goodAndBad();
      return story.repair(await story.park());
    };
    const totals = await play().finally(() => app.close());
    console.log(
      `\n${Object.entries(totals)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ')}`,
    );
    process.exitCode = totals.lost === 0 ? 0 : 1;
  } finally {
    await server.remove();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
