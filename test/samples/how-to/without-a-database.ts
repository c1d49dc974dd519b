// docs/how-to/without-a-database.md
import { type Delivery, HoldfastModule, Message, MessageBus, OnMessage, Retry } from '@holdfast/nest';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { Injectable, Module } from '@nestjs/common';

@Message('report.requested')
export class ReportRequested {
  constructor(readonly reportId: string) {}
}

@Injectable()
export class ReportDesk {
  constructor(private readonly bus: MessageBus) {}

  /** When this returns, the broker has the message, on disk. */
  async request(reportId: string): Promise<void> {
    await this.bus.publish(new ReportRequested(reportId), { id: reportId });
  }
}

@Injectable()
export class Renderer {
  readonly rendered = new Set<string>();

  /** It may be called twice for one message, so the second time makes no difference: the report is written under its id. */
  @OnMessage(ReportRequested, { name: 'reports.render', concurrency: 4, timeout: '20s' })
  @Retry({ attempts: 3, backoff: { delay: '500ms', maxDelay: '5s' } })
  async render({ reportId }: ReportRequested, delivery: Delivery): Promise<void> {
    delivery.signal.throwIfAborted();
    if (reportId === '') throw new Error('a report needs an id');
    this.rendered.add(reportId);
  }
}

@Module({
  imports: [
    HoldfastModule.forRoot({
      service: 'reports',
      transport: rabbitmq({ url: process.env.RABBITMQ_URL ?? 'amqp://guest:guest@127.0.0.1:5672' }),
    }),
  ],
  providers: [ReportDesk, Renderer],
})
export class ReportsModule {}
