import type { Envelope } from '../message/envelope.js';
import { emit } from '../monitoring/events.js';
import { fateOf } from '../outbox/relay-sender.js';
import { failpoint } from '../testing/failpoints.js';
import type { PublishOutcome, Transport } from '../transport/transport.port.js';
import type { HalfMessageRef, SettledHalfMessages } from './half-message.store.port.js';
import type { HalfMessagesParts } from './half-messages.js';

/** Messages given to the broker at a time, and how many times that may be under way. */
const BATCH = 200;
const BATCHES = 4;
/** Messages that wait for their turn, at most, and the bytes of their bodies: what is more goes into the log, where it takes no memory. */
const MOST_WAITING = 10_000;
const MOST_WAITING_BYTES = 16 * 2 ** 20;
/** When others may ask what became of a unit: long after a COMMIT that went well, also on a machine that is busy. */
export const CHECK_BACK_AFTER_MS = 5000;
/** What was registered longer ago is not sent from memory: somebody may be asking already. */
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
  private publishing = 0;
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
    if (isFull || this.transport?.health.status !== 'up') {
      this.settle({ gone: [], logged: messages });
      return;
    }
    for (const message of messages) {
      this.waiting.push(message);
      this.waitingBytes += message.envelope.body.byteLength;
    }
    this.next();
  }

  /** Of a unit that was rolled back. */
  drop(messages: readonly SentHalfMessage[]): void {
    this.settle({ gone: messages, logged: [] });
  }

  /** What waits goes into the log. Resolves when nothing is on its way. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.transport = undefined;
    this.settle({ gone: [], logged: this.take(Number.POSITIVE_INFINITY) });
    while (this.working.size > 0) await Promise.all(this.working);
  }

  private next(): void {
    const { transport } = this;
    while (transport !== undefined && this.waiting.length > 0 && this.publishing < BATCHES) {
      const batch = this.take(BATCH);
      // While they waited here, or this process was frozen, another one may have dealt with them: only what is left is moved.
      const freshMs = this.parts.clock.monotonicMs() - STALE_MS;
      const isFresh = ({ sinceMs }: SentHalfMessage) => sinceMs >= freshMs;
      this.settle({ gone: [], logged: batch.filter((message) => !isFresh(message)) });
      this.publish(transport, batch.filter(isFresh));
    }
  }

  private take(count: number): readonly SentHalfMessage[] {
    const taken = this.waiting.splice(0, count);
    for (const { envelope } of taken) this.waitingBytes -= envelope.body.byteLength;
    return taken;
  }

  private publish(transport: Transport, batch: readonly SentHalfMessage[]): void {
    if (batch.length === 0) return;
    this.publishing += 1;
    this.work('sending half messages', async () => {
      const outcomes = await this.outcomesOf(transport, batch).finally(() => {
        this.publishing -= 1;
      });
      failpoint('half-message:after-publish');
      const isSent = (place: number) => fateOf(outcomes[place] ?? 'unknown', (batch[place] as SentHalfMessage).envelope) === 'sent';
      this.settle({ gone: batch.filter((_, place) => isSent(place)), logged: batch.filter((_, place) => !isSent(place)) });
      this.next();
    });
  }

  private async outcomesOf(transport: Transport, batch: readonly SentHalfMessage[]): Promise<readonly PublishOutcome[]> {
    failpoint('half-message:before-publish');
    try {
      return await transport.publish(batch.map(({ envelope }) => envelope));
    } catch (error) {
      this.failed('sending half messages', error);
      return [];
    }
  }

  /** When it fails they stay in the register, where a check-back finds them. */
  private settle(settled: SettledHalfMessages): void {
    if (settled.gone.length + settled.logged.length === 0) return;
    this.work('taking half messages out of the register', async () => {
      const lanes = await this.parts.store.settle(settled);
      if (lanes.length > 0) this.parts.logged(lanes);
    });
  }

  private work(what: string, task: () => Promise<void>): void {
    const working: Promise<void> = task()
      .catch((error: unknown) => this.failed(what, error))
      .finally(() => this.working.delete(working));
    this.working.add(working);
  }

  private failed(loop: string, error: unknown): void {
    emit('poll:failed', () => ({ loop, error, delayMs: CHECK_BACK_AFTER_MS }));
    this.parts.logger.warn(`${loop} failed; what is left is sent later`, { error });
  }
}
