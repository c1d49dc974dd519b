import {
  emit,
  type HandOver,
  HeldIntake,
  hfError,
  isHoldfastError,
  Keeper,
  type KeeperContext,
  type Logger,
  type Sink,
  type StartTerms,
  type SubscriptionSpec,
} from '@holdfast/core';
import type { Channel, ConsumeMessage } from 'amqplib';
import type { OpenChannel } from './connection.js';
import { Held, type PutDeadLetter } from './held.js';
import { putDeadLetter } from './dead-letter.js';
import type { Link } from './link.js';
import type { Publisher } from './publisher.js';
import { refusalOf, type Topology } from './topology.js';
import { fromWire } from './wire.js';

/** Hand-overs for which messages are fetched ahead: one in work, and one behind it. */
export const AHEAD = 2;
/** Longest wait for a connection on which a missing dead-letter queue is made again. */
const RESTORE_MS = 10_000;
/** AMQP's largest prefetch. */
const MAX_PREFETCH = 65_535;
/** Without a store: a message that came back so often is taken by itself, since it may be what ends its processes. Whatever is in hand together with it is counted by the broker too. */
const CAREFUL_RETURNS = 5;

/** Why a channel ends that nobody has interrupted. */
const PAUSED = new Error('the subscription is paused');

/** What a consumer works with. */
export interface ConsumerParts {
  readonly context: KeeperContext;
  readonly logger: Logger;
  readonly link: Link;
  readonly topology: Topology;
  /** Puts dead letters away, where there is no store for them. */
  readonly publisher: Publisher;
  readonly spec: SubscriptionSpec;
  /** One of those the subscription takes from. */
  readonly queue: string;
  /** Messages in hand at most, where that is less than what is in work and as much behind it. */
  readonly prefetch: number | undefined;
  readonly sink: Sink;
}

/** What is open now. */
interface OpenConsumer {
  readonly channel: OpenChannel<Channel>;
  /** Begin of the places of its messages. */
  readonly place: string;
  readonly tags: string[];
  /** Messages it may have in hand. */
  prefetch: number;
  /** What still comes goes back with the channel. */
  isLeaving?: boolean;
}

/**
 * One subscription: a channel with a consumer on it, opened again whenever it is lost, and as many hand-overs in work as its concurrency. While the
 * subscription is paused there is only the channel, and nothing in hand but what was in work.
 *
 * Without a store nobody but the broker counts what ends a process, and it counts whatever that process had in hand. So it begins *careful*, with one
 * message, and stays so while what comes is suspect; the first message that is not opens a second consumer, for as many as it may have.
 */
export class Consumer {
  private readonly keeper: Keeper;
  /** Is told of pauses no more. */
  private readonly forget: () => void;
  readonly queue: string;
  private readonly tasks = new Set<Promise<void>>();
  private waiting: Held[] = [];
  private current: OpenConsumer | undefined;
  private generation = 0;
  private isStopped = false;
  /** Consumers are opened and ended one after another. */
  private turn: Promise<void> = Promise.resolve();

  constructor(private readonly parts: ConsumerParts) {
    const { context, queue, sink } = parts;
    this.queue = queue;
    this.forget = sink.onPause(() => this.pauseChanged());
    this.keeper = new Keeper(context, {
      what: `a consumer of ${this.queue}`,
      open: (signal) => this.open(signal),
      failed: (error, delayMs) => this.failed(error, delayMs),
    });
  }

  /** For what is handed over. A queue that is not there any more is made again, where that is ours to do, before it is tried again. */
  private readonly putDeadLetter: PutDeadLetter = async (message, reason) => {
    const { topology, publisher, spec, link } = this.parts;
    try {
      await putDeadLetter(publisher, { message, queue: topology.deadLettersOf(spec), reason });
    } catch (error) {
      if (isHoldfastError(error, 'HF_BROKER_DEAD_LETTER') && error.details.outcome === 'unroutable')
        await topology.restore(await link.connected(AbortSignal.timeout(RESTORE_MS)), spec);
      throw error;
    }
  };

  get isBusy(): boolean {
    return this.tasks.size > 0 || this.waiting.length > 0;
  }

  /** Resolves when the broker has accepted the consumer. @throws HF_BROKER_TOPOLOGY at once, else the last error at the time-out */
  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  /** Takes nothing new from now on, gives back what has not begun, and waits for what has. */
  async drain(): Promise<void> {
    this.isStopped = true;
    this.forget();
    if (this.isOrdered) return this.drainInOrder();
    const { current } = this;
    await this.turn;
    if (current?.channel.isOpen) await this.cancel(current).catch(() => undefined);
    this.giveBack();
    await Promise.all(this.tasks);
  }

  /**
   * Waits for what has begun, and closes the channel with the rest in hand. A consumer that is cancelled first makes the broker go on with somebody else
   * at once, while ours are still in work; what is given back one by one loses its place.
   *
   * @source red team 2, V2: seen on RabbitMQ 3.10 with quorum queues and a single active consumer
   */
  private async drainInOrder(): Promise<void> {
    this.waiting = [];
    await Promise.all(this.tasks);
    await this.keeper.stop();
  }

  /** Lets go of the channel: the broker gives what is still in hand to somebody else. */
  stop(): Promise<void> {
    this.isStopped = true;
    this.forget();
    return this.keeper.stop();
  }

  private async open(signal: AbortSignal): Promise<OpenChannel<Channel>> {
    const { link, topology, spec } = this.parts;
    const connection = await link.connected(signal);
    await topology.restore(connection, spec, spec.ordering === 'key' ? this.queue : undefined);
    const channel = await connection.openChannel();
    this.generation += 1;
    const opened: OpenConsumer = { channel, place: `${this.queue}/${this.generation}`, tags: [], prefetch: 0 };
    try {
      await this.inTurn(() => this.adjust(opened));
      this.current = opened;
    } catch (error) {
      await channel.end();
      throw refusalOf(error, `the queue ${this.queue}`);
    }
    void channel.lost.then(() => {
      // The broker delivers them again.
      this.waiting = this.waiting.filter(({ isOurs }) => isOurs);
    });
    // It may have changed while there was no channel.
    this.pauseChanged();
    return channel;
  }

  private get isOrdered(): boolean {
    return this.parts.spec.ordering === 'key';
  }

  private pauseChanged(): void {
    const { current } = this;
    if (current !== undefined) this.change(current, () => this.adjust(current));
  }

  private change({ channel }: OpenConsumer, work: () => Promise<void>): void {
    const whileOpen = async () => {
      if (channel.isOpen && !this.isStopped) await work();
    };
    this.inTurn(whileOpen).catch((error: unknown) => channel.lose(error));
  }

  private inTurn(work: () => Promise<void>): Promise<void> {
    const done = this.turn.then(work);
    this.turn = done.catch(() => undefined);
    return done;
  }

  /** Begins to consume, or ends it, as the pause says. */
  private async adjust(opened: OpenConsumer): Promise<void> {
    // A channel that comes back while what has begun is waited for.
    if (this.isStopped) return;
    const { spec, sink } = this.parts;
    const isConsuming = opened.tags.length > 0;
    if (sink.isPaused && isConsuming) {
      if (this.isOrdered) return this.loseInOrder(opened);
      await this.cancel(opened);
      this.giveBack();
    } else if (!sink.isPaused && !isConsuming) {
      await this.consume(opened, spec.id === undefined ? 1 : this.mostInHand);
      emit('subscription:consuming', { subscription: spec.name, queue: this.queue });
    }
  }

  /** As `drainInOrder`; the next channel has no consumer while it is paused. */
  private async loseInOrder(opened: OpenConsumer): Promise<void> {
    const { channel } = opened;
    opened.isLeaving = true;
    this.waiting = [];
    await Promise.all(this.tasks);
    channel.lose(this.reasonToLose);
  }

  private get reasonToLose(): Error {
    return this.parts.sink.isPaused ? PAUSED : hfError('HF_LEASE_LOST', { resource: this.queue });
  }

  /** What is given back before the broker knows that we take no more would come right back. */
  private async cancel(opened: OpenConsumer): Promise<void> {
    const { channel, tags } = opened;
    opened.prefetch = 0;
    for (const tag of tags.splice(0)) await channel.answer('the end of a consumer', channel.channel.cancel(tag));
  }

  private giveBack(): void {
    for (const held of this.waiting) held.settle('requeue');
    this.waiting = [];
  }

  private get isTaking(): boolean {
    return !this.isStopped && !this.parts.sink.isPaused;
  }

  private get mostInHand(): number {
    const { prefetch = MAX_PREFETCH, spec } = this.parts;
    return Math.min(prefetch, AHEAD * spec.concurrency * spec.batchSize);
  }

  /** Opens a consumer for so many messages, beside those for which there is one. */
  private async consume(opened: OpenConsumer, prefetch: number): Promise<void> {
    const { channel } = opened;
    opened.prefetch += prefetch;
    await channel.answer('a prefetch', channel.channel.prefetch(prefetch));
    const handle = (message: ConsumeMessage | null) => this.received(opened, message);
    const { consumerTag } = await channel.answer('a consumer', channel.channel.consume(this.queue, handle));
    opened.tags.push(consumerTag);
  }

  private received(opened: OpenConsumer, message: ConsumeMessage | null): void {
    const { context, spec } = this.parts;
    const { channel, place } = opened;
    if (opened.isLeaving) return;
    if (message === null) {
      channel.lose(hfError('HF_BROKER_CONSUMER_CANCELLED', { subscription: spec.name, queue: this.queue }));
      return;
    }
    const at = { place: `${place}/${message.fields.deliveryTag}`, receivedAt: context.clock.now() };
    const incoming = fromWire(message, at);
    if (opened.prefetch < this.mostInHand && (incoming.timesReturned ?? 0) < CAREFUL_RETURNS)
      this.change(opened, async () => {
        const missing = this.mostInHand - opened.prefetch;
        if (missing > 0 && opened.tags.length > 0) await this.consume(opened, missing);
      });
    this.waiting.push(new Held(incoming, message, { channel, putDeadLetter: this.putDeadLetter }));
    this.fill();
  }

  private fill(): void {
    const { spec } = this.parts;
    while (this.isTaking && this.waiting.length > 0 && this.tasks.size < spec.concurrency) {
      const task = this.work(new HeldIntake(this.waiting.splice(0, spec.batchSize), this.queue)).finally(() => {
        this.tasks.delete(task);
        this.fill();
      });
      this.tasks.add(task);
    }
  }

  private async work(intake: HeldIntake): Promise<void> {
    let outcome: HandOver = 'worked';
    while (outcome !== 'idle' && intake.length > 0 && this.isTaking) outcome = await this.parts.sink.handle(intake);
    if (this.isOrdered) {
      // It comes again with all that follows it.
      if (intake.length > 0 && !this.isStopped) this.current?.channel.lose(this.reasonToLose);
      return;
    }
    if (this.parts.sink.isPaused) await this.turn;
    intake.giveBack();
  }

  private failed(error: unknown, delayMs: number): void {
    if (error === PAUSED) return;
    const { logger, spec } = this.parts;
    const facts = { subscription: spec.name, queue: this.queue, error, delayMs };
    emit('subscription:interrupted', () => facts);
    logger.warn('a subscription was interrupted; it is tried again', facts);
  }
}
