import { silentLogger } from '../monitoring/logger.js';
import { DEFAULT_LIMITS } from '../message/limits.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { systemRandom } from '../time/random.js';
import type { Transport } from '../transport/transport.port.js';
import { Relay } from './relay.js';
import type { ParkedBatch, ParkedStore, RelayStore } from './relay.store.port.js';

it('parked messages are looked for again at once when an operator resumes them during a look', async () => {
  const time = new VirtualTime();
  const looks: ((batches: readonly ParkedBatch[]) => void)[] = [];
  const due = () => new Promise<readonly ParkedBatch[]>((resolve) => looks.push(resolve));
  const relay = new Relay({
    store: { read: async () => [] } as Partial<RelayStore> as RelayStore,
    parked: { due } as Partial<ParkedStore> as ParkedStore,
    lanes: { mine: () => [0], ownerToken: () => 'token' },
    transport: { health: { status: 'up', problem: undefined } } as Partial<Transport> as Transport,
    name: 'default',
    clock: time,
    random: systemRandom,
    scheduler: time,
    logger: silentLogger,
    limits: DEFAULT_LIMITS,
  });
  relay.start();
  await time.advance(0);
  expect(looks).toHaveLength(1);
  relay.resume();
  looks[0]?.([]);
  await time.advance(0);
  expect(looks).toHaveLength(2);
  looks[1]?.([]);
  await relay.stop();
});
