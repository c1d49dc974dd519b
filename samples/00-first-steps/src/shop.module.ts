import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Letter, Mail } from './mail.js';
import { Order, Shop } from './shop.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Order, Letter], synchronize: true }),
    }),
    TypeOrmModule.forFeature([Order, Letter]),
    HoldfastModule.forRoot({ service: 'shop', transport: database(), store: typeorm() }),
  ],
  providers: [Shop, Mail],
})
export class ShopModule {}
