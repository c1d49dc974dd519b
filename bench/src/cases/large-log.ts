import type { Case } from '../runner/bench.js';
import { ratioAtLeast } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { NestShop } from '../shop/nest-shop.js';
import { type Ledger, placeAndPay, type Shop } from '../shop/shop.js';
import { oursIn, type Side } from '../shop/side.js';

const ROWS = 1_000_000;

/** A log of many rows that are still kept, against one that was empty at the start. */
export const largeLog: Case = {
  name: 'large-log',
  async run(bench) {
    const count = bench.size(4000, 1000);
    const full = await oursIn(bench, { payments: {} }, fillLog);
    const empty = await oursIn(bench, { payments: {} });
    const round = (side: Side<Shop>) => () => {
      side.orders += count;
      return placeAndPay(side.shop, side.ledger, count);
    };
    const measured = await alternate(bench.size(7, 3), round(full), round(empty));
    await full.end();
    await empty.end();
    return [ratioAtLeast(0.8, { name: 'order → payment with 1 M rows in the log, against an empty one', unit: 'orders/s', ...measured })];
  },
};

/** Makes the log, and rows in it that were there before the subscription. */
async function fillLog(url: string, ledger: Ledger): Promise<void> {
  const publisher = await NestShop.open({ url, service: 'before' });
  await publisher.close();
  await ledger.query(
    `insert into holdfast_outbox (lane, id, type, key, attributes, body)
     select lane, nextval(('holdfast_lane_' || lane)::regclass), 'something.else', null, '{}', '{}'
     from (select n % 32 as lane from generate_series(1, $1::int) n) rows`,
    [ROWS],
  );
  await ledger.query('vacuum analyze holdfast_outbox');
}
