import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Reservation } from './reservation.entity.js';
import { Stock } from './stock.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, schema: 'stock', entities: [Reservation], synchronize: true }),
    TypeOrmModule.forFeature([Reservation]),
    HoldfastModule.forRoot({ service: 'stock', transport: database(), store: typeorm() }),
  ],
  providers: [Stock],
})
export class StockModule {}
