import { Sagas } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BadDays } from './shop/bad-days.js';
import { Checkout } from './shop/checkout.js';
import { Account, Shelf } from './shop/entities.js';
import { CUSTOMERS, MONEY, PIECES, PRICE } from './totals.js';

/** Orders that go well, orders that are undone, and one whose undoing needs a person. */
export class Story {
  private readonly checkout: Checkout;
  private readonly sagas: Sagas;
  private readonly badDays: BadDays;
  private readonly dataSource: DataSource;
  private orders = 0;

  constructor(
    app: INestApplicationContext,
    private readonly say: (line: string) => void,
  ) {
    this.checkout = app.get(Checkout);
    this.sagas = app.get(Sagas);
    this.badDays = app.get(BadDays);
    this.dataSource = app.get(DataSource);
  }

  async stock(): Promise<void> {
    await this.dataSource.getRepository(Shelf).insert({ article: 'lamp', pieces: PIECES });
    const accounts = [{ owner: 'shop', balance: 0 }, ...CUSTOMERS.map((owner) => ({ owner, balance: MONEY }))];
    await this.dataSource.getRepository(Account).insert(accounts);
  }

  async goodAndBad(): Promise<void> {
    this.say('1. Four customers order; dan wants more than he can pay.');
    for (const customer of CUSTOMERS) await this.order(customer, customer === 'dan' ? MONEY + 1 : PRICE);
    this.say('   Ann clicks twice:');
    await this.checkout.place('o-1', 'ann', PRICE);
    await this.tell('o-1');
  }

  /** The van breaks, so the order is undone; and the bank is closed, so it cannot be. */
  async park(): Promise<string> {
    this.say('\n2. The van is broken, and then the bank is closed.');
    this.badDays.isVanBroken = true;
    await this.order('ben', PRICE);
    this.badDays.isBankClosed = true;
    const id = await this.order('cleo', PRICE);
    for (const { step, event, detail } of (await this.sagas.get(id))?.history ?? [])
      this.say(`     ${[step, event].filter(Boolean).join(' ')}${detail === undefined ? '' : `: ${detail}`}`);
    return id;
  }

  async repair(id: string): Promise<void> {
    this.say('\n3. The bank is open again, and a person resumes what is parked.');
    this.badDays.isBankClosed = false;
    await this.sagas.resume(id, { by: 'anna', reason: 'the bank is open' });
    await this.tell(id);
  }

  private async order(customer: string, total: number): Promise<string> {
    this.orders += 1;
    const id = await this.checkout.place(`o-${this.orders}`, customer, total);
    await this.tell(id);
    return id;
  }

  private async tell(id: string): Promise<void> {
    const outcome = await this.sagas.result(id);
    const why = outcome.status === 'completed' ? '' : `, because of ${outcome.failure.step}: ${outcome.failure.message}`;
    this.say(`   ${id} is ${outcome.status}${why}`);
  }
}
