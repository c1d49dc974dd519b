// A service with sagas in a process of its own, which works on them until it is told to stop; `ServiceProcess` starts it and talks to it.
import { NestSagas } from '../shop/nest-sagas.js';
import type { Command, Said } from './protocol.js';

function say(said: Said): void {
  process.send?.(said);
}

async function main(): Promise<void> {
  const shop = await NestSagas.open(process.argv[2] as string);
  process.on('disconnect', () => process.exit(0));
  process.on('message', (command: Command) => {
    if (command.do !== 'stop') return say({ is: 'failed', error: `sagas do not ${command.do}` });
    shop.close().then(
      () => say({ is: 'done' }),
      (error: unknown) => say({ is: 'failed', error: String(error) }),
    );
  });
  say({ is: 'ready' });
}

main().catch((error: unknown) => {
  console.error(error);
  process.exit(1);
});
