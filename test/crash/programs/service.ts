// A service as crash tests run it: publishes, handles, says what it does, stops at SIGTERM. Options in CRASH_OPTIONS, orders on standard input.
import 'reflect-metadata';
import { createInterface } from 'node:readline';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { type HandlerPolicies, Holdfast } from '@holdfast/core';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { openBank } from './bank.js';
import type { Service } from './bank-kit.js';
import { carriersOf } from './carriers.js';
import { handle } from './handling.js';
import { Work, WorkOnEvents } from './messages.js';
import type { Guarding, Order, ProgramOptions, Repair, Subscribing } from './options.js';
import { Publisher } from './publisher.js';
import { codeAndMessage, reportLogger, say } from './report.js';
import { orderSaga, startSagas } from './sagas.js';
import { addBank, sell, sellingSaga } from './selling.js';
import { addTrips, requestTrips } from './trips.js';
import { callTries, purseTries } from './tries.js';

const options = JSON.parse(process.env.CRASH_OPTIONS ?? '{}') as ProgramOptions;

async function main(): Promise<void> {
  const { url, poolSize = 10, lanes, service = 'crash', retentionMs, stopTimeoutMs } = options;
  const open = () => new DataSource({ type: 'postgres', url, poolSize, extra: { connectionTimeoutMillis: 10_000 } }).initialize();
  const dataSource = await open();
  const ledger = options.hasSagas ? await open() : undefined;
  // Another DataSource, though of the same database.
  const vault = options.isBank ? await open() : undefined;
  const bus = new Holdfast(
    {
      service,
      ...(await carriersOf(options)),
      store: typeorm({ dataSource: { default: dataSource, ...(ledger && { ledger }), ...(vault && { vault }) }, lanes }),
      retention: retentionMs,
      stopTimeout: stopTimeoutMs,
    },
    { logger: reportLogger },
  );
  for (const subscription of options.subscriptions) {
    bus.on(
      subscription.isOnEvents ? WorkOnEvents : Work,
      (work, delivery) => handle({ dataSource, bus, subscription }, work, delivery),
      policiesOf(subscription),
    );
  }
  const methods = new Map((options.methods ?? []).map((method) => [method.name, guarded({ dataSource, bus }, method)]));
  const saga = orderSaga(dataSource, ledger ?? dataSource);
  if (options.hasSagas) bus.saga(saga);
  const sellings = (options.sellingVersions ?? [1]).map((version) => sellingSaga(dataSource, version));
  if (options.selling === 'shop') for (const each of sellings) bus.saga(each);
  if (options.selling === 'bank') addBank(bus, dataSource, beginning());
  if (options.hasTrips) addTrips(bus, dataSource, { from: beginning(), release: options.tripsRelease });
  const tries = options.hasTries ? purseTries(bus, dataSource, options) : undefined;
  const bank = vault && openBank({ bus, dataSource, vault, service: service as Service, from: beginning() });
  await bus.start();
  const publisher = new Publisher(dataSource, bus);
  listen(async (order) => {
    if ('publish' in order) await publisher.publish(order.publish);
    else if ('repair' in order) await repaired(bus, order.repair);
    else if ('startSagas' in order) {
      await startSagas(bus, saga, order.startSagas);
      say({ e: 'started sagas', prefix: order.startSagas.prefix });
    } else if ('sell' in order) {
      await sell(bus, sellings.at(-1) as (typeof sellings)[0], order.sell);
      say({ e: 'started selling', prefix: order.sell.prefix });
    } else if ('requestTrips' in order) {
      await requestTrips(bus, order.requestTrips);
      say({ e: 'requested trips', prefix: order.requestTrips.prefix });
    } else if ('callTries' in order) {
      if (tries !== undefined) await callTries(bus, dataSource, { ...order.callTries, tries });
    } else if ('transfer' in order) await bank?.transfer(order.transfer);
    else if ('goOn' in order) say({ e: 'repaired', count: (await bank?.goOn()) ?? 0 });
    else if ('call' in order)
      say({ e: 'returned', key: order.call.key, by: (await methods.get(order.call.method)?.(order.call.key)) as number });
    else if ('shiftClockMs' in order) process.emit('shift clock' as never, order.shiftClockMs as never);
    else await stop(bus, publisher);
  });
  if (options.memoryEveryMs !== undefined) tellMemory(options.memoryEveryMs);
  say({ e: 'ready' });
  if (options.publishing !== undefined) void publisher.publish(options.publishing);
}

/** What only waits to be collected is collected first, so that it does not count. */
function tellMemory(everyMs: number): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as () => void;
  setInterval(() => {
    collect();
    say({ e: 'memory', peakMib: Math.round(process.resourceUsage().maxRSS / 2 ** 10) });
  }, everyMs);
}

function policiesOf(subscription: Subscribing): HandlerPolicies<Work> {
  const { name, concurrency, batchSize, timeoutMs, attempts = 5, retryDelayMs = 50, lockTtlMs, ttlMs } = subscription;
  const { isTransactional = true, isIdempotent = true, isOrdered = false, onDeadLetter, isolation } = subscription;
  const order = isOrdered ? ({ ordering: 'key', onDeadLetter } as const) : {};
  return {
    name,
    from: beginning(),
    concurrency,
    batchSize,
    timeout: timeoutMs,
    retry: { attempts, backoff: { delay: retryDelayMs, factor: 1, jitter: 'none' } },
    transactional: isTransactional && (isolation === undefined ? true : { isolation, retries: 20 }),
    idempotent: isIdempotent && { lockTtl: lockTtlMs, ttl: ttlMs },
    ...order,
  };
}

/** Over a broker with what comes after its queue was made, or its group. */
function beginning(): 'earliest' | 'now' {
  return (options.broker ?? options.kafka ?? options.rocketmq) === undefined ? 'earliest' : 'now';
}

function guarded({ dataSource, bus }: { readonly dataSource: DataSource; readonly bus: Holdfast }, method: Guarding) {
  const { name, isTransactional, lockTtlMs } = method;
  const policies = { idempotent: { key: (key: string) => key, lockTtl: lockTtlMs }, transactional: isTransactional };
  return bus.guard(name, policies, async (key: string) => {
    await dataSource.query('insert into effect (subscription, message_id, pid) values ($1, $2, $3)', [name, key, process.pid]);
    return process.pid;
  });
}

async function repaired({ deadLetters }: Holdfast, { how, which }: Repair): Promise<void> {
  const { count } = await deadLetters[how](which, { by: 'crash', reason: 'the test' });
  say({ e: 'repaired', count });
}

function listen(obey: (order: Order) => Promise<void>): void {
  process.on('SIGTERM', () => void obey({ stop: true }));
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => void obey(JSON.parse(line) as Order));
  // Whoever started it is gone.
  lines.on('close', () => process.exit(3));
}

async function stop(bus: Holdfast, publisher: Publisher): Promise<void> {
  const started = performance.now();
  say({ e: 'stopping' });
  if (!options.publishesToTheEnd) await publisher.stop();
  await bus.stop();
  say({ e: 'stopped', ms: Math.round(performance.now() - started) });
  if (options.publishesToTheEnd) await publisher.stop();
  process.exit(0);
}

main().catch((error: unknown) => {
  say({ e: 'failed', error: codeAndMessage(error) });
  process.exit(2);
});
