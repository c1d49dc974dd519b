import { type EndContext, hfError, within } from '@holdfast/core';
import { type BaseClientOptions, Message, type MessageView, Producer, SimpleConsumer } from 'rocketmq-client-nodejs';
import type {
  ConsumerOptions,
  OutgoingMessage,
  ReceivedMessage,
  RocketmqClient,
  RocketmqConsumer,
  RocketmqProducer,
} from './client.port.js';
import { Channels } from './channels.js';
import { Fence } from './fence.js';
import { isLostWith, refusalIn, sendFailureOf } from './refusal.js';
import type { Settings } from './settings.js';

/** Saying goodbye to a broker that may be gone. */
const GOODBYE_MS = 500;
/** Its own goes to a file in the home of the user; what matters is in what is thrown. */
const MUTE = { info: () => undefined, warn: () => undefined, error: () => undefined };
/** No topic of ours: the proxy says that it is not there, and so that it is there itself. */
const NO_TOPIC = '-none';

/** Begin of properties that the broker notes for itself, and refuses of others. */
const OF_THE_BROKER = '__';

/** What a client works with. */
export interface GrpcClientParts extends EndContext {
  readonly settings: Settings;
}

/**
 * rocketmq-client-nodejs 1.0.8, of which nothing is used that was seen to fail. A client is started without topics, because a start that waits for the
 * settings of several may have missed them and wait for ever; it tries everything once; and when its connection is gone it is given up, because the next one
 * would be tried after ever longer waits.
 */
export class GrpcClient implements RocketmqClient {
  constructor(private readonly parts: GrpcClientParts) {}

  async openProducer(): Promise<RocketmqProducer> {
    const producer = new QuietProducer({ ...this.options, maxAttempts: 1 });
    const line = new Line(this.parts, producer);
    await line.begin('a producer', () => producer.reach(`${this.parts.settings.prefix}${NO_TOPIC}`));
    return {
      lost: line.lost,
      end: () => line.end(),
      send: (message) => line.ask(() => producer.send(messageOf(message)).then(() => undefined)),
    };
  }

  async openConsumer({ group, topic, tag = '*' }: ConsumerOptions): Promise<RocketmqConsumer> {
    const { awaitMs, invisibleMs } = this.parts.settings;
    const subscriptions = new Map([[topic, tag]]);
    const options = { ...this.options, consumerGroup: group, subscriptions, awaitDuration: awaitMs, maxRetryAttempts: 1 };
    const consumer = new QuietConsumer(options);
    const line = new Line(this.parts, consumer);
    await line.begin(`a consumer of ${group}`, () => consumer.reach(topic));
    return {
      lost: line.lost,
      end: () => line.end(),
      isOrdered: consumer.isOrdered,
      receive: async (limit) => {
        const views = await line.ask(() => consumer.receive(limit, invisibleMs));
        return views.map((view) => new Received(view));
      },
      ack: (message) => line.ask(() => consumer.ack(viewOf(message))),
      keep: (message, ms) => line.ask(() => consumer.changeInvisibleDuration(viewOf(message), ms)),
    };
  }

  private get options(): BaseClientOptions {
    const { endpoint, ssl, credentials, requestTimeoutMs } = this.parts.settings;
    // The names have the namespace in them: the client gives it to some of its requests only.
    return {
      endpoints: endpoint,
      namespace: '',
      sslEnabled: ssl,
      sessionCredentials: credentials,
      requestTimeout: requestTimeoutMs,
      logger: MUTE,
    };
  }
}

/** What both kinds of client have of ours. */
interface Quiet {
  readonly fence: Fence;
  startup(): Promise<void>;
  shutdown(): Promise<void>;
  sayGoodbye(): Promise<unknown>;
}

/** A client from its start to its end. */
class Line {
  readonly lost: Promise<unknown>;
  private lose: (error: unknown) => void = () => undefined;
  private ending: Promise<void> | undefined;

  constructor(
    private readonly parts: GrpcClientParts,
    private readonly client: Quiet,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    void client.fence.failed.then((error) => this.lose(this.refusal(error)));
  }

  /** Starts it, in the time of two answers, and of two more to reach the proxy; what cannot be reached is let go of. */
  async begin(request: string, reach: () => Promise<void>): Promise<void> {
    const { scheduler, settings } = this.parts;
    const inTime = (answer: Promise<void>) => within(scheduler, { request, timeoutMs: 2 * settings.requestTimeoutMs }, answer);
    const started = this.client.startup();
    let isStarted = false;
    try {
      await inTime(started);
      isStarted = true;
      await Promise.race([inTime(reach()), this.lost.then((error) => Promise.reject(error))]);
    } catch (error) {
      await this.end();
      // One that has started after its end has timers again.
      if (!isStarted) void started.then(() => this.client.shutdown()).catch(() => undefined);
      throw this.refusal(error);
    }
  }

  /** Errors are the client's own: what they mean depends on what was asked. */
  async ask<T>(request: () => Promise<T>): Promise<T> {
    if (this.ending !== undefined) throw hfError('HF_STOPPING', { activity: 'a client' });
    try {
      return await request();
    } catch (error) {
      if (isLostWith(error)) this.lose(this.refusal(error));
      throw error;
    }
  }

  end(): Promise<void> {
    this.ending ??= this.close();
    return this.ending;
  }

  private async close(): Promise<void> {
    const { scheduler, logger } = this.parts;
    this.lose(hfError('HF_STOPPING', { activity: 'a client' }));
    await within(scheduler, { request: 'a goodbye', timeoutMs: GOODBYE_MS }, this.client.sayGoodbye()).catch(() => undefined);
    this.client.fence.close();
    await this.client.shutdown().catch((error: unknown) => logger.warn('a client did not end in good order', { error }));
  }

  private refusal(error: unknown): Error {
    return refusalIn(error, this.parts.settings.endpoint);
  }
}

class QuietProducer extends Producer implements Quiet {
  readonly fence = new Fence();

  constructor(options: ConstructorParameters<typeof Producer>[0]) {
    super(options);
    this.rpcClientManager.close();
    Object.assign(this, { rpcClientManager: new Channels(this, MUTE, (error) => this.fence.report(error)) });
  }

  /** Resolves when the proxy has answered. */
  async reach(absent: string): Promise<void> {
    await this.getRouteData(absent).catch((error: unknown) => {
      if (sendFailureOf(error) !== 'no-topic') throw error;
    });
    this.topics.delete(absent);
  }

  override createTelemetryStream(...args: Parameters<Producer['createTelemetryStream']>) {
    return this.fence.guard(() => super.createTelemetryStream(...args));
  }

  /** As `Producer`, but one topic that is gone does not keep it from the others. */
  protected override async updateRoutes(): Promise<void> {
    for (const topic of [...this.topics]) {
      this.topicRouteCache.delete(topic);
      await this.getRouteData(topic).catch(() => this.topics.delete(topic));
    }
  }

  protected override getTotalRouteEndpoints() {
    return this.fence.isClosed ? [] : super.getTotalRouteEndpoints();
  }

  async sayGoodbye(): Promise<unknown> {
    const request = this.wrapNotifyClientTerminationRequest();
    return Promise.all(
      this.getTotalRouteEndpoints().map((each) => this.rpcClientManager.notifyClientTermination(each, request, GOODBYE_MS)),
    );
  }
}

class QuietConsumer extends SimpleConsumer implements Quiet {
  readonly fence = new Fence();
  /** What the proxy says of the group. */
  isOrdered = false;
  private told: () => void = () => undefined;
  private readonly settled = new Promise<void>((resolve) => {
    this.told = resolve;
  });

  constructor(options: ConstructorParameters<typeof SimpleConsumer>[0]) {
    super(options);
    this.rpcClientManager.close();
    Object.assign(this, { rpcClientManager: new Channels(this, MUTE, (error) => this.fence.report(error)) });
    // A start that has none does not wait.
    this.topics.clear();
  }

  /** Resolves when the proxy has the settings, without which it answers no receive. */
  async reach(topic: string): Promise<void> {
    await this.getRouteData(topic);
    await this.settled;
  }

  override onSettingsCommand(...args: Parameters<SimpleConsumer['onSettingsCommand']>): void {
    super.onSettingsCommand(...args);
    this.isOrdered = args[1].getSubscription()?.getFifo() === true;
    this.told();
  }

  override createTelemetryStream(...args: Parameters<SimpleConsumer['createTelemetryStream']>) {
    return this.fence.guard(() => super.createTelemetryStream(...args));
  }

  protected override getTotalRouteEndpoints() {
    return this.fence.isClosed ? [] : super.getTotalRouteEndpoints();
  }

  async sayGoodbye(): Promise<unknown> {
    const request = this.wrapNotifyClientTerminationRequest();
    return Promise.all(
      this.getTotalRouteEndpoints().map((each) => this.rpcClientManager.notifyClientTermination(each, request, GOODBYE_MS)),
    );
  }
}

/** A message with what the client needs to settle it. */
class Received implements ReceivedMessage {
  readonly topic: string;
  readonly id: string;
  readonly group: string | undefined;
  readonly body: Uint8Array;
  readonly properties: ReadonlyMap<string, string>;
  readonly attempt: number;
  readonly at: Date;

  constructor(readonly view: MessageView) {
    this.topic = view.topic;
    this.id = view.messageId;
    this.group = view.messageGroup || undefined;
    this.body = view.body;
    this.properties = new Map([...view.properties].filter(([name]) => !name.startsWith(OF_THE_BROKER)));
    this.attempt = view.deliveryAttempt ?? 1;
    this.at = view.bornTimestamp ?? new Date();
  }
}

function viewOf(message: ReceivedMessage): MessageView {
  return (message as Received).view;
}

function messageOf({ topic, group, body, properties, keys, tag }: OutgoingMessage): Message {
  return new Message({ topic, messageGroup: group, body, properties: new Map(properties), keys: [...keys], tag });
}
