// docs/how-to/tune.md
import { HoldfastModule } from '@holdfast/nest';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { Module } from '@nestjs/common';
import { TypeOrmModule } from '@nestjs/typeorm';
import { Accounts, Balance } from './accounts.js';
import { DeadLetterAlerts } from './alerts.js';
import { Cards, Checkout, Payment } from './cards.js';
import { Couriers } from './couriers.js';
import { Catalogue, HealthController, Readiness } from './deploy.js';
import { Invoice, InvoiceApi, Invoices, Reminders } from './invoices.js';
import { OperationsController } from './operations.controller.js';
import { Warehouse } from './orders-v2.js';
import { Payouts } from './payouts.js';
import { Price, Prices } from './prices.js';
import { Refund, Refunds, ServiceDesk } from './refunds.js';
import { Audit, AuditEntry, Stock, StockItem } from './stock.js';

const entities = [Balance, Price, Invoice, Refund, StockItem, AuditEntry, Payment];

export const databaseModule = TypeOrmModule.forRootAsync({
  useFactory: () => ({ type: 'postgres', url: process.env.DATABASE_URL, entities, synchronize: true, poolSize: 20 }),
});

export const holdfastModule = HoldfastModule.forRoot({
  service: 'shop',
  transport: database(),
  store: typeorm(),
  stopTimeout: '20s',
  defaults: { retry: 8, timeout: '10s', concurrency: 5 },
});

@Module({
  imports: [databaseModule, TypeOrmModule.forFeature(entities), holdfastModule],
  controllers: [OperationsController, HealthController, Readiness],
  providers: [
    Accounts,
    Audit,
    Cards,
    Catalogue,
    Checkout,
    Couriers,
    DeadLetterAlerts,
    InvoiceApi,
    Invoices,
    Payouts,
    Prices,
    Refunds,
    Reminders,
    ServiceDesk,
    Stock,
    Warehouse,
  ],
})
export class AppModule {}
