import { type Delivery, MessageBus, OnMessage } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { PageCounted, PageViewed } from './pages.js';

/** Publishes page views, and says what the counters made of them. */
@Injectable()
export class Report {
  /** Counts by the id of their message: what is read again is the same one. */
  private readonly counts = new Map<string, PageCounted>();

  constructor(private readonly bus: MessageBus) {}

  async view(from: number, to: number): Promise<void> {
    const numbers = Array.from({ length: to - from }, (_, index) => from + index);
    await Promise.all(
      numbers.map((n) => this.bus.publish(new PageViewed(`https://site-${n % 5}.example/${n}`), { key: `visitor ${n % 20}` })),
    );
  }

  @OnMessage(PageCounted, { name: 'web.report', from: 'earliest' })
  async counted(counted: PageCounted, { id }: Delivery): Promise<void> {
    this.counts.set(id, counted);
  }

  /** Waits until so many pages were counted. */
  async until(pages: number): Promise<void> {
    while (this.pages.size < pages) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  get pages(): ReadonlySet<string> {
    return new Set([...this.counts.values()].map(({ url }) => url));
  }

  get twice(): number {
    return this.counts.size - this.pages.size;
  }

  hosts(): string {
    const counts = new Map<string, number>();
    for (const { host } of this.counts.values()) counts.set(host, (counts.get(host) ?? 0) + 1);
    return [...counts]
      .sort()
      .map(([host, count]) => `${host} ${count}`)
      .join(', ');
  }
}
