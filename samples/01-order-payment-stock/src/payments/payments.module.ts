import { HoldfastModule } from '@holdfast/nest';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { transport } from '../transport.js';
import { Account } from './account.entity.js';
import { Payment } from './payment.entity.js';
import { Payments } from './payments.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({
      type: 'postgres',
      url: process.env.DATABASE_URL,
      schema: 'payments',
      entities: [Account, Payment],
      synchronize: true,
    }),
    TypeOrmModule.forFeature([Account, Payment]),
    HoldfastModule.forRoot({ service: 'payments', transport: transport(), store: typeorm() }),
  ],
  providers: [Payments],
})
export class PaymentsModule {}
