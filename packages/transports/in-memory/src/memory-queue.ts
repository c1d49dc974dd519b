import { attributesOf, type Envelope, type Incoming, type Intake, type Lease, type Settlement, type Taken } from '@holdfast/core';

/** Messages of one partition that wait. */
export class MemoryQueue {
  private waiting: Incoming[] = [];
  private inWork = 0;

  get length(): number {
    return this.waiting.length;
  }

  get isInWork(): boolean {
    return this.inWork > 0;
  }

  /** @param at when it got here: a delayed message is as new as one that was just published */
  push(envelope: Envelope, place: string, at: Date): void {
    const { type, body } = envelope;
    const rest = { lane: undefined, writtenAt: at, attempts: 0, isRedelivery: false, hasConsent: false, deliveryId: undefined };
    this.waiting.push({ type, attributes: attributesOf(envelope), body, place, ...rest });
  }

  /** Takes the next messages out for one consumer. */
  intake(count: number): MemoryIntake {
    this.inWork += 1;
    return new MemoryIntake(this.waiting.splice(0, count), (left) => {
      this.inWork -= 1;
      this.waiting = [...left.map((message) => ({ ...message, isRedelivery: true })), ...this.waiting];
    });
  }
}

/** Messages in the hand of one consumer, until they are acknowledged. */
export class MemoryIntake implements Intake {
  constructor(
    private messages: readonly Incoming[],
    private readonly returned: (left: readonly Incoming[]) => void,
  ) {}

  get length(): number {
    return this.messages.length;
  }

  async take(_tx: unknown, limit: number): Promise<Taken> {
    return this.look(limit);
  }

  async retake(_tx: unknown, message: Incoming): Promise<boolean> {
    return this.messages.includes(message);
  }

  async lease(limit: number): Promise<Lease | undefined> {
    if (this.messages.length === 0) return undefined;
    const nothing = async () => undefined;
    return { ...this.look(limit), renew: nothing, finish: nothing, release: nothing };
  }

  /** A dead letter is gone: the engine tells of it, and this process keeps none. */
  async settle(messages: readonly Incoming[], outcome: Settlement): Promise<void> {
    if (outcome !== 'requeue') this.messages = this.messages.filter((message) => !messages.includes(message));
  }

  /** Puts back what was not acknowledged. */
  giveBack(): void {
    this.returned(this.messages);
  }

  private look(limit: number): Taken {
    return {
      messages: this.messages.slice(0, limit),
      hasMore: this.messages.length > limit,
      isMoved: false,
      isSuspect: false,
      hasStored: true,
    };
  }
}
