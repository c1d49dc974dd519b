import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { type DynamicModule, Logger, type Type } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';

// Each service is an application of its own, in one process here: that their connections have the same name is no mistake.
Logger.overrideLogger(['fatal', 'error']);

/** What each of the services imports: a connection of its own to the database they share, and the bus. */
export function service(name: string, entities: Type[] = []): (DynamicModule | Promise<DynamicModule>)[] {
  return [
    TypeOrmModule.forRootAsync({ useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities, synchronize: true }) }),
    TypeOrmModule.forFeature(entities),
    HoldfastModule.forRoot({ service: name, transport: database(), store: typeorm() }),
  ];
}
