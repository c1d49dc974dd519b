import { MessageBus, OnMessage, Transactional } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { PageCounted, PageViewed } from './pages.js';

@Injectable()
export class PageCounter {
  constructor(private readonly bus: MessageBus) {}

  /** What it publishes and the offsets of what it consumed are one Kafka transaction. No database is involved. */
  @OnMessage(PageViewed, { name: 'analytics.count', from: 'earliest', batchSize: 50 })
  @Transactional({ protocol: 'kafka' })
  async count({ url }: PageViewed): Promise<void> {
    const { host } = new URL(url);
    await this.bus.publish(new PageCounted(host, url), { key: host });
  }
}
