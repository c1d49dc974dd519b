import { HandKafkaShop } from '../hand/hand-kafka-shop.js';
import { HandRabbitShop } from '../hand/hand-rabbit-shop.js';
import { HandShop } from '../hand/hand-shop.js';
import type { Bench } from '../runner/bench.js';
import { NestShop, type NestShopOptions } from './nest-shop.js';
import { Ledger, newOrder, type Order, type Shop } from './shop.js';

/** Orders per transaction when a log is filled. */
const FILL_UNIT = 50;

/** A shop on a database of its own, and the account of what it was given. */
export interface Side<S extends Shop> {
  readonly shop: S;
  readonly url: string;
  readonly ledger: Ledger;
  /** Orders placed so far; whoever places some adds them. */
  orders: number;
  /** Checks that every order has exactly one payment, and lets go. */
  end(): Promise<void>;
}

/** Opens a shop on Holdfast; `before` sees the database first. */
export async function oursIn(
  bench: Bench,
  options: Omit<NestShopOptions, 'url'>,
  before: (url: string, ledger: Ledger) => Promise<void> = async () => undefined,
): Promise<Side<NestShop>> {
  const url = await bench.database();
  const ledger = await ledgerOf(url);
  await before(url, ledger);
  return sideOf(await NestShop.open({ url, ...options }), url, ledger);
}

/** Opens a shop by hand, on plain pg or as `Shop` does it. */
export async function handIn(bench: Bench, Shop: new (url: string) => HandShop = HandShop): Promise<Side<HandShop>> {
  const url = await bench.database();
  const ledger = await ledgerOf(url);
  const shop = new Shop(url);
  await shop.createTables();
  return sideOf(shop, url, ledger);
}

/** Opens a shop by hand over RabbitMQ. @param batchSize messages a transaction of its consumer, at most; 0 for no consumer */
export async function handRabbitIn(bench: Bench, batchSize: number): Promise<Side<HandRabbitShop>> {
  const url = await bench.database();
  const ledger = await ledgerOf(url);
  const shop = new HandRabbitShop(url);
  await shop.createTables();
  await shop.connect(await bench.rabbit(), batchSize);
  return sideOf(shop, url, ledger);
}

/** The same over Kafka. */
export async function handKafkaIn(bench: Bench, batchSize: number): Promise<Side<HandKafkaShop>> {
  const url = await bench.database();
  const ledger = await ledgerOf(url);
  const shop = new HandKafkaShop(url);
  await shop.createTables();
  await shop.connect(await bench.kafka(), batchSize);
  return sideOf(shop, url, ledger);
}

/** Places `count` orders, many in a transaction, without waiting for payments. */
export async function fill(count: number, placeAll: (orders: readonly Order[]) => Promise<void>): Promise<void> {
  for (let done = 0; done < count; done += FILL_UNIT) {
    await placeAll(Array.from({ length: Math.min(FILL_UNIT, count - done) }, newOrder));
  }
}

async function ledgerOf(url: string): Promise<Ledger> {
  const ledger = new Ledger(url);
  await ledger.createTables();
  return ledger;
}

function sideOf<S extends Shop & { close(): Promise<void> }>(shop: S, url: string, ledger: Ledger): Side<S> {
  const side: Side<S> = {
    shop,
    url,
    ledger,
    orders: 0,
    end: async () => {
      await shop.close();
      await ledger.check(side.orders);
      await ledger.close();
    },
  };
  return side;
}
