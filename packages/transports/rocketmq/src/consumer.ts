import {
  type DeadLetterReason,
  emit,
  hfError,
  HeldIntake,
  Keeper,
  type Logger,
  type Sink,
  type StartTerms,
  type SubscriptionSpec,
  type TransportContext,
  type TransportHealth,
} from '@holdfast/core';
import type { ReceivedMessage, RocketmqClient, RocketmqConsumer } from './client.port.js';
import { deadLetterOf, shortDeadLetterOf } from './dead-letter.js';
import { Hand } from './hand.js';
import type { Names } from './names.js';
import type { Publisher } from './publisher.js';
import { isTooLarge } from './refusal.js';
import type { Settings } from './settings.js';
import { orderProblemOf } from './topology.js';
import { typeOf } from './wire.js';

/** Of one receive; the proxy gives no more. */
const MOST_RECEIVED = 32;
/** In hand at least, so that a request does not fetch a message or two. */
const LEAST_IN_HAND = 16;
const MOST_IN_HAND = 1000;
/** Before an engine that took nothing is asked again. */
const IDLE_MS = 100;
/** Before a broker that wants to be left alone for a while is asked again. */
const AGAIN_MS = 300;

/** What a consumer works with. */
export interface ConsumerParts {
  readonly context: TransportContext;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly client: RocketmqClient;
  readonly names: Names;
  /** Puts dead letters away, where there is no store for them. */
  readonly publisher: Publisher;
  readonly spec: SubscriptionSpec;
  readonly sink: Sink;
}

/** A topic that the subscription takes from. */
interface Source {
  readonly topic: string;
  readonly keeper: Keeper;
  consumer: RocketmqConsumer | undefined;
  /** Why nothing is received. */
  problem: string | undefined;
  receiving: Promise<void>;
}

/**
 * One subscription: a client of its group for each topic, opened again whenever it is lost, one receive at a time, and as many hand-overs in work as its
 * concurrency. No more is received than what is worked on and as much again. While it is paused nothing is received.
 */
export class Consumer {
  private readonly sources: readonly Source[];
  private readonly hand: Hand;
  /** Is told of pauses no more. */
  private readonly forget: () => void;
  private readonly tasks = new Set<Promise<void>>();
  private readonly group: string;
  private wake: () => void = () => undefined;
  private woken = Promise.resolve();
  private isStopped = false;

  constructor(private readonly parts: ConsumerParts) {
    const { context, names, spec, sink, settings } = parts;
    this.group = names.groupOf(spec);
    this.hand = new Hand({
      clock: context.clock,
      scheduler: context.scheduler,
      isOrdered: spec.ordering === 'key',
      invisibleMs: settings.invisibleMs,
      putDeadLetter: (message, reason) => this.putDeadLetter(message, reason),
      changed: () => this.changed(),
    });
    this.sources = names.topicsOf(spec).map((topic) => this.sourceOf(topic));
    this.changed();
    this.forget = sink.onPause(() => this.changed());
  }

  get isBusy(): boolean {
    return this.tasks.size > 0 || this.hand.size > 0;
  }

  get health(): TransportHealth {
    const problem = this.sources.map((source) => source.problem).find((each) => each !== undefined);
    return problem === undefined
      ? { status: 'up', problem }
      : { status: 'down', problem: `the subscription ${this.parts.spec.name}: ${problem}` };
  }

  /** Resolves when the proxy has taken it in. @throws HF_BROKER_REFUSED and HF_BROKER_TOPOLOGY at once, else the last error at the time-out */
  async start(terms: StartTerms): Promise<void> {
    await Promise.all(this.sources.map(({ keeper }) => keeper.start(terms)));
  }

  /** Takes nothing new from now on, waits for what is in work, and gives back the rest. */
  async drain(): Promise<void> {
    this.stopTaking();
    await Promise.all(this.tasks);
    await this.hand.empty();
    await Promise.all(this.sources.map(({ receiving }) => receiving));
    await this.hand.empty();
  }

  /** Lets go of everything: what is still in hand comes again elsewhere when its time is over. */
  async stop(): Promise<void> {
    this.stopTaking();
    await Promise.all(this.sources.map(({ keeper }) => keeper.stop()));
    this.hand.close();
  }

  private stopTaking(): void {
    this.isStopped = true;
    this.forget();
    this.changed();
  }

  private sourceOf(topic: string): Source {
    const keeper = new Keeper(this.parts.context, {
      what: `a consumer of ${this.group}`,
      open: () => this.open(source),
      failed: (error, delayMs) => this.failed(source, error, delayMs),
    });
    const source: Source = { topic, keeper, consumer: undefined, problem: 'it has not been opened yet', receiving: Promise.resolve() };
    return source;
  }

  private async open(source: Source): Promise<RocketmqConsumer> {
    const { client, spec } = this.parts;
    const consumer = await client.openConsumer({ group: this.group, topic: source.topic });
    const isOrdered = spec.ordering === 'key';
    if (consumer.isOrdered !== isOrdered) {
      await consumer.end();
      throw hfError('HF_BROKER_TOPOLOGY', { problems: [orderProblemOf(this.group, isOrdered)] });
    }
    source.consumer = consumer;
    source.problem = undefined;
    emit('subscription:consuming', { subscription: spec.name, queue: this.group });
    source.receiving = this.receive(source, consumer);
    return consumer;
  }

  /** Receives until the consumer is lost. */
  private async receive(source: Source, consumer: RocketmqConsumer): Promise<void> {
    const { clock, scheduler } = this.parts.context;
    let isLost = false;
    void consumer.lost.then(() => {
      isLost = true;
      if (source.consumer === consumer) source.consumer = undefined;
      this.changed();
    });
    while (!isLost && !this.isStopped) {
      const room = Math.min(MOST_RECEIVED, this.mostInHand - this.hand.size);
      if (room <= 0 || this.parts.sink.isPaused) {
        await this.woken;
        continue;
      }
      const askedMs = clock.monotonicMs();
      try {
        const messages = await consumer.receive(room);
        if (!isLost) source.problem = undefined;
        this.received(source, messages, askedMs);
      } catch (error) {
        if (isLost || this.isStopped) return;
        source.problem = error instanceof Error ? error.message : String(error);
        this.parts.logger.warn('the broker did not answer a receive; it is asked again', { queue: this.group, error });
        await scheduler.sleep(AGAIN_MS);
      }
    }
  }

  private received(source: Source, messages: readonly ReceivedMessage[], askedMs: number): void {
    if (messages.length === 0) return;
    const { names, spec } = this.parts;
    // A topic that several types share has some that this subscription does not take.
    const others = new Set(names.typesIn(source.topic).filter((type) => !spec.types.includes(type)));
    const held = this.hand.add(messages, () => source.consumer, askedMs);
    if (others.size > 0) for (const each of held) if (others.has(typeOf(each.message))) this.hand.pass(each);
    this.fill();
  }

  private get mostInHand(): number {
    const { concurrency, batchSize } = this.parts.spec;
    return Math.min(MOST_IN_HAND, Math.max(LEAST_IN_HAND, 2 * concurrency * batchSize));
  }

  /** There is room for more, or somebody else has to look. */
  private changed(): void {
    this.wake();
    this.woken = new Promise((resolve) => {
      this.wake = resolve;
    });
    this.fill();
  }

  private fill(): void {
    const { spec, sink } = this.parts;
    while (!this.isStopped && !sink.isPaused && this.tasks.size < spec.concurrency) {
      const taken = this.hand.take(spec.batchSize);
      if (taken === undefined) return;
      const task = this.work(taken).finally(() => {
        this.tasks.delete(task);
        this.fill();
      });
      this.tasks.add(task);
    }
  }

  private async work({ messages, done }: NonNullable<ReturnType<Hand['take']>>): Promise<void> {
    const { context, sink } = this.parts;
    const intake = new HeldIntake(messages, this.group);
    try {
      let outcome: string = 'worked';
      while (outcome !== 'idle' && intake.length > 0 && !this.isStopped && !sink.isPaused) outcome = await sink.handle(intake);
      // It takes nothing any more, and we are not told yet.
      if (outcome === 'idle' && intake.length > 0) await context.scheduler.sleep(IDLE_MS);
    } finally {
      intake.giveBack();
      done();
    }
  }

  private async putDeadLetter(message: ReceivedMessage, reason: DeadLetterReason): Promise<void> {
    const { names, publisher, spec } = this.parts;
    const topic = names.deadLettersOf(spec);
    let { outcome, error } = await publisher.put(deadLetterOf(message, reason, topic));
    if (outcome === 'rejected' && isTooLarge(error)) ({ outcome, error } = await publisher.put(shortDeadLetterOf(message, reason, topic)));
    if (outcome === 'confirmed') return;
    throw hfError('HF_BROKER_DEAD_LETTER', { subscription: reason.subscription, queue: topic, outcome }, { cause: error });
  }

  private failed(source: Source, error: unknown, delayMs: number): void {
    const { logger, spec } = this.parts;
    source.problem = error instanceof Error ? error.message : String(error);
    const facts = { subscription: spec.name, queue: this.group, error, delayMs };
    emit('subscription:interrupted', () => facts);
    logger.warn('a subscription was interrupted; it is tried again', facts);
  }
}
