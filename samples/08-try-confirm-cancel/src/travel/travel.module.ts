import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { CardGateway } from './card-gateway.js';
import { Cards } from './cards.js';
import { Night, Trip } from './entities.js';
import { Rooms } from './rooms.js';
import { Trips } from './trips.js';

const ENTITIES = [Trip, Night];

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities: ENTITIES, synchronize: true }),
    }),
    TypeOrmModule.forFeature(ENTITIES),
    HoldfastModule.forRoot({ service: 'travel', transport: database(), store: typeorm() }),
  ],
  providers: [Trips, Rooms, Cards, CardGateway],
})
export class TravelModule {}
