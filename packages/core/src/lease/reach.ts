import type { Clock } from '../time/clock.js';
import type { TransportHealth } from '../transport/transport.port.js';

/** How long the broker may be away before others, who may still reach it, get what is leased. */
const AWAY_MS = 3000;

/** Tells whether a process can do something with what it has leased: not, when its broker has been away for a while. Asked at every round. */
export function brokerInReach(health: () => TransportHealth, clock: Clock): () => boolean {
  let awaySinceMs: number | undefined;
  return () => {
    const nowMs = clock.monotonicMs();
    awaySinceMs = health().status === 'down' ? (awaySinceMs ?? nowMs) : undefined;
    return awaySinceMs === undefined || nowMs - awaySinceMs < AWAY_MS;
  };
}
