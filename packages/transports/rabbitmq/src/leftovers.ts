import { DEFAULT_TRANSPORT, emit, type Leftover, Loop, type Store, type TransportContext } from '@holdfast/core';
import type { Connection } from './connection.js';
import type { Link } from './link.js';
import type { Topology } from './topology.js';

/** Between two looks. */
const LOOK_MS = 60_000;
/** A type stays routed for so long after the last process that takes it: a rollback, or a slow restart, finds what came meanwhile. */
const AFTER_MS = 600_000;
/** Longest wait for a connection. */
const PATIENCE_MS = 10_000;

/** What clearing works with. */
export interface LeftoverParts {
  readonly context: TransportContext;
  readonly store: Store;
  readonly link: Link;
  readonly topology: Topology;
  /** Finds out how many partitions an ordered subscription was made with. */
  readonly divide: (leftover: Leftover) => Promise<void>;
}

/** With an address before its type it is noted under the name of the transport. */
const OWN = `${DEFAULT_TRANSPORT}:`;

function routeIn(noted: string): string {
  return noted.startsWith(OWN) ? noted.slice(OWN.length) : noted;
}

/** Removes the bindings of what no process takes any more, so that its queue does not fill with what would only become dead letters. */
export class Leftovers {
  private readonly loop: Loop;

  constructor(private readonly parts: LeftoverParts) {
    const { scheduler, logger } = parts.context;
    this.loop = new Loop({
      scheduler,
      pollMs: LOOK_MS,
      work: () => this.clear(),
      failed: (error) => {
        emit('poll:failed', () => ({ loop: 'leftover bindings', error, delayMs: LOOK_MS }));
        logger.warn('bindings that nobody needs could not be removed; it is tried again', { error });
      },
    });
  }

  start(): void {
    this.loop.start();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async clear(): Promise<false> {
    const { store, link, context } = this.parts;
    await store.subscriptions.clearLeftovers(AFTER_MS, async (leftover) => {
      await this.unbind(await link.connected(AbortSignal.timeout(PATIENCE_MS)), leftover);
      context.logger.info('types that no process takes any more are not routed any more', {
        subscription: leftover.name,
        types: leftover.types.join(', '),
      });
    });
    return false;
  }

  private async unbind(connection: Connection, leftover: Leftover): Promise<void> {
    if (leftover.ordering === 'key') await this.parts.divide(leftover);
    await this.parts.topology.unbind(connection, { ...leftover, types: leftover.types.map(routeIn) });
  }
}
