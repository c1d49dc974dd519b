import { countingProxy, type SpokenTransaction, transactionsIn } from '@holdfast-internal/embedded-postgres';
import type { Case } from '../runner/bench.js';
import { valueAtMost } from '../runner/result.js';
import { NestSagas } from '../shop/nest-sagas.js';
import { EFFECTS, orderAt, sagaLedger } from '../shop/saga-shop.js';

const WROTE = new RegExp(`insert into (?:${EFFECTS.join('|')})`);

/** What a local step says to the server, its one business row included: counted on the wire, so that load changes nothing. */
export const sagaTrips: Case = {
  name: 'saga-trips',
  async run(bench) {
    const url = await bench.database();
    const ledger = await sagaLedger(url);
    const proxy = await countingProxy(url);
    const shop = await NestSagas.open(proxy.url);
    const count = bench.size(300, 100);
    for (let index = 0; index < count; index += 1) await shop.startAndWait(orderAt(index, false).order, false);
    await shop.close();
    await proxy.close();
    await ledger.close();
    const steps = proxy.conversations.flatMap(transactionsIn).filter(({ sent }) => WROTE.test(sent));
    if (steps.length !== count * EFFECTS.length)
      throw new Error(`${steps.length} transactions of ${count * EFFECTS.length} steps were seen`);
    if (steps.some(({ commits }) => commits < 1)) throw new Error('a step was not seen to commit');
    return [
      valueAtMost(4, { name: 'round trips per local step', value: mean(steps, 'roundTrips'), unit: 'round trips' }),
      valueAtMost(1, { name: 'commits per local step', value: mean(steps, 'commits'), unit: 'commits' }),
    ];
  },
};

function mean(steps: readonly SpokenTransaction[], of: 'roundTrips' | 'commits'): number {
  return steps.reduce((sum, step) => sum + step[of], 0) / steps.length;
}
