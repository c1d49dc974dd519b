import { Module } from '@nestjs/common';
import { OutboxModule } from '../outbox/outbox.module.js';
import { HoldfastTransport } from './holdfast.transport.js';
import { Orders } from './orders.js';
import { OrdersDatabaseModule } from './orders-database.module.js';

@Module({
  imports: [
    OrdersDatabaseModule,
    OutboxModule.forRoot({
      transports: { broker: HoldfastTransport },
    }),
  ],
  providers: [Orders],
})
export class OrdersModule {}
