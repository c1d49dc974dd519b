import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Booking } from './booking.entity.js';
import { Books } from './books.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Booking], synchronize: true }),
    }),
    TypeOrmModule.forFeature([Booking]),
    HoldfastModule.forRoot({ service: 'books', transport: database(), store: typeorm() }),
  ],
  providers: [Books],
})
export class BooksModule {}
