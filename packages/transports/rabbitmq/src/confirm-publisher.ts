import type { Envelope, Keeper, PublishOutcome, StartTerms } from '@holdfast/core';
import { type ConfirmChannel, IllegalOperationError } from 'amqplib';
import type { Connection, OpenChannel } from './connection.js';
import {
  keepChannel,
  type Outgoing,
  outgoing,
  outgoingParcel,
  type Parcel,
  type Publisher,
  type PublisherParts,
  tellUnwritable,
  unanswered,
} from './publisher.js';
import { Refusal, type Written } from './refusal.js';
import { TAG } from './wire.js';

/** A call of `publish`, until all its outcomes are known. */
interface Call {
  readonly outcomes: PublishOutcome[];
  /** Messages whose outcome is not known. */
  readonly sendings: Set<Sending>;
  readonly ended: () => void;
}

/** A message on its way, until its outcome is known. */
interface Sending extends Written {
  readonly call: Call;
  /** In the outcomes of its call. */
  readonly place: number;
  readonly message: Outgoing;
  bytes: number;
  exchange: string;
  isReturned: boolean;
}

/**
 * Publishes with confirms: a window of messages that are not confirmed yet, and of each ordering key at most one of them. Messages wait while there
 * is no channel, while the broker takes none and while the window is full, each call at most for the confirm's time-out.
 */
export class ConfirmPublisher implements Publisher {
  private readonly keeper: Keeper;
  private channel: OpenChannel<ConfirmChannel> | undefined;
  private readonly refusal: Refusal;
  private nextTag = 1;
  private unsent: Sending[] = [];
  private readonly unconfirmed = new Map<number, Sending>();
  /** By ordering key: the message that is under way, and behind it those that wait for its outcome. */
  private readonly lines = new Map<string, Sending[]>();
  private isClosing = false;
  private emptied: () => void = () => undefined;

  constructor(private readonly parts: PublisherParts) {
    this.refusal = new Refusal(parts.logger);
    this.keeper = keepChannel(parts, (connection) => this.open(connection));
  }

  get isBusy(): boolean {
    return this.unsent.length + this.unconfirmed.size > 0;
  }

  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    return this.call(batch.map((envelope) => outgoing(envelope, this.parts.settings.exchange)));
  }

  async put(parcel: Parcel): Promise<PublishOutcome> {
    const [outcome] = await this.call([outgoingParcel(parcel)]);
    return outcome as PublishOutcome;
  }

  resume(): void {
    this.pump();
  }

  async drain(): Promise<void> {
    this.isClosing = true;
    for (const sending of this.unsent.splice(0)) this.settle(sending, 'unknown');
    if (this.unconfirmed.size > 0)
      await new Promise<void>((resolve) => {
        this.emptied = resolve;
      });
  }

  stop(): Promise<void> {
    this.isClosing = true;
    return this.keeper.stop();
  }

  private async open(connection: Connection): Promise<OpenChannel<ConfirmChannel>> {
    const open = await connection.openConfirmChannel();
    const { channel } = open;
    // Tags are counted by both sides, from 1 on each channel. A return comes before the confirm of the same message.
    this.nextTag = 1;
    channel.on('return', ({ properties }) => this.returned(Number(properties.headers?.[TAG])));
    channel.on('ack', ({ deliveryTag, multiple }) => this.answered(open, multiple ? this.upTo(deliveryTag) : [deliveryTag], 'confirmed'));
    channel.on('nack', ({ deliveryTag, multiple }) => this.answered(open, multiple ? this.upTo(deliveryTag) : [deliveryTag], 'rejected'));
    this.refusal.opened(connection);
    this.channel = open;
    void open.lost.then((error) => this.forget(open, error));
    this.pump();
    return open;
  }

  private call(messages: readonly Outgoing[]): Promise<readonly PublishOutcome[]> {
    const outcomes = messages.map((): PublishOutcome => 'unknown');
    if (this.isClosing || messages.length === 0) return Promise.resolve(outcomes);
    const { context, settings } = this.parts;
    return new Promise((resolve) => {
      const timer = context.scheduler.after(settings.confirmTimeoutMs, () => this.giveUp(call), { keepsProcessAlive: true });
      const ended = () => {
        timer.cancel();
        resolve(outcomes);
      };
      const call: Call = { outcomes, sendings: new Set(), ended };
      for (const [place, message] of messages.entries()) this.queue({ call, place, message, bytes: 0, exchange: '', isReturned: false });
      this.pump();
    });
  }

  /** Behind those of its key, where there are some. */
  private queue(sending: Sending): void {
    sending.call.sendings.add(sending);
    const { key } = sending.message;
    const line = key === undefined ? undefined : this.lines.get(key);
    if (line !== undefined) {
      line.push(sending);
      return;
    }
    if (key !== undefined) this.lines.set(key, [sending]);
    this.unsent.push(sending);
  }

  private settle(sending: Sending, outcome: PublishOutcome, error?: unknown): void {
    const { call, place, message } = sending;
    if (!call.sendings.has(sending)) return;
    call.outcomes[place] = outcome;
    if (outcome !== 'confirmed') message.tell(outcome, error);
    if (message.key !== undefined) this.next(message.key, sending);
    leave(sending);
  }

  /** The next one of a key is sent; not one of the same call behind one that did not arrive. */
  private next(key: string, settled: Sending): void {
    const line = this.lines.get(key) as Sending[];
    if (line[0] !== settled) return;
    const outcome = settled.call.outcomes[settled.place];
    const isEnded = (sending: Sending) =>
      this.isClosing ||
      !sending.call.sendings.has(sending) ||
      (sending.call === settled.call && (outcome === 'rejected' || outcome === 'unknown'));
    line.shift();
    for (let first = line[0]; first !== undefined && isEnded(first); first = line[0]) {
      line.shift();
      leave(first);
    }
    if (line[0] === undefined) this.lines.delete(key);
    else this.unsent.push(line[0]);
  }

  private pump(): void {
    const { channel } = this;
    while (channel?.isOpen && !channel.isBlocked && this.unconfirmed.size < this.parts.settings.window) {
      const sending = this.unsent.shift();
      if (sending === undefined || !this.write(channel, sending)) return;
    }
  }

  /** Writes one message; false when the channel is closed. What cannot be encoded, or is known to be refused, is refused before any of it is written. */
  private write(open: OpenChannel<ConfirmChannel>, sending: Sending): boolean {
    try {
      const parcel = sending.message.parcel(this.nextTag);
      const { exchange, routingKey, content, options } = parcel;
      this.refusal.check(sending.message, parcel);
      open.channel.publish(exchange, routingKey, content, options);
      sending.bytes = content.byteLength;
      sending.exchange = exchange;
      this.unconfirmed.set(this.nextTag, sending);
      this.nextTag += 1;
    } catch (error) {
      if (error instanceof IllegalOperationError) {
        this.unsent.unshift(sending);
        open.lose(error);
        return false;
      }
      tellUnwritable(this.parts.logger, sending.message, error);
      this.settle(sending, 'rejected', error);
    }
    return true;
  }

  private returned(tag: number): void {
    const sending = this.unconfirmed.get(tag);
    if (sending !== undefined) sending.isReturned = true;
  }

  /** Tags that wait for an answer, up to this one. */
  private upTo(tag: number): readonly number[] {
    const tags: number[] = [];
    for (const each of this.unconfirmed.keys()) {
      if (each > tag) break;
      tags.push(each);
    }
    return tags;
  }

  private answered(channel: OpenChannel<ConfirmChannel>, tags: readonly number[], outcome: 'confirmed' | 'rejected'): void {
    if (this.channel !== channel) return;
    for (const tag of tags) {
      const sending = this.unconfirmed.get(tag);
      this.unconfirmed.delete(tag);
      if (sending !== undefined) this.settle(sending, outcome === 'confirmed' && sending.isReturned ? 'unroutable' : outcome);
    }
    if (this.unconfirmed.size === 0) this.emptied();
    this.pump();
  }

  /** The channel is gone: what was sent on it may be at the broker or not, but for what it was closed for. */
  private forget(channel: OpenChannel<ConfirmChannel>, error: unknown): void {
    if (this.channel !== channel) return;
    this.channel = undefined;
    const sendings = [...this.unconfirmed.values()];
    this.unconfirmed.clear();
    const refused = new Set(this.refusal.of(error, sendings));
    for (const sending of refused) tellUnwritable(this.parts.logger, sending.message, error);
    for (const sending of sendings) this.settle(sending, refused.has(sending) ? 'rejected' : 'unknown', error);
    this.emptied();
  }

  /**
   * A call has waited long enough. A channel that owes it a confirm is given up, because a confirm that never comes would hold its place in the
   * window for ever; a broker that takes no messages just now owes none.
   */
  private giveUp(call: Call): void {
    const error = unanswered(this.parts);
    this.unsent = this.unsent.filter((sending) => !call.sendings.has(sending));
    const owed = [...this.unconfirmed].filter(([, sending]) => call.sendings.has(sending));
    for (const [tag] of owed) this.unconfirmed.delete(tag);
    for (const sending of [...call.sendings]) this.settle(sending, 'unknown', error);
    if (owed.length > 0 && this.channel?.isBlocked === false) this.channel.lose(error);
    if (this.unconfirmed.size === 0) this.emptied();
    this.pump();
  }
}

/** Nobody waits for it any more. */
function leave(sending: Sending): void {
  const { call } = sending;
  call.sendings.delete(sending);
  if (call.sendings.size === 0) call.ended();
}
