import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Sale } from './sale.entity.js';
import { Till } from './till.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Sale], synchronize: true }),
    TypeOrmModule.forFeature([Sale]),
    HoldfastModule.forRoot({ service: 'till', transport: database(), store: typeorm() }),
  ],
  providers: [Till],
})
export class TillModule {}
