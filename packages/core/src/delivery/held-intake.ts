import { hfError } from '../errors/catalogue.js';
import type { DeadLetterReason, Incoming, Intake, Lease, Settlement, Taken } from './intake.port.js';

/** A message that a broker handed over: in our hand until it is settled, or is somebody else's. */
export interface HeldMessage {
  readonly incoming: Incoming;
  /** False once it is settled, and when the broker gives it to somebody else. */
  readonly isOurs: boolean;
  /** It may be what ended a process, and is counted before it is handled. */
  readonly isSuspect: boolean;
  /** Once; afterwards, and when it is not ours any more, it does nothing. */
  settle(outcome: 'ack' | 'requeue'): void;
  /** Settles it as a dead letter, once it is put where it belongs; rejects when that is not known, and then it is still in hand. */
  putAway(reason: DeadLetterReason): Promise<void>;
}

/** Messages that a broker handed over, as the engine takes them, until they are settled. For transports that push. */
export class HeldIntake implements Intake {
  /** @param resource where they come from, for the error of one that is not ours any more */
  constructor(
    private readonly held: readonly HeldMessage[],
    private readonly resource: string,
  ) {}

  /** How many are still ours. */
  get length(): number {
    return this.ours().length;
  }

  async take(_tx: unknown, limit: number): Promise<Taken> {
    return this.look(limit);
  }

  /** One that is somebody else's comes again: what became of it here must not be stored. */
  async retake(_tx: unknown, message: Incoming): Promise<boolean> {
    return this.isOurs(message);
  }

  async lease(limit: number): Promise<Lease | undefined> {
    const taken = this.look(limit);
    if (taken.messages.length === 0) return undefined;
    const assertOurs = async () => {
      if (!taken.messages.every((message) => this.isOurs(message))) throw hfError('HF_LEASE_LOST', { resource: this.resource });
    };
    return { ...taken, renew: assertOurs, finish: assertOurs, release: async () => undefined };
  }

  /** What cannot be dealt with now stays in hand, so that it does not come again at once and count as a repeat. */
  async settle(messages: readonly Incoming[], outcome: Settlement): Promise<void> {
    if (outcome === 'requeue') return;
    for (const held of this.held) {
      if (!messages.includes(held.incoming)) continue;
      if (outcome === 'ack') held.settle('ack');
      else await held.putAway(outcome.deadLetter);
    }
  }

  /** Gives back to the broker what is still ours. */
  giveBack(): void {
    for (const held of this.held) held.settle('requeue');
  }

  /** The next ones of a kind: a suspect must not be handled together with others before it is counted. */
  private look(limit: number): Taken {
    const ours = this.ours();
    const isSuspect = ours[0]?.isSuspect === true;
    const other = ours.findIndex((held) => held.isSuspect !== isSuspect);
    const taken = ours.slice(0, Math.min(limit, other === -1 ? ours.length : other));
    const messages = taken.map(({ incoming }) => incoming);
    return { messages, hasMore: ours.length > messages.length, isMoved: false, isSuspect, hasStored: true };
  }

  private ours(): readonly HeldMessage[] {
    return this.held.filter(({ isOurs }) => isOurs);
  }

  private isOurs(message: Incoming): boolean {
    return this.held.some(({ incoming, isOurs }) => isOurs && incoming === message);
  }
}
