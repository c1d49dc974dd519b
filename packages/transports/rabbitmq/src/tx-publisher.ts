import type { Envelope, Keeper, PublishOutcome, StartTerms } from '@holdfast/core';
import { type Channel, IllegalOperationError } from 'amqplib';
import { txCommit, txSelect } from './amqp-tx.js';
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

/** A message that was written, and where its outcome belongs. */
interface Placed extends Written {
  readonly call: Call;
  readonly place: number;
}

/** A batch that somebody waits for. Its messages are `unknown` until more is known. */
class Call {
  readonly outcomes: PublishOutcome[];
  isOver = false;

  constructor(
    readonly messages: readonly Outgoing[],
    private readonly ended: () => void,
  ) {
    this.outcomes = messages.map(() => 'unknown');
  }

  /** What is known now is its end. @param error why it is not known to have arrived */
  end(error?: unknown): void {
    if (this.isOver) return;
    this.isOver = true;
    for (const [place, message] of this.messages.entries()) {
      const outcome = this.outcomes[place] as PublishOutcome;
      if (outcome !== 'confirmed') message.tell(outcome, error);
    }
    this.ended();
  }
}

/** Batches that are committed together. */
interface Transaction {
  readonly calls: readonly Call[];
  /** What was written, by its tag. */
  readonly written: Map<number, Placed>;
  readonly returned: Set<number>;
}

/**
 * Publishes each batch in one AMQP transaction, one after the other. Batches that come while a commit is on its way share the next one, as many as the
 * window takes: each commit is a wait of its own. A batch is never cut.
 */
export class TxPublisher implements Publisher {
  private readonly keeper: Keeper;
  private channel: OpenChannel<Channel> | undefined;
  private readonly refusal: Refusal;
  private waiting: Call[] = [];
  private current: Transaction | undefined;
  private isClosing = false;
  private emptied: () => void = () => undefined;

  constructor(private readonly parts: PublisherParts) {
    this.refusal = new Refusal(parts.logger);
    this.keeper = keepChannel(parts, (connection) => this.open(connection));
  }

  get isBusy(): boolean {
    return this.waiting.length > 0 || (this.current?.calls.some(({ isOver }) => !isOver) ?? false);
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
    this.begin();
  }

  async drain(): Promise<void> {
    this.isClosing = true;
    for (const call of this.waiting.splice(0)) call.end();
    if (this.isBusy)
      await new Promise<void>((resolve) => {
        this.emptied = resolve;
      });
  }

  stop(): Promise<void> {
    this.isClosing = true;
    return this.keeper.stop();
  }

  private async open(connection: Connection): Promise<OpenChannel<Channel>> {
    const open = await connection.openChannel();
    const { channel } = open;
    await open.answer('a transaction', txSelect(channel));
    // A return comes before the answer to the commit.
    channel.on('return', ({ properties }) => this.current?.returned.add(Number(properties.headers?.[TAG])));
    this.refusal.opened(connection);
    this.channel = open;
    void open.lost.then((error) => this.forget(open, error));
    this.begin();
    return open;
  }

  private async call(messages: readonly Outgoing[]): Promise<readonly PublishOutcome[]> {
    if (this.isClosing || messages.length === 0) return messages.map(() => 'unknown');
    const { context, settings } = this.parts;
    return new Promise((resolve) => {
      const timer = context.scheduler.after(settings.confirmTimeoutMs, () => this.giveUp(call), { keepsProcessAlive: true });
      const call = new Call(messages, () => {
        timer.cancel();
        resolve(call.outcomes);
      });
      this.waiting.push(call);
      // Not at once: those who publish at the same time, as the lanes of a relay do, share a commit.
      queueMicrotask(() => this.begin());
    });
  }

  /** Begins a transaction, and asks for its commit. */
  private begin(): void {
    const { channel: open } = this;
    if (this.current !== undefined || this.waiting.length === 0 || !open?.isOpen || open.isBlocked) return;
    const transaction: Transaction = { calls: this.take(), written: new Map(), returned: new Set() };
    this.current = transaction;
    try {
      for (const call of transaction.calls) this.write(open.channel, call, transaction);
      txCommit(open.channel).then(
        () => this.committed(transaction),
        (error: unknown) => open.lose(error),
      );
    } catch (error) {
      open.lose(error);
    }
  }

  /** Those that have waited longest, as many as the window takes, and at least one. */
  private take(): readonly Call[] {
    let messages = 0;
    const end = this.waiting.findIndex((call) => {
      messages += call.messages.length;
      return messages > this.parts.settings.window;
    });
    return this.waiting.splice(0, end === -1 ? this.waiting.length : Math.max(1, end));
  }

  /** What cannot be encoded, or is known to be refused, is left out, and what is behind it in its key. @throws when the channel is closed */
  private write(channel: Channel, call: Call, { written }: Transaction): void {
    const refused = new Set<string>();
    for (const [place, message] of call.messages.entries()) {
      if (message.key !== undefined && refused.has(message.key)) continue;
      const tag = written.size + 1;
      try {
        const parcel = message.parcel(tag);
        const { exchange, routingKey, content, options } = parcel;
        this.refusal.check(message, parcel);
        channel.publish(exchange, routingKey, content, options);
        written.set(tag, { call, place, bytes: content.byteLength, exchange });
      } catch (error) {
        if (error instanceof IllegalOperationError) throw error;
        tellUnwritable(this.parts.logger, message, error);
        call.outcomes[place] = 'rejected';
        if (message.key !== undefined) refused.add(message.key);
      }
    }
  }

  private committed(transaction: Transaction): void {
    if (this.current !== transaction) return;
    const { calls, written, returned } = transaction;
    for (const [tag, { call, place }] of written) call.outcomes[place] = returned.has(tag) ? 'unroutable' : 'confirmed';
    this.end(calls);
  }

  /** The channel is gone: any part of the transaction may be at the broker, but for what it was closed for. */
  private forget(open: OpenChannel<Channel>, error: unknown): void {
    if (this.channel !== open) return;
    this.channel = undefined;
    const { calls = [], written } = this.current ?? {};
    for (const { call, place } of this.refusal.of(error, [...(written?.values() ?? [])])) {
      tellUnwritable(this.parts.logger, call.messages[place] as Outgoing, error);
      call.outcomes[place] = 'rejected';
    }
    this.end(calls, error);
  }

  private end(calls: readonly Call[], error?: unknown): void {
    this.current = undefined;
    for (const call of calls) call.end(error);
    if (!this.isBusy) this.emptied();
    this.begin();
  }

  /**
   * A batch has waited long enough. A channel that owes a commit is given up, because all that comes later would wait behind it; a broker that takes no
   * messages just now owes none.
   */
  private giveUp(call: Call): void {
    const error = unanswered(this.parts);
    this.waiting = this.waiting.filter((each) => each !== call);
    call.end(error);
    if (this.current !== undefined && this.channel?.isBlocked === false) this.channel.lose(error);
    if (!this.isBusy) this.emptied();
  }
}
