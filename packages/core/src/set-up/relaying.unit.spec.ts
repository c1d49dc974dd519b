import { randomUUID } from 'node:crypto';
import type { LeaseStore } from '../lease/lease.store.port.js';
import { silentLogger } from '../monitoring/logger.js';
import type { LogStore } from '../outbox/log.store.port.js';
import type { ParkedStore, RelayStore } from '../outbox/relay.store.port.js';
import type { Store } from '../store/store.port.js';
import { systemClock } from '../time/clock.js';
import { systemRandom } from '../time/random.js';
import { systemScheduler } from '../time/scheduler.js';
import type { Transport } from '../transport/transport.port.js';
import type { Assembly } from './assembly.js';
import { Relays } from './relaying.js';
import type { NamedTransport } from './transports.js';

/** What is asked for here of something larger. */
const partOf = <Whole>(part: Partial<Whole>) => part as Whole;

/** The relays of a process whose database fails when it is first asked for lanes. */
function scene() {
  const asked: string[] = [];
  const leases: LeaseStore = {
    declare: async () => {
      asked.push('declare');
      if (asked.length === 1) throw new Error('the connection broke');
      return 1;
    },
    round: async (_, { newToken }) => ({ held: [{ part: 0, ownerToken: newToken, leftMs: 10_000 }], share: 1 }),
    release: async () => undefined,
    leave: async () => undefined,
  };
  let looked: () => void;
  const hasLooked = new Promise<void>((resolve) => {
    looked = resolve;
  });
  const read = async () => {
    looked();
    return [];
  };
  const store = partOf<Store>({
    leases,
    relay: partOf<RelayStore>({ read }),
    parked: partOf<ParkedStore>({ due: async () => [] }),
    log: partOf<LogStore>({ lanesOf: () => [0] }),
  });
  const runtime = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger: silentLogger };
  const settings = partOf<Assembly['settings']>({ relay: true });
  const relays = new Relays(partOf<Assembly>({ nodeId: randomUUID(), settings, runtime: partOf<Assembly['runtime']>(runtime) }));
  const transport = partOf<Transport>({ health: { status: 'up', problem: undefined } });
  const start = () => relays.start(store, partOf<NamedTransport>({ name: 'default', transport }));
  return { relays, asked, start, hasLooked };
}

describe('a relay', () => {
  it('that could not be started is started by the next one who tries', async () => {
    const { relays, start, hasLooked } = scene();
    await expect(start()).rejects.toThrow('the connection broke');
    await start();
    await hasLooked;
    await relays.stop();
    await relays.leave();
    expect(relays.busy).toEqual([]);
  });

  it('is started once', async () => {
    const { relays, start, asked } = scene();
    await expect(start()).rejects.toThrow();
    await Promise.all([start(), start()]);
    expect(asked).toHaveLength(2);
    await relays.stop();
    await relays.leave();
  });
});
