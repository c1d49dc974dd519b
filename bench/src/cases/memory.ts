import { ServiceProcess } from '../child/service-process.js';
import type { Case } from '../runner/bench.js';
import { valueAtMost } from '../runner/result.js';
import { until } from '../runner/wait.js';
import { NestShop } from '../shop/nest-shop.js';
import { Ledger } from '../shop/shop.js';
import { fill } from '../shop/side.js';

const MB = 1024 * 1024;

/** Handled before it is measured: what compiled code and warm connections take has nothing to do with a backlog. */
const WARM_UP = 2000;

/** A backlog must not end up in memory: what a warm process grows by while it works one off. */
export const memory: Case = {
  name: 'memory',
  async run(bench) {
    const count = bench.size(200_000, 30_000);
    const url = await bench.database();
    const ledger = new Ledger(url);
    await ledger.createTables();
    const payment = await ServiceProcess.start({ url, service: 'payment', payments: { batchSize: 64 } });
    const orders = await NestShop.open({ url, service: 'orders' });
    await fill(WARM_UP, (some) => orders.placeAll(some));
    await until('the first orders paid', 60_000, async () => (await ledger.payments()) >= WARM_UP);
    await payment.ask({ do: 'pause' });
    await fill(count, (some) => orders.placeAll(some));
    await payment.ask({ do: 'memory' });
    await payment.ask({ do: 'resume' });
    await until('all orders paid', 600_000, async () => (await ledger.payments()) >= WARM_UP + count);
    const measured = await payment.ask({ do: 'memory' });
    await payment.stop();
    await orders.close();
    await ledger.check(WARM_UP + count);
    await ledger.close();
    if (measured === undefined) throw new Error('the process did not tell its memory');
    const value = (measured.most - measured.first) / MB;
    bench.note(`from ${(measured.first / MB).toFixed(0)} MB to ${(measured.most / MB).toFixed(0)} MB`);
    return [
      valueAtMost(60, { name: `resident memory while draining ${count.toLocaleString('en-US')} messages, growth`, value, unit: 'MB' }),
    ];
  },
};
