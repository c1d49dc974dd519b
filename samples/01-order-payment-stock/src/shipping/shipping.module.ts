import { HoldfastModule } from '@holdfast/nest';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { transport } from '../transport.js';
import { FulfilOrderSaga } from './fulfil-order.saga.js';
import { Parcel } from './parcel.entity.js';
import { Shipping } from './shipping.js';

@Module({
  imports: [
    TypeOrmModule.forRoot({ type: 'postgres', url: process.env.DATABASE_URL, schema: 'shipping', entities: [Parcel], synchronize: true }),
    TypeOrmModule.forFeature([Parcel]),
    HoldfastModule.forRoot({ service: 'shipping', transport: transport(), store: typeorm() }),
  ],
  providers: [Shipping, FulfilOrderSaga],
})
export class ShippingModule {}
