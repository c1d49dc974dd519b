import type { Envelope } from '../message/envelope.js';
import { emit } from '../monitoring/events.js';
import { fateOf } from '../outbox/relay-sender.js';
import { failpoint } from '../testing/failpoints.js';
import type { Transport } from '../transport/transport.port.js';
import type { HalfMessageRef, SettledHalfMessages } from './half-message.store.port.js';
import type { HalfMessagesParts } from './half-messages.js';

/** Messages given to the broker at a time, and how many times that may be under way. */
const BATCH = 200;
const BATCHES = 4;
/** Messages that wait for their turn, at most, and the bytes of their bodies: what is more goes into the log, where it takes no memory. */
const MOST_WAITING = 10_000;
const MOST_WAITING_BYTES = 16 * 2 ** 20;
/** What was registered longer ago is not sent from memory. Less than the time after which a check-back may ask. */
const STALE_MS = 3000;

/** A registered message, as it is sent. */
export interface SentHalfMessage extends HalfMessageRef {
  /** Name of the transport that carries it. */
  readonly transport: string;
  readonly envelope: Envelope;
  /** When it was registered, on the monotonic clock. */
  readonly sinceMs: number;
}

/**
 * Gives the broker what was just committed, once: what it has is taken out of the register, and what it does not take is moved into the log, where the
 * relay tries again, parks it and shows it to operators. So nothing is kept here that a crash could lose.
 */
export class HalfMessageSender {
  private transport: Transport | undefined;
  private waiting: SentHalfMessage[] = [];
  private waitingBytes = 0;
  private readonly working = new Set<Promise<void>>();
  private isStopped = false;

  constructor(private readonly parts: Pick<HalfMessagesParts, 'store' | 'clock' | 'logger' | 'logged'>) {}

  sendOver(transport: Transport): void {
    if (!this.isStopped) this.transport = transport;
  }

  get isBusy(): boolean {
    return this.working.size > 0;
  }

  /** Never waits, never throws. */
  send(messages: readonly SentHalfMessage[]): void {
    const isFull = this.waiting.length >= MOST_WAITING || this.waitingBytes >= MOST_WAITING_BYTES;
    if (this.transport?.health.status === 'up' && !isFull) this.queue(messages);
    else this.log(messages);
  }

  /** Of a unit that was rolled back. */
  drop(messages: readonly SentHalfMessage[]): void {
    this.work(() => this.settle({ gone: messages, logged: [] }));
  }

  /** What waits goes into the log. Resolves when nothing is on its way. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.transport = undefined;
    const left = this.take(Number.POSITIVE_INFINITY);
    if (left.length > 0) this.log(left);
    while (this.working.size > 0) await Promise.all(this.working);
  }

  private queue(messages: readonly SentHalfMessage[]): void {
    for (const message of messages) {
      this.waiting.push(message);
      this.waitingBytes += message.envelope.body.byteLength;
    }
    this.next();
  }

  private next(): void {
    while (this.waiting.length > 0 && this.working.size < BATCHES && this.transport !== undefined) {
      const { transport } = this;
      const batch = this.take(BATCH);
      // By now a check-back may have dealt with them, of another process while this one was frozen: only what is left is moved.
      const oldestMs = this.parts.clock.monotonicMs() - STALE_MS;
      const stale = batch.filter(({ sinceMs }) => sinceMs < oldestMs);
      if (stale.length > 0) this.log(stale);
      if (stale.length < batch.length)
        this.work(() =>
          this.publish(
            transport,
            batch.filter(({ sinceMs }) => sinceMs >= oldestMs),
          ),
        );
    }
  }

  private log(messages: readonly SentHalfMessage[]): void {
    this.work(() => this.settle({ gone: [], logged: messages }));
  }

  private take(count: number): readonly SentHalfMessage[] {
    const taken = this.waiting.splice(0, count);
    for (const { envelope } of taken) this.waitingBytes -= envelope.body.byteLength;
    return taken;
  }

  private async publish(transport: Transport, batch: readonly SentHalfMessage[]): Promise<void> {
    failpoint('half-message:before-publish');
    const outcomes = await transport.publish(batch.map(({ envelope }) => envelope)).catch((error: unknown) => {
      this.failed('sending half messages', error);
      return [];
    });
    failpoint('half-message:after-publish');
    const isSent = batch.map(({ envelope }, place) => fateOf(outcomes[place] ?? 'unknown', envelope) === 'sent');
    await this.settle({ gone: batch.filter((_, place) => isSent[place]), logged: batch.filter((_, place) => !isSent[place]) });
  }

  private async settle(settled: SettledHalfMessages): Promise<void> {
    try {
      const lanes = await this.parts.store.settle(settled);
      if (lanes.length > 0) this.parts.logged(lanes);
    } catch (error) {
      // They stay in the register, where a check-back finds them.
      this.failed('taking half messages out of the register', error);
    }
  }

  private work(task: () => Promise<void>): void {
    const working: Promise<void> = task().finally(() => {
      this.working.delete(working);
      this.next();
    });
    this.working.add(working);
  }

  private failed(loop: string, error: unknown): void {
    emit('poll:failed', () => ({ loop, error, delayMs: 0 }));
    this.parts.logger.warn(`${loop} failed; what is left is sent later`, { error });
  }
}
