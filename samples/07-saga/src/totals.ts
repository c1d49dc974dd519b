import { Sagas } from '@holdfast/nest';
import type { INestApplicationContext } from '@nestjs/common';
import { DataSource } from 'typeorm';
import { Account, Order, Shelf } from './shop/entities.js';

/** What there is at first, and what a lamp costs. */
export const PRICE = 30;
export const MONEY = 100;
export const PIECES = 10;
export const CUSTOMERS = ['ann', 'ben', 'cleo', 'dan'];

/** What the account at the end is made of. */
export interface Totals {
  readonly orders: number;
  readonly shipped: number;
  readonly cancelled: number;
  readonly returned: number;
  readonly parked: number;
  /** Money and pieces that are missing, or there twice. */
  readonly lost: number;
}

export async function totalsOf(app: INestApplicationContext): Promise<Totals> {
  const dataSource = app.get(DataSource);
  const orders = await dataSource.getRepository(Order).find();
  const [shelf] = await dataSource.getRepository(Shelf).find();
  const accounts = await dataSource.getRepository(Account).find();
  const { items: parked } = await app.get(Sagas).list({ status: 'parked' });
  const count = (wanted: Order['status']) => orders.filter(({ status }) => status === wanted).length;
  const shipped = count('shipped');
  const money = accounts.reduce((sum, { balance }) => sum + balance, 0) - CUSTOMERS.length * MONEY;
  const paid = (accounts.find(({ owner }) => owner === 'shop')?.balance ?? 0) - shipped * PRICE;
  const pieces = PIECES - shipped - (shelf?.pieces ?? 0);
  return {
    orders: orders.length,
    shipped,
    cancelled: count('cancelled'),
    returned: count('returned'),
    parked: parked.length,
    lost: Math.abs(money) + Math.abs(paid) + Math.abs(pieces),
  };
}
