import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Billing } from './billing.js';
import { CardGateway } from './card-gateway.js';
import { Charge } from './charge.entity.js';

@Module({
  imports: [
    TypeOrmModule.forRootAsync({
      useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities: [Charge], synchronize: true }),
    }),
    TypeOrmModule.forFeature([Charge]),
    HoldfastModule.forRoot({ service: 'billing', transport: database(), store: typeorm() }),
  ],
  providers: [Billing, CardGateway],
})
export class BillingModule {}
