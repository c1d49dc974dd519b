import { HandRemoteSagas } from '../hand/hand-remote-sagas.js';
import { HandSagas } from '../hand/hand-sagas.js';
import type { Bench, Case } from '../runner/bench.js';
import { ratioAtLeast, type Result } from '../runner/result.js';
import { alternate } from '../runner/statistics.js';
import { inParallel, until } from '../runner/wait.js';
import { NestRemoteSagas, type RemotePlaces } from '../shop/nest-remote-sagas.js';
import { NestSagas } from '../shop/nest-sagas.js';
import { checkEffects, orderAt, SAGAS_AT_ONCE, sagaLedger, type SagaShop } from '../shop/saga-shop.js';
import { CALLERS, type Ledger, rate } from '../shop/shop.js';

/** Started before each round, so that connections and statements are warm. */
const WARM_UP = 50;
const TIMEOUT_MS = 300_000;

/** How sagas are started in a round. */
interface Way {
  readonly name: string;
  readonly target: number;
  readonly isSomeRefused: boolean;
  start(shop: SagaShop, count: number, isSomeRefused: boolean): Promise<void>;
}

/** A saga of three local steps, each a transaction with one row of the business, against three transactions by hand that move a row. */
export const sagaLocal: Case = {
  name: 'saga-local',
  async run(bench) {
    return [
      await measure(bench, localSides, {
        name: 'saga of three local steps, started by 32 callers',
        target: 0.6,
        isSomeRefused: false,
        start: startAll,
      }),
      await measure(bench, localSides, {
        name: 'the same, 10 callers wait for their result',
        target: 0.6,
        isSomeRefused: false,
        start: waitForAll,
      }),
    ];
  },
};

/** The same when every tenth is refused by its last step, and what the two before it did is undone. */
export const sagaUndo: Case = {
  name: 'saga-undo',
  async run(bench) {
    return [
      await measure(bench, localSides, {
        name: 'saga, 10 % undone from the third step',
        target: 0.5,
        isSomeRefused: true,
        start: startAll,
      }),
    ];
  },
};

/** The same with three steps in another service, against request and reply by hand with outbox and inbox on both ends. */
export const rabbitmqSaga: Case = {
  name: 'rabbitmq-saga',
  async run(bench) {
    return [
      await measure(bench, remoteSides, {
        name: 'RabbitMQ: saga of three remote steps, started by 32 callers',
        target: 0.7,
        isSomeRefused: false,
        start: startAll,
      }),
      await measure(bench, remoteSides, {
        name: 'RabbitMQ: the same, 10 callers wait for their result',
        target: 0.7,
        isSomeRefused: false,
        start: waitForAll,
      }),
    ];
  },
};

const localSides: SagaSides = async (bench) => ({
  ours: await sideOf(bench, NestSagas.open),
  hand: await sideOf(bench, async (url) => {
    const shop = new HandSagas(url);
    await shop.createTables();
    return shop;
  }),
});

/** Both ends of each side have a database of their own, and the effects are in that of the partner. */
const remoteSides: SagaSides = async (bench) => {
  const between = (open: (places: RemotePlaces) => Promise<SagaShop>) => async (partner: string) =>
    open({ shop: await bench.database(), partner, rabbit: await bench.rabbit() });
  return { ours: await sideOf(bench, between(NestRemoteSagas.open)), hand: await sideOf(bench, between(HandRemoteSagas.open)) };
};

async function startAll(shop: SagaShop, count: number, isSomeRefused: boolean): Promise<void> {
  const goal = shop.ended + count;
  await inParallel(count, CALLERS, (index) => {
    const { order, isRefused } = orderAt(index, isSomeRefused);
    return shop.start(order, isRefused);
  });
  await until('all sagas ended', TIMEOUT_MS, () => shop.ended >= goal);
}

async function waitForAll(shop: SagaShop, count: number, isSomeRefused: boolean): Promise<void> {
  await inParallel(count, SAGAS_AT_ONCE, (index) => {
    const { order, isRefused } = orderAt(index, isSomeRefused);
    return shop.startAndWait(order, isRefused);
  });
}

async function measure(bench: Bench, sidesOf: SagaSides, way: Way): Promise<Result> {
  const { ours, hand } = await sidesOf(bench);
  const count = bench.size(3000, 500);
  const measured = await alternate(
    bench.size(7, 3),
    () => round(ours, way, count),
    () => round(hand, way, count),
  );
  for (const { shop, ledger, completed } of [ours, hand]) {
    await shop.close();
    await checkEffects(ledger, completed);
    await ledger.close();
  }
  return ratioAtLeast(way.target, { name: way.name, unit: 'sagas/s', ...measured });
}

interface SagaSide {
  readonly shop: SagaShop;
  readonly ledger: Ledger;
  /** Sagas so far that were not refused. */
  completed: number;
}

type SagaSides = (bench: Bench) => Promise<{ readonly ours: SagaSide; readonly hand: SagaSide }>;

/** @param open with the address of the database that the effects are in */
async function sideOf(bench: Bench, open: (url: string) => Promise<SagaShop>): Promise<SagaSide> {
  const url = await bench.database();
  const ledger = await sagaLedger(url);
  return { shop: await open(url), ledger, completed: 0 };
}

async function round(side: SagaSide, { start, isSomeRefused }: Way, count: number): Promise<number> {
  const { shop } = side;
  shop.startPolling?.();
  await start(shop, WARM_UP, false);
  side.completed += WARM_UP + (isSomeRefused ? count * 0.9 : count);
  const startedMs = performance.now();
  const perSecond = await rate(count, startedMs, () => start(shop, count, isSomeRefused));
  await shop.stopPolling?.();
  return perSecond;
}
