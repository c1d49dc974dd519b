// A service without a store, over RabbitMQ: publishes and handles, and says what it does. Options in CRASH_OPTIONS; it runs until it is killed.
import 'reflect-metadata';
import { writeSync } from 'node:fs';
import { Holdfast, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { Work } from './messages.js';

/** What such a program is told. */
export interface WithoutStoreOptions {
  readonly url: string;
  readonly exchange: string;
  /** Whether it handles: a message of kind `hang` for ever, one of kind `kill` with its death. */
  readonly handles: boolean;
  /** Publishes so many, eight at a time. */
  readonly publishes?: number;
}

/** What it says, a line of JSON each. */
export type WithoutStoreLine =
  | { readonly e: 'ready' }
  | { readonly e: 'called'; readonly id: string; readonly isRedelivery: boolean }
  | { readonly e: 'handled' | 'acknowledged'; readonly id: string };

const options = JSON.parse(process.env.CRASH_OPTIONS ?? '{}') as WithoutStoreOptions;

function say(line: WithoutStoreLine): void {
  writeSync(1, `${JSON.stringify(line)}\n`);
}

async function main(): Promise<void> {
  const { url, exchange, handles, publishes = 0 } = options;
  const holdfast = new Holdfast({ service: 'crash', transport: rabbitmq({ url, exchange }) }, { logger: silentLogger });
  if (handles)
    holdfast.on(
      Work,
      async ({ kind }, { id, isRedelivery }) => {
        say({ e: 'called', id, isRedelivery });
        if (kind === 'kill') process.kill(process.pid, 'SIGKILL');
        if (kind === 'hang' && !isRedelivery) await new Promise(() => undefined);
        say({ e: 'handled', id });
      },
      { name: 'crash.work', concurrency: 1 },
    );
  await holdfast.start();
  say({ e: 'ready' });
  let next = 0;
  const caller = async () => {
    for (let n = next++; n < publishes; n = next++) {
      const { id } = await holdfast.bus.publish(new Work('ok', n, 0, ''), { id: `${process.pid}/${n}` });
      say({ e: 'acknowledged', id });
    }
  };
  await Promise.all(Array.from({ length: 8 }, caller));
}

void main();
