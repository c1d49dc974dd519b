import { Sagas } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { BadDays } from './shop/bad-days.js';
import { Checkout } from './shop/checkout.js';
import { Account, Order, Shelf } from './shop/entities.js';

const PRICE = 30;
const MONEY = 100;
const PIECES = 10;
const CUSTOMERS = ['ann', 'ben', 'cleo', 'dan'];

/** What the account at the end is made of. */
export interface Totals {
  readonly orders: number;
  readonly shipped: number;
  readonly cancelled: number;
  readonly parked: number;
  /** Money and pieces that are missing, or there twice. */
  readonly lost: number;
}

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

  async repair(id: string): Promise<Totals> {
    this.say('\n3. The bank is open again, and a person resumes what is parked.');
    this.badDays.isBankClosed = false;
    await this.sagas.resume(id, { by: 'anna', reason: 'the bank is open' });
    await this.tell(id);
    return this.totals();
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

  private async totals(): Promise<Totals> {
    const orders = await this.dataSource.getRepository(Order).find();
    const [shelf] = await this.dataSource.getRepository(Shelf).find();
    const accounts = await this.dataSource.getRepository(Account).find();
    const { items: parked } = await this.sagas.list({ status: 'parked' });
    const shipped = orders.filter(({ status }) => status === 'shipped').length;
    const money = accounts.reduce((sum, { balance }) => sum + balance, 0) - CUSTOMERS.length * MONEY;
    const paid = (accounts.find(({ owner }) => owner === 'shop')?.balance ?? 0) - shipped * PRICE;
    const pieces = PIECES - shipped - (shelf?.pieces ?? 0);
    return {
      orders: orders.length,
      shipped,
      cancelled: orders.filter(({ status }) => status === 'cancelled').length,
      parked: parked.length,
      lost: Math.abs(money) + Math.abs(paid) + Math.abs(pieces),
    };
  }
}
