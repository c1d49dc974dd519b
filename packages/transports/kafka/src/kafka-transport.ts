import {
  atMost,
  type Envelope,
  hfError,
  type PublishOutcome,
  type ReceivedReply,
  type Sink,
  type StartTerms,
  type SubscriptionSpec,
  type Topology,
  type Transport,
  type TransportCapabilities,
  type TransportContext,
  type TransportFactory,
  type TransportHealth,
} from '@holdfast/core';
import { Consumer } from './consumer.js';
import type { KafkaDriver } from './client.port.js';
import { ConfluentClient } from './confluent-client.js';
import { confluentLibrary } from './confluent-library.js';
import { KafkajsClient } from './kafkajs-client.js';
import { LagWatch } from './lag-watch.js';
import { Names } from './names.js';
import { setFirst } from './first-positions.js';
import { ProducerSlots } from './producer-slots.js';
import { Publisher } from './publisher.js';
import { isFinal } from './refusal.js';
import { Replies } from './replies.js';
import { type KafkaOptions, type Settings, settingsFrom, TRANSPORT } from './settings.js';
import { Topics } from './topics.js';

/** What this transport keeps. */
export const KAFKA_CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: true,
  renamedSubscriptions: false,
  replies: true,
  addresses: true,
  fencedOffsets: true,
};

/** Part of a close that is kept for saying goodbye to the broker, once nothing is in hand or waiting any longer is pointless. */
const GOODBYE_MS = 1000;
/** Between two tries of a start. */
const AGAIN_MS = 200;

/**
 * Kafka carries the messages: the relay appends them from the outbox with an idempotent producer, and each subscription is a group.
 *
 * **Guarantee:** as every transport; a message counts as sent when all replicas in sync have it, and as received when its handler's transaction has committed.
 * Without a store it is received when its handler has ended. **Not promised:** renaming with `formerly`; that what was not read before Kafka deleted it
 * (the retention of its topic) is ever read.
 *
 * @throws HF_CONFIG_INVALID at the start of the bus, with everything else that is wrong
 */
export function kafka(options: KafkaOptions): TransportFactory {
  return {
    transport: TRANSPORT,
    capabilities: KAFKA_CAPABILITIES,
    create: (context) => new KafkaTransport(context, settingsFrom(options)),
  };
}

class KafkaTransport implements Transport {
  readonly capabilities = KAFKA_CAPABILITIES;
  private readonly client: KafkaDriver;
  private readonly names: Names;
  private readonly topics: Topics;
  private readonly publisher: Publisher;
  private readonly slots: ProducerSlots;
  private readonly consumers: Consumer[] = [];
  private readonly lag: LagWatch | undefined;
  private replies: Replies | undefined;
  private readonly terms: StartTerms;
  private isStarted = false;
  private isDraining = false;
  private isClosed = false;

  constructor(
    private readonly context: TransportContext,
    private readonly settings: Settings,
  ) {
    const { service, nodeId, logger, scheduler, clock, store } = context;
    this.names = new Names(settings, service);
    const parts = { settings, scheduler, clock, logger, clientId: `holdfast ${service} ${nodeId}` };
    this.client =
      settings.driver === 'confluent' ? new ConfluentClient({ ...parts, library: confluentLibrary() }) : new KafkajsClient(parts);
    this.topics = new Topics({
      client: this.client,
      settings,
      names: this.names,
      hasStore: store !== undefined,
      setFirst: (spec, positions) => setFirst(this.client, this.names, { spec, positions }),
    });
    this.slots = new ProducerSlots(settings.transactionalProducers);
    this.publisher = new Publisher({ context, settings, logger, client: this.client, names: this.names, topics: this.topics });
    const { lagIntervalMs: intervalMs } = settings;
    this.lag =
      intervalMs === undefined ? undefined : new LagWatch({ context, settings, intervalMs, client: this.client, names: this.names });
    this.terms = { timeoutMs: settings.startTimeoutMs, isFinal };
  }

  get isBusy(): boolean {
    return this.publisher.isBusy || this.consumers.some((consumer) => consumer.isBusy);
  }

  get health(): TransportHealth {
    const lags = this.lag?.lags;
    return lags === undefined ? this.standing : { ...this.standing, lags };
  }

  /** The first part that is not up. */
  private get standing(): TransportHealth {
    const { problem } = this.publisher;
    if (problem !== undefined) return { status: 'down', problem: `the producer at ${this.settings.address}: ${problem}` };
    return this.consumers.map(({ health }) => health).find(({ status }) => status !== 'up') ?? { status: 'up', problem: undefined };
  }

  /** @throws HF_CONFIG_INVALID, HF_CAPABILITY_UNSUPPORTED with a broker that is too old, HF_BROKER_REFUSED, HF_BROKER_UNREACHABLE, HF_BROKER_UNANSWERED, HF_STOPPING, HF_BROKER_TOPOLOGY with everything that is not as it is needed */
  async start({ subscriptions }: Topology): Promise<void> {
    const problems = subscriptions.flatMap((spec) => this.problemsOf(spec));
    if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
    await this.publisher.start(this.terms);
    await this.ensure(subscriptions);
    this.isStarted = true;
  }

  /** @throws HF_NOT_STARTED */
  async publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    if (!this.isStarted) throw hfError('HF_NOT_STARTED', { call: 'publish()' });
    return this.publisher.publish(batch);
  }

  /** What cannot begin is let go of: whoever calls may call again. @throws HF_STOPPING after `drain` */
  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    if (this.isDraining) throw hfError('HF_STOPPING', { activity: 'a subscription' });
    const { context, settings, client, names, topics, publisher, slots } = this;
    const consumer = new Consumer({ context, settings, logger: context.logger, client, names, topics, publisher, slots, spec, sink });
    this.consumers.push(consumer);
    try {
      await consumer.start(this.terms);
      this.lag?.add(spec);
    } catch (error) {
      this.consumers.splice(this.consumers.indexOf(consumer), 1);
      await consumer.stop();
      throw error;
    }
  }

  async openReplies(receive: (reply: ReceivedReply) => void): Promise<string> {
    if (this.isClosed) throw hfError('HF_STOPPING', { activity: 'a place for replies' });
    const { context, client, names, topics } = this;
    const replies = new Replies({ context, logger: context.logger, client, names, topics, receive });
    // A close that comes meanwhile ends it too.
    this.replies = replies;
    try {
      await replies.start(this.terms);
    } catch (error) {
      await replies.stop();
      throw error;
    }
    return replies.address;
  }

  nudge(): void {
    // Messages are fetched all the time.
  }

  async drain(timeoutMs: number): Promise<void> {
    this.isDraining = true;
    void this.lag?.stop();
    const goodbyeMs = Math.min(GOODBYE_MS, timeoutMs / 2);
    await atMost(this.context, timeoutMs - goodbyeMs, Promise.all(this.consumers.map((consumer) => consumer.drain())));
    await atMost(this.context, goodbyeMs, Promise.all(this.consumers.map((consumer) => consumer.stop())));
  }

  async close(timeoutMs: number): Promise<void> {
    this.isDraining = true;
    this.isClosed = true;
    const goodbyeMs = Math.min(GOODBYE_MS, timeoutMs / 2);
    await atMost(this.context, timeoutMs - goodbyeMs, this.publisher.drain());
    await atMost(
      this.context,
      goodbyeMs,
      Promise.all([this.publisher, this.replies, this.lag, ...this.consumers].map((each) => each?.stop())),
    );
    this.client.drop();
  }

  /** A key keeps its order within a topic. */
  private problemsOf(spec: SubscriptionSpec): readonly string[] {
    const topics = this.names.topicsOf(spec);
    if (spec.ordering !== 'key' || topics.length === 1) return [];
    return [
      `subscription "${spec.name}": ordering: 'key' needs all its types in one topic, and they are in ${topics.join(', ')}; name one for them in kafka({ topics }), or make a subscription for each type`,
    ];
  }

  private async ensure(subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    const { clock, scheduler, logger } = this.context;
    for (const endMs = clock.monotonicMs() + this.settings.startTimeoutMs; ; ) {
      if (this.isDraining) throw hfError('HF_STOPPING', { activity: 'the start' });
      try {
        return await this.topics.ensure(subscriptions);
      } catch (error) {
        if (isFinal(error) || clock.monotonicMs() > endMs) throw error;
        logger.warn('the broker did not answer a start; it is asked again', { transport: TRANSPORT, error });
        await scheduler.sleep(AGAIN_MS, undefined, { keepsProcessAlive: true });
      }
    }
  }
}
