// One decorator, one word per protocol: the Kafka part.
import { HoldfastModule, Message, MessageBus, OnMessage, Transactional } from '@holdfast/nest';
import { kafka } from '@holdfast/transport-kafka';
import { Injectable, Module } from '@nestjs/common';

@Message('page.viewed', { destination: 'analytics:page-views' })
export class PageViewed {
  constructor(readonly url: string) {}
}

@Message('page.counted', { destination: 'analytics:page-counts' })
export class PageCounted {
  constructor(readonly host: string) {}
}

// Consume, transform, produce: offsets and output in one Kafka transaction.
@Injectable()
export class PageCounter {
  constructor(private readonly bus: MessageBus) {}

  @OnMessage(PageViewed, { name: 'analytics.count', from: 'earliest', batchSize: 500 })
  @Transactional({ protocol: 'kafka' })
  async count(event: PageViewed): Promise<void> {
    const { host } = new URL(event.url);
    await this.bus.publish(new PageCounted(host), { key: host });
  }
}

@Module({
  imports: [
    HoldfastModule.forRoot({
      service: 'transfers',
      transports: {
        default: kafka({ brokers: ['localhost:9092'] }),
        analytics: kafka({ brokers: ['localhost:9092'], transactionalId: 'transfers-analytics' }),
      },
    }),
  ],
  providers: [PageCounter],
})
export class TransfersModule {}
