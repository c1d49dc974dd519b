import {
  DEFAULT_TRANSPORT,
  atMost,
  type Envelope,
  hfError,
  isHoldfastError,
  type Permits,
  type PublishOutcome,
  type ReceivedReply,
  type Sink,
  type StartTerms,
  type SubscriptionSpec,
  type Topology as WantedTopology,
  type Transport,
  type TransportCapabilities,
  type TransportContext,
  type TransportFactory,
  type TransportHealth,
} from '@holdfast/core';
import { ConfirmPublisher } from './confirm-publisher.js';
import { AHEAD, Consumer } from './consumer.js';
import { strangersIn } from './foreign-source.js';
import { Leftovers } from './leftovers.js';
import { Link, TRANSPORT } from './link.js';
import { PartitionedSubscription } from './partitioned-subscription.js';
import type { Publisher } from './publisher.js';
import { ReplyQueue } from './reply-queue.js';
import { consumerTimeoutMs, type RabbitmqOptions, type Settings, settingsFrom } from './settings.js';
import { Topology } from './topology.js';
import { TxPublisher } from './tx-publisher.js';

/** What this transport keeps. */
export const RABBITMQ_CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: false,
  withoutStore: true,
  renamedSubscriptions: false,
  replies: true,
  addresses: true,
};

/** What takes messages for a subscription. */
type Consuming = Pick<Consumer, 'isBusy' | 'drain' | 'stop'>;

/** Part of a close that is kept for saying goodbye to the broker, once nothing is in hand or waiting any longer is pointless. */
const GOODBYE_MS = 1000;

/**
 * RabbitMQ carries the messages: the relay publishes them from the outbox with confirms, or in transactions (`publishMode`), and each subscription has a
 * durable quorum queue.
 *
 * **Guarantee:** as every transport; a message counts as sent when the broker has confirmed or committed it, and as received when its handler's transaction has
 * committed. Without a store it is received when its handler has ended. **Not promised:** `from: 'earliest'`, renaming with
 * `formerly`.
 *
 * @throws HF_CONFIG_INVALID at the start of the bus, with everything else that is wrong
 */
export function rabbitmq(options: RabbitmqOptions): TransportFactory {
  return {
    transport: TRANSPORT,
    capabilities: RABBITMQ_CAPABILITIES,
    holdLimitMs: holdLimitOf(options),
    create: (context) => new RabbitmqTransport(context, settingsFrom(options)),
  };
}

/** What is fetched ahead waits in hand for what is in work. Undefined for an option that cannot be read, which `create` tells. */
function holdLimitOf(options: RabbitmqOptions): number | undefined {
  try {
    return consumerTimeoutMs(options) / AHEAD;
  } catch {
    return undefined;
  }
}

/** Two connections, so that a broker that takes no messages still gets our acknowledgements. */
class RabbitmqTransport implements Transport {
  readonly capabilities = RABBITMQ_CAPABILITIES;
  private readonly topology: Topology;
  private readonly publishing: Link;
  private readonly consuming: Link;
  private readonly publisher: Publisher;
  private readonly consumers: Consuming[] = [];
  private replies: ReplyQueue | undefined;
  private leftovers: Leftovers | undefined;
  private readonly terms: StartTerms;
  /** Aborted when the start has to end. */
  private starting: AbortController | undefined;
  private isStarted = false;
  private isDraining = false;
  private isClosed = false;

  constructor(
    private readonly context: TransportContext,
    private readonly settings: Settings,
  ) {
    const { service, nodeId, logger } = context;
    this.topology = new Topology(settings, service, logger);
    const link = (connection: 'publish' | 'consume') =>
      new Link({
        context,
        settings,
        logger,
        connection,
        name: `holdfast ${service} ${connection} ${nodeId}`,
        unblocked: () => this.publisher.resume(),
      });
    this.publishing = link('publish');
    this.consuming = link('consume');
    const parts = { context, settings, logger, link: this.publishing, topology: this.topology };
    this.publisher = settings.publishMode === 'tx' ? new TxPublisher(parts) : new ConfirmPublisher(parts);
    const isFinal = (error: unknown) => isHoldfastError(error, 'HF_BROKER_REFUSED') || isHoldfastError(error, 'HF_BROKER_TOPOLOGY');
    this.terms = { timeoutMs: settings.startTimeoutMs, isFinal };
  }

  get isBusy(): boolean {
    return this.publisher.isBusy || this.consumers.some((consumer) => consumer.isBusy);
  }

  /** The worse of its connections; of two that are alike the one that publishes. */
  get health(): TransportHealth {
    const both = [this.publishing.health, this.consuming.health] as const;
    return both.find(({ status }) => status === 'down') ?? both.find(({ status }) => status === 'blocked') ?? both[0];
  }

  /** @throws HF_CONFIG_INVALID, HF_BROKER_REFUSED, HF_BROKER_UNREACHABLE, HF_BROKER_UNANSWERED, HF_STOPPING, HF_BROKER_TOPOLOGY with everything that is not as it is needed */
  async start({ subscriptions }: WantedTopology): Promise<void> {
    const problems = strangersIn(this.settings.foreign, subscriptions);
    if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
    await Promise.all([this.publishing.start(this.terms), this.consuming.start(this.terms)]);
    for (const spec of subscriptions) if (spec.ordering === 'key') await this.divide(spec);
    await this.ensure(subscriptions);
    await this.publisher.start(this.terms);
    this.isStarted = true;
    this.clearLeftovers();
  }

  /** Makes, or looks at, what has to be there. A broker that is busy may not answer at once: as long as the start may take it is asked again. */
  private async ensure(subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    const { scheduler, logger } = this.context;
    const { timeoutMs } = this.terms;
    if (this.isDraining) throw hfError('HF_STOPPING', { activity: 'the start' });
    const starting = new AbortController();
    const { signal } = starting;
    this.starting = starting;
    const late = () => starting.abort(hfError('HF_BROKER_UNANSWERED', { request: 'the start', timeoutMs }));
    const timer = scheduler.after(timeoutMs, late, { keepsProcessAlive: true });
    try {
      for (;;) {
        const connection = await this.consuming.connected(signal);
        try {
          return await this.topology.ensure(connection, subscriptions);
        } catch (error) {
          if (connection.isOpen) throw error;
          signal.throwIfAborted();
          logger.warn('the broker did not answer a start; it is asked again', { transport: TRANSPORT, error });
        }
      }
    } finally {
      timer.cancel();
    }
  }

  /** @throws HF_NOT_STARTED */
  async publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> {
    if (!this.isStarted) throw hfError('HF_NOT_STARTED', { call: 'publish()' });
    return this.publisher.publish(batch);
  }

  /** What cannot begin is let go of: whoever calls may call again. @throws HF_STOPPING after `drain` */
  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    if (this.isDraining) throw hfError('HF_STOPPING', { activity: 'a subscription' });
    const consumers =
      spec.ordering === 'key'
        ? [this.inOrder(spec, sink)]
        : this.topology.queuesFor(spec).map((queue) => this.consumerOf(spec, queue, sink));
    this.consumers.push(...consumers);
    try {
      for (const consumer of consumers) await consumer.start(this.terms);
    } catch (error) {
      for (const consumer of consumers) this.consumers.splice(this.consumers.indexOf(consumer), 1);
      await Promise.all(consumers.map((consumer) => consumer.drain().then(() => consumer.stop())));
      throw error;
    }
  }

  private inOrder(spec: SubscriptionSpec, sink: Sink): PartitionedSubscription {
    const { context, topology, terms } = this;
    const consumerOf = (partition: number, permits: Permits) => {
      const inTurn: Sink = {
        handle: (intake) => permits.run(() => sink.handle(intake)),
        get isPaused() {
          return sink.isPaused;
        },
        onPause: (changed) => sink.onPause(changed),
      };
      return this.consumerOf({ ...spec, concurrency: 1 }, topology.partitionOf(spec, partition), inTurn);
    };
    const count = this.settings.partitions;
    return new PartitionedSubscription({
      context,
      spec,
      scope: this.scopeOf(spec),
      count,
      terms,
      health: () => this.consuming.health,
      consumerOf,
    });
  }

  private consumerOf(spec: SubscriptionSpec, queue: string, sink: Sink): Consumer {
    const { context, topology, publisher, consuming: link } = this;
    const { prefetch } = this.settings;
    return new Consumer({ context, logger: context.logger, link, topology, publisher, spec, queue, prefetch, sink });
  }

  /** Where exchange and queues are ours to make, and it is known who takes what: what is taken is noted for one broker, the default's. */
  private clearLeftovers(): void {
    const { context, topology, consuming: link, settings } = this;
    const { name = DEFAULT_TRANSPORT } = context;
    if (context.store === undefined || settings.topology !== 'assert' || name !== DEFAULT_TRANSPORT) return;
    this.leftovers = new Leftovers({ context, store: context.store, link, topology, divide: (leftover) => this.divide(leftover) });
    this.leftovers.start();
  }

  private scopeOf(spec: Pick<SubscriptionSpec, 'name'>): string {
    return `partitions of ${this.topology.queueOf(spec)}`;
  }

  /** Its queues are as many as the store says, whatever this process would make. */
  private async divide(spec: Pick<SubscriptionSpec, 'name'>): Promise<void> {
    const { store } = this.context;
    if (store !== undefined) this.topology.divide(spec, await store.leases.declare(this.scopeOf(spec), this.settings.partitions));
  }

  /** @throws HF_STOPPING after `close` */
  async openReplies(receive: (reply: ReceivedReply) => void, moved: (address: string) => void): Promise<string> {
    if (this.isClosed) throw hfError('HF_STOPPING', { activity: 'a place for replies' });
    const { context, settings, consuming: link } = this;
    const replies = new ReplyQueue({ context, logger: context.logger, link, exchange: settings.exchange, receive, moved });
    // A close that comes meanwhile ends it too.
    this.replies = replies;
    try {
      await replies.start(this.terms);
    } catch (error) {
      this.replies = undefined;
      await replies.stop();
      throw error;
    }
    return replies.name;
  }

  nudge(): void {
    // Messages are pushed.
  }

  async drain(timeoutMs: number): Promise<void> {
    this.endIntake();
    const goodbyeMs = Math.min(GOODBYE_MS, timeoutMs / 2);
    await atMost(this.context, timeoutMs - goodbyeMs, Promise.all(this.consumers.map((consumer) => consumer.drain())));
    await atMost(this.context, goodbyeMs, Promise.all(this.consumers.map((consumer) => consumer.stop())));
  }

  async close(timeoutMs: number): Promise<void> {
    this.endIntake();
    this.isClosed = true;
    const goodbyeMs = Math.min(GOODBYE_MS, timeoutMs / 2);
    await atMost(this.context, timeoutMs - goodbyeMs, this.publisher.drain());
    // The channels first: the end of a connection would overtake acknowledgements that are still to be written.
    await atMost(
      this.context,
      goodbyeMs / 2,
      Promise.all([this.leftovers, this.publisher, this.replies, ...this.consumers].map((each) => each?.stop())),
    );
    const links = [this.publishing, this.consuming];
    await atMost(this.context, goodbyeMs / 2, Promise.all(links.map((link) => link.stop())));
    for (const link of links) link.drop();
  }

  private endIntake(): void {
    this.isDraining = true;
    this.starting?.abort(hfError('HF_STOPPING', { activity: 'the start' }));
  }
}
