import { setTimeout as sleep } from 'node:timers/promises';
import { type DeadLetter, DeadLetters } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Billing } from './billing/billing.js';
import { CardGateway } from './billing/card-gateway.js';
import { Charge } from './billing/charge.entity.js';
import { OrderPlaced } from './billing/order-placed.js';

const PATIENCE_MS = 30_000;
const LOOK_MS = 20;
const OPERATOR = { by: 'anna' };

/** Dead letters of the same error. */
interface Group {
  readonly group: string;
  readonly count: number;
  readonly sample: DeadLetter;
}

/** What the account at the end is made of. */
export interface Totals {
  readonly orders: number;
  readonly charged: number;
  readonly redriven: number;
  readonly discarded: number;
  readonly left: number;
  readonly twice: number;
}

/** A short failure, an outage, and what a person does afterwards. */
export class Story {
  private readonly billing: Billing;
  private readonly gateway: CardGateway;
  private readonly deadLetters: DeadLetters;
  private readonly dataSource: DataSource;
  private orders = 0;

  constructor(
    app: INestApplicationContext,
    private readonly say: (line: string) => void,
  ) {
    this.billing = app.get(Billing);
    this.gateway = app.get(CardGateway);
    this.deadLetters = app.get(DeadLetters);
    this.dataSource = app.get(DataSource);
  }

  async shortFailure(): Promise<void> {
    this.say('1. The gateway is down for a moment.');
    this.gateway.isUp = false;
    await this.place(10);
    await this.until(() => this.gateway.calls >= 5, 'half of them were tried');
    this.gateway.isUp = true;
    await this.until(async () => (await this.charges()) === 10, 'ten orders are charged');
    this.say(`   10 orders, ${this.gateway.calls} calls, 10 charges: retries were enough, nobody had to do anything.`);
  }

  async outage(): Promise<void> {
    this.say('\n2. The gateway is down for longer than four attempts take.');
    await this.place(2, { card: 'declined' });
    await this.place(1, { currency: 'XAU' });
    await this.until(async () => (await this.dead()) === 3, 'three orders are refused');
    this.gateway.isUp = false;
    await this.place(6);
    await this.until(async () => (await this.dead()) === 9, 'nine dead letters');
    this.say('   Dead letters, by what went wrong:');
    for (const { count, sample } of await this.groups()) {
      const { code, message } = sample.error;
      this.say(
        `   ${String(count).padStart(4)} × ${code}: ${message} (after ${sample.attempts} ${sample.attempts === 1 ? 'attempt' : 'attempts'})`,
      );
    }
  }

  /** Redrives what the outage broke and gives up what nobody can charge. */
  async repair(): Promise<Totals> {
    this.say('\n3. The gateway is back, and a person decides.');
    this.gateway.isUp = true;
    const { count: redriven } = await this.deadLetters.redrive({ code: 'GatewayDown' }, { ...OPERATOR, reason: 'the gateway is back' });
    await this.until(async () => (await this.charges()) === 16, 'the redriven orders are charged');
    this.say(`   ${redriven} redriven: each goes to its own subscription again, with fresh attempts.`);
    let discarded = 0;
    for (const { group } of await this.groups()) {
      const { count } = await this.deadLetters.discard({ group }, { ...OPERATOR, reason: 'the customers were asked to pay otherwise' });
      discarded += count;
    }
    this.say(`   ${discarded} discarded, with the reason in the audit table.`);
    return this.totals(redriven, discarded);
  }

  private async totals(redriven: number, discarded: number): Promise<Totals> {
    const rows = await this.dataSource.getRepository(Charge).find();
    const twice = rows.length - new Set(rows.map(({ orderId }) => orderId)).size;
    // The gateway's memory, not ours: what it charged beyond our rows would be money taken twice.
    const strangers = this.gateway.charged - rows.length;
    return { orders: this.orders, charged: rows.length, redriven, discarded, left: await this.dead(), twice: twice + strangers };
  }

  private async place(
    count: number,
    { card = 'good', currency = 'EUR' }: Partial<Pick<OrderPlaced, 'card' | 'currency'>> = {},
  ): Promise<void> {
    const orders = Array.from({ length: count }, (_, n) => new OrderPlaced(`o-${this.orders + n + 1}`, 25, currency, card));
    this.orders += count;
    await this.billing.place(orders);
  }

  private charges(): Promise<number> {
    return this.dataSource.getRepository(Charge).count();
  }

  private groups(): Promise<readonly Group[]> {
    return this.deadLetters.groups({ subscription: 'billing.charge' });
  }

  private async dead(): Promise<number> {
    return (await this.groups()).reduce((sum, { count }) => sum + count, 0);
  }

  private async until(isTrue: () => boolean | Promise<boolean>, what: string): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!(await isTrue())) {
      if (performance.now() > deadlineMs) throw new Error(`waited ${PATIENCE_MS / 1000} s in vain until ${what}`);
      await sleep(LOOK_MS);
    }
  }
}
