import { HoldfastModule } from '@holdfast/nest';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { transport } from '../transport.js';
import { Reservation } from './reservation.entity.js';
import { Shelf } from './shelf.entity.js';
import { Stock } from './stock.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.DATABASE_URL,
      schema: 'stock',
      entities: [Reservation, Shelf],
      synchronize: true,
    }),
    TypeOrmModule.forFeature([Reservation, Shelf]),
    HoldfastModule.forRoot({ service: 'stock', transport: transport(), store: typeorm() }),
  ],
  providers: [Stock],
})
export class StockModule {}
