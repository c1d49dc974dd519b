// docs/how-to/handle-failures.md
import { Idempotent, OnMessage, Retry } from '@holdfast/nest';
import { Injectable } from '@nestjs/common';
import { StockMoved } from './stock.js';

@Injectable()
export class Couriers {
  readonly booked: string[] = [];

  /** The courier is often away for minutes: pause after a few failures, and ask less often. */
  @OnMessage(StockMoved, { name: 'couriers.book', failurePause: { messages: 10, share: 0.8, delay: '5s', maxDelay: '10m' } })
  @Retry({ attempts: 20, backoff: { delay: '1s', maxDelay: '5m' } })
  @Idempotent()
  async book({ sku }: StockMoved): Promise<void> {
    this.booked.push(sku);
  }
}
