import { PartLeases } from '../lease/part-leases.js';
import { brokerInReach } from '../lease/reach.js';
import { Relay } from '../outbox/relay.js';
import { RELAY_SCOPE } from '../outbox/relay.store.port.js';
import type { Store } from '../store/store.port.js';
import type { Transport } from '../transport/transport.port.js';
import type { Assembly } from './assembly.js';

/** Longest wait for what a lane has in work before it is handed over: with the broker away it may not end. What is sent late then is a repeat. */
const HAND_OVER_MS = 3000;

/** The relay of this process and its lanes. */
export interface Relaying {
  readonly relay: Relay;
  readonly lanes: PartLeases;
}

/** Made, and not started yet. */
export function relayingOf({ nodeId, settings, runtime }: Assembly, store: Store, transport: Transport): Relaying {
  const { clock, random, scheduler, logger } = runtime;
  const lanes = new PartLeases({
    store: store.leases,
    scope: RELAY_SCOPE,
    count: store.log.lanes,
    nodeId,
    clock,
    scheduler,
    logger,
    isAble: brokerInReach(() => transport.health, clock),
    changed: () => relay.nudge(),
    handOver: (lane) => Promise.race([relay.idle(lane), scheduler.sleep(HAND_OVER_MS)]),
  });
  const { limits } = settings;
  const relay: Relay = new Relay({ store: store.relay, parked: store.parked, lanes, transport, clock, random, scheduler, logger, limits });
  return { relay, lanes };
}
