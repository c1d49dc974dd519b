// A service in a process of its own; `ServiceProcess` starts it and talks to it.
import { armFailpoint, subscribe } from '@holdfast/nest';
import { nowMs } from '../runner/clock.js';
import { NestShop } from '../shop/nest-shop.js';
import { newOrder } from '../shop/shop.js';
import type { Command, Memory, Said, ServiceOptions } from './protocol.js';

const SAMPLE_MS = 20;

function say(said: Said): void {
  process.send?.(said);
}

let memory: { first: number; most: number } | undefined;

/** Starts to watch at the first call. */
function watchMemory(): Memory {
  if (memory === undefined) {
    const now = process.memoryUsage.rss();
    const watched = { first: now, most: now };
    memory = watched;
    setInterval(() => {
      watched.most = Math.max(watched.most, process.memoryUsage.rss());
    }, SAMPLE_MS).unref();
  }
  return { ...memory };
}

async function obey(shop: NestShop, command: Command): Promise<Memory | undefined> {
  switch (command.do) {
    case 'pause':
      await shop.pause();
      return undefined;
    case 'resume':
      await shop.resume();
      return undefined;
    case 'freeze':
      // In a joined transaction: there the message has its number before COMMIT.
      armFailpoint('unit:after-join', { freezeMs: command.ms });
      await shop.placeJoined(newOrder());
      return undefined;
    case 'memory':
      return watchMemory();
    case 'stop':
      await shop.close();
      return undefined;
  }
}

async function main(): Promise<void> {
  const options = JSON.parse(process.argv[2] as string) as ServiceOptions;
  if (options.tellsPayments) subscribe('delivery:succeeded', ({ key }) => say({ is: 'paid', orderId: key as string, atMs: nowMs() }));
  const shop = await NestShop.open(options);
  process.on('disconnect', () => process.exit(0));
  process.on('message', (command: Command) => {
    obey(shop, command).then(
      (answer) => say({ is: 'done', answer }),
      (error: unknown) => say({ is: 'failed', error: String(error) }),
    );
  });
  say({ is: 'ready' });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
