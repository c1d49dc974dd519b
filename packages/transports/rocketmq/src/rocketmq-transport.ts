import {
  atMost,
  type Envelope,
  hfError,
  isHoldfastError,
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
import { GrpcClient } from './grpc-client.js';
import { Names } from './names.js';
import { Publisher } from './publisher.js';
import { administerWith } from './remoting-admin.js';
import { Replies } from './replies.js';
import { type RocketmqOptions, SAFE_INVISIBLE_MS, type Settings, settingsFrom, TRANSPORT } from './settings.js';
import { RocketmqTopology } from './topology.js';

/** What this transport keeps. */
export const ROCKETMQ_CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: true,
  renamedSubscriptions: false,
  replies: true,
};

/** Part of a close that is kept for saying goodbye to the broker, once nothing is in hand or waiting any longer is pointless. */
const GOODBYE_MS = 1000;
/** Between two tries of a start. */
const AGAIN_MS = 200;
/** Trying again cannot help. */
const FINAL = ['HF_BROKER_REFUSED', 'HF_BROKER_TOPOLOGY', 'HF_CONFIG_INVALID'] as const;

/**
 * RocketMQ 5 carries the messages, through its gRPC proxy: the relay sends them from the outbox one request each, and each subscription is a group.
 *
 * **Guarantee:** as every transport; a message counts as sent when the broker has it, flushed and copied as the broker is told to, and as received when its
 * handler's transaction has committed. Without a store it is received when its handler has ended. **Not promised:** renaming with `formerly`; that what was
 * not read before RocketMQ deleted it (three days unless it is told otherwise) is ever read; where a new group begins with `topology: 'none'`.
 *
 * @throws HF_CONFIG_INVALID at the start of the bus, with everything else that is wrong
 */
export function rocketmq(options: RocketmqOptions): TransportFactory {
  return {
    transport: TRANSPORT,
    capabilities: ROCKETMQ_CAPABILITIES,
    create: (context) => new RocketmqTransport(context, settingsFrom(options)),
  };
}

class RocketmqTransport implements Transport {
  readonly capabilities = ROCKETMQ_CAPABILITIES;
  private readonly client: GrpcClient;
  private readonly names: Names;
  private readonly topology: RocketmqTopology;
  private readonly publisher: Publisher;
  private readonly consumers: Consumer[] = [];
  private replies: Replies | undefined;
  private readonly terms: StartTerms;
  private isStarted = false;
  private isDraining = false;
  private isClosed = false;

  constructor(
    private readonly context: TransportContext,
    private readonly settings: Settings,
  ) {
    const { service, logger, scheduler, store } = context;
    this.names = new Names(settings, service);
    this.client = new GrpcClient({ settings, scheduler, logger });
    const administer = administerWith(settings);
    this.topology = new RocketmqTopology({ administer, settings, logger, names: this.names, hasStore: store !== undefined });
    this.publisher = new Publisher({ context, settings, logger, client: this.client, names: this.names, topology: this.topology });
    this.terms = { timeoutMs: settings.startTimeoutMs, isFinal };
  }

  get isBusy(): boolean {
    return this.publisher.isBusy || this.consumers.some((consumer) => consumer.isBusy);
  }

  /** The first part that is not up. */
  get health(): TransportHealth {
    const { problem } = this.publisher;
    if (problem !== undefined) return { status: 'down', problem: `the producer at ${this.settings.endpoint}: ${problem}` };
    return this.consumers.map(({ health }) => health).find(({ status }) => status !== 'up') ?? { status: 'up', problem: undefined };
  }

  /** @throws HF_CONFIG_INVALID, HF_BROKER_REFUSED, HF_BROKER_UNREACHABLE, HF_BROKER_UNANSWERED, HF_STOPPING, HF_BROKER_TOPOLOGY with everything that is not as it is needed */
  async start({ subscriptions }: Topology): Promise<void> {
    const problems = subscriptions.flatMap((spec) => this.problemsOf(spec));
    if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
    if (this.settings.invisibleMs < SAFE_INVISIBLE_MS)
      this.context.logger.warn(
        'rocketmq({ invisibleDuration }) is below ten seconds: the broker may lose messages of processes that are killed; raise it',
        { transport: TRANSPORT, invisibleMs: this.settings.invisibleMs },
      );
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
    const { context, settings, client, names, publisher } = this;
    const consumer = new Consumer({ context, settings, logger: context.logger, client, names, publisher, spec, sink });
    this.consumers.push(consumer);
    try {
      await consumer.start(this.terms);
    } catch (error) {
      this.consumers.splice(this.consumers.indexOf(consumer), 1);
      await consumer.stop();
      throw error;
    }
  }

  async openReplies(receive: (reply: ReceivedReply) => void): Promise<string> {
    if (this.isClosed) throw hfError('HF_STOPPING', { activity: 'a place for replies' });
    const { context, client, names, topology, publisher } = this;
    const replies = new Replies({ context, logger: context.logger, client, names, topology, publisher, receive });
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
    // Messages are received all the time.
  }

  async drain(timeoutMs: number): Promise<void> {
    this.isDraining = true;
    const goodbyeMs = Math.min(GOODBYE_MS, timeoutMs / 2);
    await atMost(this.context, timeoutMs - goodbyeMs, Promise.all(this.consumers.map((consumer) => consumer.drain())));
    await atMost(this.context, goodbyeMs, Promise.all(this.consumers.map((consumer) => consumer.stop())));
  }

  async close(timeoutMs: number): Promise<void> {
    this.isDraining = true;
    this.isClosed = true;
    const goodbyeMs = Math.min(GOODBYE_MS, timeoutMs / 2);
    // The first sends something to end sooner.
    const drained = Promise.resolve(this.replies?.drain()).then(() => this.publisher.drain());
    await atMost(this.context, timeoutMs - goodbyeMs, drained);
    await atMost(this.context, goodbyeMs, Promise.all([this.publisher, this.replies, ...this.consumers].map((each) => each?.stop())));
  }

  /** A key keeps its order within a topic. */
  private problemsOf(spec: SubscriptionSpec): readonly string[] {
    const topics = this.names.topicsOf(spec);
    if (spec.ordering !== 'key' || topics.length === 1) return [];
    return [
      `subscription "${spec.name}": ordering: 'key' needs all its types in one topic, and they are in ${topics.join(', ')}; name one for them in rocketmq({ topics }), or make a subscription for each type`,
    ];
  }

  private async ensure(subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    const { clock, scheduler, logger } = this.context;
    for (const endMs = clock.monotonicMs() + this.settings.startTimeoutMs; ; ) {
      if (this.isDraining) throw hfError('HF_STOPPING', { activity: 'the start' });
      try {
        return await this.topology.ensure(subscriptions);
      } catch (error) {
        if (isFinal(error) || clock.monotonicMs() > endMs) throw error;
        logger.warn('the broker did not answer a start; it is asked again', { transport: TRANSPORT, error });
        await scheduler.sleep(AGAIN_MS, undefined, { keepsProcessAlive: true });
      }
    }
  }
}

function isFinal(error: unknown): boolean {
  return FINAL.some((code) => isHoldfastError(error, code));
}
