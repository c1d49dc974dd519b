// A service that counts page views in Kafka transactions, without a store, and says what it does. Options in CRASH_OPTIONS; it runs until it is killed.
import 'reflect-metadata';
import { writeSync } from 'node:fs';
import { Holdfast, type Logger, Message } from '@holdfast/core';
import { kafka, type KafkaOptions } from '@holdfast/transport-kafka';

/** What such a program is told. */
export interface CountingOptions {
  readonly transport: KafkaOptions;
  readonly batchSize?: number;
  /** How long a handler takes. */
  readonly handlerMs?: number;
}

/** What it says, a line of JSON each. */
export type CountingLine =
  | { readonly e: 'ready' }
  | { readonly e: 'called'; readonly n: number }
  | { readonly e: 'warned'; readonly message: string; readonly error: string };

@Message('page.viewed')
class PageViewed {
  constructor(readonly n: number) {}
}

@Message('page.counted')
class PageCounted {
  constructor(
    readonly n: number,
    readonly by: number,
  ) {}
}

const { transport, batchSize = 1, handlerMs = 0 } = JSON.parse(process.env.CRASH_OPTIONS ?? '{}') as CountingOptions;

function say(line: CountingLine): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

const warn: Logger['warn'] = (message, fields) => say({ e: 'warned', message, error: String(fields?.error) });
const holdfast = new Holdfast(
  { service: 'analytics', transport: kafka(transport) },
  { logger: { info: () => undefined, warn, error: warn } },
);
holdfast.on(
  PageViewed,
  async ({ n }) => {
    say({ e: 'called', n });
    await holdfast.bus.publish(new PageCounted(n, process.pid), { key: `host ${n % 7}` });
    if (handlerMs > 0) await new Promise((resolve) => setTimeout(resolve, handlerMs));
  },
  { name: 'count', from: 'earliest', batchSize, transactional: { protocol: 'kafka' } },
);
process.once('SIGTERM', () => void holdfast.stop());
void holdfast.start().then(() => say({ e: 'ready' }));
