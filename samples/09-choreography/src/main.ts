// Three services that react to each other's events, with nobody who conducts them: when a trip is off, each undoes its own part.
import 'reflect-metadata';
import { EmbeddedPostgres } from '@holdfast-internal/embedded-postgres';
import type { INestApplicationContext, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Story, type Totals } from './story.js';
import { FlightsModule } from './travel/flights.js';
import { HotelsModule } from './travel/hotels.js';
import { TripsModule } from './travel/trips.js';

async function play(open: (module: Type) => Promise<INestApplicationContext>): Promise<Totals> {
  const services = { trips: await open(TripsModule), hotels: await open(HotelsModule), flights: await open(FlightsModule) };
  const story = new Story(services, (line) => console.log(line));
  await story.open();
  await story.book();
  await story.changeOfMind();
  await story.park();
  return story.repair();
}

async function main(): Promise<void> {
  console.log('Holdfast: trips without a conductor. Three Nest services on one PostgreSQL, no broker.\n');
  const server = await EmbeddedPostgres.start();
  const apps: INestApplicationContext[] = [];
  try {
    process.env.DATABASE_URL = await server.createDatabase('travel');
    const totals = await play(async (module) => {
      const app = await NestFactory.createApplicationContext(module, { logger: ['fatal', 'error'] });
      apps.push(app);
      return app;
    }).finally(() => Promise.all(apps.map((app) => app.close())));
    console.log(
      `\n${Object.entries(totals)
        .map(([name, value]) => `${name}=${value}`)
        .join(' ')}`,
    );
    process.exitCode = totals.lost === 0 && totals.parked === 0 && totals.trips === totals.flying + totals.off ? 0 : 1;
  } finally {
    await server.remove();
  }
}

main().catch((error: unknown) => {
  console.error(error);
  process.exitCode = 1;
});
