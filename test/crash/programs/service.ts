// A service as crash tests run it: publishes, handles, says what it does, stops at SIGTERM. Options in CRASH_OPTIONS, orders on standard input.
import 'reflect-metadata';
import { createInterface } from 'node:readline';
import { Holdfast, type HandlerPolicies } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { handle } from './handling.js';
import { Work } from './messages.js';
import type { Order, ProgramOptions, Subscribing } from './options.js';
import { Publisher } from './publisher.js';
import { codeAndMessage, reportLogger, say } from './report.js';
import { spool } from './spool-transport.js';

const options = JSON.parse(process.env.CRASH_OPTIONS ?? '{}') as ProgramOptions;

async function main(): Promise<void> {
  const { url, poolSize = 10, lanes, service = 'crash', retentionMs, stopTimeoutMs } = options;
  const dataSource = await new DataSource({ type: 'postgres', url, poolSize, extra: { connectionTimeoutMillis: 10_000 } }).initialize();
  const bus = new Holdfast(
    {
      service,
      transport: options.transport === 'spool' ? spool(url) : database(),
      store: typeorm({ dataSource, lanes }),
      retention: retentionMs,
      stopTimeout: stopTimeoutMs,
    },
    { logger: reportLogger },
  );
  for (const subscription of options.subscriptions) {
    bus.on(Work, (work, delivery) => handle({ dataSource, bus, subscription }, work, delivery), policiesOf(subscription));
  }
  await bus.start();
  const publisher = new Publisher(dataSource, bus);
  listen(publisher, () => stop(bus, publisher));
  if (options.memoryEveryMs !== undefined)
    setInterval(() => say({ e: 'memory', mib: Math.round(process.memoryUsage.rss() / 2 ** 20) }), options.memoryEveryMs);
  say({ e: 'ready' });
  if (options.publishing !== undefined) void publisher.publish(options.publishing);
}

function policiesOf(subscription: Subscribing): HandlerPolicies<Work> {
  const { name, concurrency, batchSize, timeoutMs, attempts = 5, retryDelayMs = 50, lockTtlMs, ttlMs } = subscription;
  const { isTransactional = true, isIdempotent = true, isOrdered = false, onDeadLetter, isolation } = subscription;
  const order = isOrdered ? ({ ordering: 'key', onDeadLetter } as const) : {};
  return {
    name,
    from: 'earliest',
    concurrency,
    batchSize,
    timeout: timeoutMs,
    retry: { attempts, backoff: { delay: retryDelayMs, factor: 1, jitter: 'none' } },
    transactional: isTransactional && (isolation === undefined ? true : { isolation, retries: 20 }),
    idempotent: isIdempotent && { lockTtl: lockTtlMs, ttl: ttlMs },
    ...order,
  };
}

function listen(publisher: Publisher, stopAll: () => Promise<void>): void {
  process.on('SIGTERM', () => void stopAll());
  const lines = createInterface({ input: process.stdin });
  lines.on('line', (line) => {
    const order = JSON.parse(line) as Order;
    if ('publish' in order) void publisher.publish(order.publish);
    else if ('shiftClockMs' in order) process.emit('shift clock' as never, order.shiftClockMs as never);
    else void stopAll();
  });
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
