import type { DeadLetterReason, HeldMessage, Incoming } from '@holdfast/core';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { OpenChannel } from './connection.js';

/** How often a message came back that is suspect. */
const SUSPECT_RETURNS = 2;

/** Puts a message into a dead-letter queue. @throws HF_BROKER_DEAD_LETTER */
export type PutDeadLetter = (message: ConsumeMessage, reason: DeadLetterReason) => Promise<void>;

/** How a message is settled. */
export interface HeldParts {
  /** It came on this one; with it gone the broker gives the message to somebody else. */
  readonly channel: OpenChannel<Channel>;
  readonly putDeadLetter: PutDeadLetter;
}

/** A message in our hand. */
export class Held implements HeldMessage {
  private isSettled = false;

  constructor(
    readonly incoming: Incoming,
    private readonly message: ConsumeMessage,
    private readonly parts: HeldParts,
  ) {}

  get isOurs(): boolean {
    return !this.isSettled && this.parts.channel.isOpen;
  }

  /**
   * When a connection ends, all that was in hand comes back, hundreds at a time, and to count each before it is handled, one by one, would take longer than
   * all the rest; what ends a process comes back once more. Where nobody counts, every repeat is suspect.
   */
  get isSuspect(): boolean {
    const { isRedelivery, timesReturned = SUSPECT_RETURNS } = this.incoming;
    return isRedelivery && timesReturned >= SUSPECT_RETURNS;
  }

  async putAway(reason: DeadLetterReason): Promise<void> {
    if (!this.isOurs) return;
    await this.parts.putDeadLetter(this.message, reason);
    this.settle('ack');
  }

  settle(outcome: 'ack' | 'requeue'): void {
    if (!this.isOurs) return;
    this.isSettled = true;
    const { channel } = this.parts.channel;
    try {
      if (outcome === 'ack') channel.ack(this.message);
      else channel.nack(this.message, false, true);
    } catch {
      // Closed at this moment: the broker delivers it again.
    }
  }
}
