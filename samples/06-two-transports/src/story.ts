import { setTimeout as sleep } from 'node:timers/promises';
import type { EmbeddedKafka } from '@holdfast-internal/embedded-kafka';
import { Outbox } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Checkout } from './shop/checkout.js';
import { Payment } from './shop/payment.entity.js';
import { Sale } from './shop/sale.entity.js';

const PATIENCE_MS = 60_000;
const LOOK_MS = 20;

/** What the account at the end is made of. */
export interface Totals {
  readonly orders: number;
  readonly charged: number;
  readonly counted: number;
  readonly twice: number;
  readonly waiting: number;
}

/** Orders while both brokers are there, and while one of them is not. */
export class Story {
  private readonly checkout: Checkout;
  private readonly outbox: Outbox;
  private readonly dataSource: DataSource;
  private orders = 0;

  constructor(
    app: INestApplicationContext,
    private readonly say: (line: string) => void,
  ) {
    this.checkout = app.get(Checkout);
    this.outbox = app.get(Outbox);
    this.dataSource = app.get(DataSource);
  }

  async both(): Promise<void> {
    this.say('1. Both brokers are there.');
    await this.place(10);
    await this.until(async () => (await this.charged()) === 10 && (await this.counted()) === 10, 'ten orders are charged and counted');
    this.say('   10 orders: 10 commands over RabbitMQ, 10 events over Kafka.');
  }

  /** @param kafka one that may be ended; undefined: it is somebody's, and stays */
  async outage(kafka: EmbeddedKafka | undefined): Promise<void> {
    this.say('\n2. Kafka ends.');
    if (kafka === undefined) this.say('   KAFKA_BROKERS names one that is not ours to end; it goes on.');
    await kafka?.kill();
    await this.place(10);
    await this.until(async () => (await this.charged()) === 20, 'twenty orders are charged');
    this.say('   10 orders more, 20 payments: no command waits for the broker of the events.');
    if (kafka === undefined) return;
    const { transports } = await this.outbox.stats();
    for (const { transport, backlog } of transports) this.say(`   ${backlog} wait for the transport ${transport}.`);
    this.say('\n3. Kafka is back.');
    await kafka.start();
  }

  async account(): Promise<Totals> {
    await this.until(async () => (await this.counted()) === this.orders, 'all orders are counted');
    await this.until(async () => (await this.outbox.stats()).backlog === 0, 'nothing waits');
    const rows = [...(await this.dataSource.getRepository(Payment).find()), ...(await this.dataSource.getRepository(Sale).find())];
    const twice = rows.length - 2 * new Set(rows.map(({ orderId }) => orderId)).size;
    const { backlog: waiting } = await this.outbox.stats();
    return { orders: this.orders, charged: await this.charged(), counted: await this.counted(), twice, waiting };
  }

  private async place(count: number): Promise<void> {
    for (let n = 0; n < count; n += 1) {
      this.orders += 1;
      await this.checkout.place(`o-${this.orders}`, 25);
    }
  }

  private charged(): Promise<number> {
    return this.dataSource.getRepository(Payment).count();
  }

  private counted(): Promise<number> {
    return this.dataSource.getRepository(Sale).count();
  }

  private async until(isTrue: () => Promise<boolean>, what: string): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!(await isTrue())) {
      if (performance.now() > deadlineMs) throw new Error(`waited ${PATIENCE_MS / 1000} s in vain until ${what}`);
      await sleep(LOOK_MS);
    }
  }
}
