import { PartLeases } from '../lease/part-leases.js';
import { brokerInReach } from '../lease/reach.js';
import { Relay } from '../outbox/relay.js';
import { relayScopeOf } from '../outbox/relay.store.port.js';
import type { Store } from '../store/store.port.js';
import type { Assembly } from './assembly.js';
import type { NamedTransport } from './transports.js';

/** Longest wait for what a lane has in work before it is handed over: with the broker away it may not end. What is sent late then is a repeat. */
const HAND_OVER_MS = 3000;

/** The relay of one transport in this process, and its lanes. */
interface Relaying {
  readonly relay: Relay;
  readonly leases: PartLeases;
  readonly lanes: ReadonlySet<number>;
}

/** The relays of this process: one for each transport with a broker, over lanes of its own, so that none waits for another's broker. */
export class Relays {
  private readonly running = new Map<string, Relaying>();
  private isStopped = false;

  constructor(private readonly assembly: Assembly) {}

  /** Once for each, unless the options keep it away. */
  async start(store: Store, transport: NamedTransport): Promise<void> {
    if (!this.assembly.settings.relay || this.isStopped || this.running.has(transport.name)) return;
    const relaying = relayingOf(this.assembly, store, transport);
    this.running.set(transport.name, relaying);
    try {
      await relaying.leases.start();
    } catch (error) {
      // Whoever starts it is told, and may try again.
      this.running.delete(transport.name);
      throw error;
    }
    relaying.relay.start();
  }

  /** Something was committed, in these lanes if known. */
  nudge(lanes?: readonly number[]): void {
    for (const { relay, lanes: own } of this.running.values())
      if (lanes === undefined || this.running.size === 1 || lanes.some((lane) => own.has(lane))) relay.nudge();
  }

  /** An operator wants parked messages to be sent now. */
  resume(): void {
    for (const { relay } of this.running.values()) relay.resume();
  }

  /** Which are at work. */
  get busy(): readonly string[] {
    return [...this.running].flatMap(([name, { relay, leases }]) => (relay.isBusy || leases.isBusy ? [`the ${relayScopeOf(name)}`] : []));
  }

  /** None begins any more; those there are end after the batches in hand. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all([...this.running.values()].map(({ relay }) => relay.stop()));
  }

  /** Afterwards: others have their lanes at once. */
  async leave(): Promise<void> {
    await Promise.all([...this.running.values()].map(({ leases }) => leases.stop()));
  }
}

/** Made, and not started yet. */
function relayingOf({ nodeId, settings, runtime }: Assembly, store: Store, { name, transport }: NamedTransport): Relaying {
  const { clock, random, scheduler, logger } = runtime;
  const lanes = new Set(store.log.lanesOf(name));
  const leases = new PartLeases({
    store: store.leases,
    scope: relayScopeOf(name),
    count: lanes.size,
    nodeId,
    clock,
    scheduler,
    logger,
    isAble: brokerInReach(() => transport.health, clock),
    changed: () => relay.nudge(),
    handOver: (lane) => Promise.race([relay.idle(lane), scheduler.sleep(HAND_OVER_MS)]),
  });
  const { limits } = settings;
  const stores = { store: store.relay, parked: store.parked };
  const relay: Relay = new Relay({ ...stores, lanes: leases, transport, name, clock, random, scheduler, logger, limits });
  return { relay, leases, lanes };
}
