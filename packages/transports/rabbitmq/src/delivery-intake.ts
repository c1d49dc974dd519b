import { type DeadLetterReason, hfError, type Incoming, type Intake, type Lease, type Settlement, type Taken } from '@holdfast/core';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { OpenChannel } from './connection.js';

/** How often a message came back that is suspect. */
const SUSPECT_RETURNS = 2;

/** A message in our hand: ours until it is settled, or its channel is gone and the broker gives it to somebody else. */
export class Held {
  private isSettled = false;

  constructor(
    readonly incoming: Incoming,
    private readonly message: ConsumeMessage,
    private readonly channel: OpenChannel<Channel>,
  ) {}

  get isOurs(): boolean {
    return !this.isSettled && this.channel.isOpen;
  }

  /** Settles it as a dead letter, once it is put where it belongs. */
  async putAway(put: (message: ConsumeMessage) => Promise<void>): Promise<void> {
    if (!this.isOurs) return;
    await put(this.message);
    this.settle('ack');
  }

  /** Once; afterwards, and when it is not ours any more, it does nothing. */
  settle(outcome: 'ack' | 'requeue'): void {
    if (!this.isOurs) return;
    this.isSettled = true;
    try {
      if (outcome === 'ack') this.channel.channel.ack(this.message);
      else this.channel.channel.nack(this.message, false, true);
    } catch {
      // Closed at this moment: the broker delivers it again.
    }
  }
}

/** Puts a message into a dead-letter queue. @throws HF_BROKER_DEAD_LETTER */
export type PutDeadLetter = (message: ConsumeMessage, reason: DeadLetterReason) => Promise<void>;

/** Messages that the broker handed over, for one consumer at a time, until they are settled. */
export class DeliveryIntake implements Intake {
  constructor(
    private readonly held: readonly Held[],
    private readonly parts: { readonly queue: string; readonly putDeadLetter: PutDeadLetter },
  ) {}

  /** How many are still ours. */
  get length(): number {
    return this.ours().length;
  }

  async take(_tx: unknown, limit: number): Promise<Taken> {
    return this.look(limit);
  }

  /** One whose channel is gone comes again: what became of it here must not be stored. */
  async retake(_tx: unknown, message: Incoming): Promise<boolean> {
    return this.isOurs(message);
  }

  async lease(limit: number): Promise<Lease | undefined> {
    const taken = this.look(limit);
    if (taken.messages.length === 0) return undefined;
    const assertOurs = async () => {
      if (!taken.messages.every((message) => this.isOurs(message))) throw hfError('HF_LEASE_LOST', { resource: this.parts.queue });
    };
    return { ...taken, renew: assertOurs, finish: assertOurs, release: async () => undefined };
  }

  /** What cannot be dealt with now stays in hand, so that it does not come again at once and count as a repeat. */
  async settle(messages: readonly Incoming[], outcome: Settlement): Promise<void> {
    if (outcome === 'requeue') return;
    for (const held of this.held) {
      if (!messages.includes(held.incoming)) continue;
      if (outcome === 'ack') held.settle('ack');
      else await held.putAway((message) => this.parts.putDeadLetter(message, outcome.deadLetter));
    }
  }

  /** Gives back to the broker what is still ours. */
  giveBack(): void {
    for (const held of this.held) held.settle('requeue');
  }

  /** The next ones of a kind: a suspect may be what ended a process, and must not be handled together with others before it is counted. */
  private look(limit: number): Taken {
    const ours = this.ours();
    const isFirstSuspect = ours[0] !== undefined && isSuspect(ours[0]);
    const other = ours.findIndex((message) => isSuspect(message) !== isFirstSuspect);
    const messages = ours.slice(0, Math.min(limit, other === -1 ? ours.length : other));
    return { messages, hasMore: ours.length > messages.length, isMoved: false, isSuspect: isFirstSuspect, hasStored: true };
  }

  private ours(): readonly Incoming[] {
    return this.held.filter(({ isOurs }) => isOurs).map(({ incoming }) => incoming);
  }

  private isOurs(message: Incoming): boolean {
    return this.held.some(({ incoming, isOurs }) => isOurs && incoming === message);
  }
}

/**
 * Whether a message may be what ends its processes. When a connection ends, all that was in hand comes back, hundreds at a time, and to count each before it
 * is handled, one by one, would take longer than all the rest; what ends a process comes back once more. Where nobody counts, every repeat is suspect.
 */
function isSuspect({ isRedelivery, timesReturned = SUSPECT_RETURNS }: Incoming): boolean {
  return isRedelivery && timesReturned >= SUSPECT_RETURNS;
}
