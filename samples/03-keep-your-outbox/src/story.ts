import { setTimeout as sleep } from 'node:timers/promises';
import { subscribe } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BillingController } from './billing/billing.controller.js';
import { Charge } from './billing/charge.entity.js';
import { Orders } from './orders/orders.js';
import { Outbox } from './outbox/outbox.js';
import { OutboxRow } from './outbox/outbox-row.entity.js';

const PATIENCE_MS = 30_000;
const LOOK_MS = 20;
const ORDERS = 10;

/** What the account at the end is made of. */
export interface Totals {
  readonly orders: number;
  readonly charged: number;
  readonly twice: number;
  readonly repeats: number;
  readonly refused: number;
  readonly waiting: number;
}

/** Orders before and after the second of the two lines, seen from outside. */
export class Story {
  private readonly charges;
  private orders = 0;
  private repeats = 0;
  private readonly stopCounting: () => void;

  constructor(
    private readonly billing: INestApplicationContext,
    private readonly say: (line: string) => void,
  ) {
    this.charges = billing.get(DataSource).getRepository(Charge);
    this.stopCounting = subscribe('delivery:duplicate', () => {
      this.repeats += 1;
    });
  }

  async before(orders: INestApplicationContext): Promise<void> {
    this.say(
      '1. billing has changed its line: its handlers run under HoldfastStrategy. orders sends its outbox with a ClientProxy, as before.',
    );
    await this.place(orders);
    // As if its process had died after sending and before noting it.
    await this.sendAgain(orders, 1);
    await this.until(() => this.repeats === 1, 'the repeat is known');
    this.say(
      `   ${this.orders} orders, ${await this.charges.count()} charges. One took ${this.billing.get(BillingController).mostAttempts} attempts, one was sent twice.`,
    );
  }

  async after(orders: INestApplicationContext): Promise<Totals> {
    this.say('\n2. orders has changed its line: its relay publishes through HoldfastOutboxTransport.');
    await this.place(orders);
    // Sent by the old transport before, and now by the new one.
    await this.sendAgain(orders, 2);
    await this.until(() => this.repeats === 2, 'the repeat is known');
    this.say(`   ${this.orders} orders, ${await this.charges.count()} charges. One of step 1 was sent again, and is known as a repeat.`);
    await this.tellNobody(orders);
    return this.totals(orders);
  }

  private async totals(orders: INestApplicationContext): Promise<Totals> {
    this.stopCounting();
    const charged = await this.charges.find();
    const rows = await orders.get(DataSource).getRepository(OutboxRow).find();
    return {
      orders: this.orders,
      charged: charged.length,
      twice: charged.length - new Set(charged.map(({ orderId }) => orderId)).size,
      repeats: this.repeats,
      refused: rows.filter(({ isDead }) => isDead).length,
      waiting: rows.filter(({ isDead }) => !isDead).length,
    };
  }

  private async place(app: INestApplicationContext): Promise<void> {
    const orders = app.get(Orders);
    for (let n = 1; n <= ORDERS; n += 1) await orders.place(`o-${this.orders + n}`, 25);
    this.orders += ORDERS;
    await this.until(async () => (await this.charges.count()) === this.orders, `${this.orders} orders are charged`);
  }

  private async sendAgain(app: INestApplicationContext, order: number): Promise<void> {
    const orderId = `o-${order}`;
    const message = { topic: 'order.placed', key: orderId, id: `placed-${orderId}`, payload: { orderId, amount: 25 } };
    await app.get(Outbox).add(app.get(DataSource).manager, message);
  }

  /** A ClientProxy would have left it in a queue that nobody looks for it in. */
  private async tellNobody(app: INestApplicationContext): Promise<void> {
    const { manager } = app.get(DataSource);
    await app.get(Outbox).add(manager, { topic: 'order.audited', payload: { orderId: 'o-1' } });
    const dead = () => manager.findOneBy(OutboxRow, { isDead: true });
    await this.until(async () => (await dead()) !== null, 'the outbox has a dead letter');
    this.say(`   What nobody wants is a dead letter of the outbox, at once: ${(await dead())?.lastError}`);
  }

  private async until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!(await isTrue())) {
      if (performance.now() > deadlineMs) throw new Error(`waited ${PATIENCE_MS / 1000} s in vain until ${what}`);
      await sleep(LOOK_MS);
    }
  }
}
