import { Module } from '@nestjs/common';
import { broker } from '../broker.js';
import { ClientProxyTransport } from '../outbox/client-proxy.transport.js';
import { OutboxModule } from '../outbox/outbox.module.js';
import { Orders } from './orders.js';
import { OrdersDatabaseModule } from './orders-database.module.js';

@Module({
  imports: [
    OrdersDatabaseModule,
    OutboxModule.forRoot({
      transports: { broker: ClientProxyTransport({ url: broker.url, queue: broker.queue }) },
    }),
  ],
  providers: [Orders],
})
export class OrdersBeforeModule {}
