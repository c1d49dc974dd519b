import { hfError } from '../errors/catalogue.js';
import type { Envelope } from '../message/envelope.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { PublishOutcome, Transport } from '../transport/transport.port.js';
import type { Outlet } from './outlet-bus.js';
import type { Outgoing } from './outgoing.js';

/** Times that a message is given to the broker while it is not known whether it has it. */
const ATTEMPTS = 5;
/** After this time no further attempt begins. The second is always made: the first may only have taken so long because the process stood still. */
const NO_MORE_AFTER_MS = 30_000;
/** Longest wait before the second one; doubles. */
const FIRST_WAIT_MS = 100;
/** Messages that wait for the broker at once: what a process publishes meanwhile must not fill its memory. */
const MOST_WAITING = 10_000;
/** The same for their bodies; one is taken, however large it is. */
const MOST_WAITING_BYTES = 64 * 2 ** 20;

/** What an outlet works with. */
export interface TransportOutletParts {
  readonly transport: Transport;
  /** Name of the transport. */
  readonly name: string;
  /** Told of what the transport has. */
  readonly confirmed: (messages: readonly Outgoing[]) => void;
  /** Whether the bus has stopped: nothing is taken any more. */
  readonly isClosed: () => boolean;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
}

/** Without a store, over several transports: each message goes to its own. */
export class TransportOutlets implements Outlet {
  constructor(private readonly outlets: ReadonlyMap<string, TransportOutlet>) {}

  accept(message: Outgoing): Promise<void> {
    return (this.outlets.get(message.transport) as TransportOutlet).accept(message);
  }
}

/**
 * Without a store: waits for the transport's confirm, and while the outcome is unknown gives it the message again, with the same id, for a bounded
 * time. Nothing is kept here, so what fails then is the caller's to repeat.
 */
export class TransportOutlet implements Outlet {
  private waiting = 0;
  private waitingBytes = 0;

  constructor(private readonly parts: TransportOutletParts) {}

  async accept(message: Outgoing): Promise<void> {
    const { envelope, due } = message;
    const { type, id, kind } = envelope;
    if (this.parts.isClosed()) throw hfError('HF_STOPPING', { activity: `publishing ${type}` });
    if (due !== undefined)
      throw hfError('HF_CAPABILITY_UNSUPPORTED', {
        feature: 'publishing with delay or at',
        provider: `${this.parts.name} without a store`,
      });
    const bytes = envelope.body.byteLength;
    if (this.waiting >= MOST_WAITING || (this.waiting > 0 && this.waitingBytes + bytes > MOST_WAITING_BYTES))
      throw hfError('HF_PUBLISH_CROWDED', { type, waiting: this.waiting, bytes: this.waitingBytes });
    this.waiting += 1;
    this.waitingBytes += bytes;
    try {
      const outcome = await this.publish(envelope);
      if (outcome === 'unroutable' && kind === 'command') throw hfError('HF_COMMAND_UNROUTABLE', { type, id });
      // Of an event, nobody wants it; of a reply, nobody waits any more.
      if (outcome === 'rejected' || outcome === 'unknown') throw hfError('HF_PUBLISH_FAILED', { type, id, outcome });
    } finally {
      this.waiting -= 1;
      this.waitingBytes -= bytes;
    }
    this.parts.confirmed([message]);
  }

  private async publish(envelope: Envelope): Promise<PublishOutcome> {
    const { transport, isClosed, clock, random, scheduler } = this.parts;
    const sinceMs = clock.monotonicMs();
    for (let attempt = 1; ; attempt += 1) {
      const [outcome = 'unknown'] = await transport.publish([envelope]);
      const isTooLate = attempt > 1 && clock.monotonicMs() - sinceMs > NO_MORE_AFTER_MS;
      if (outcome !== 'unknown' || attempt === ATTEMPTS || isTooLate || isClosed()) return outcome;
      // The caller waits: with the broker away there may be nothing else that keeps the process.
      await scheduler.sleep(random.next() * FIRST_WAIT_MS * 2 ** (attempt - 1), undefined, { keepsProcessAlive: true });
    }
  }
}
