import { randomUUID } from 'node:crypto';
import { Catcher, openRocketmq, type RocketmqArea, specOf } from '@holdfast-internal/test-support';
import {
  type EventName,
  type HoldfastEvents,
  type Logger,
  type Store,
  type SubscriptionSpec,
  subscribe,
  systemClock,
  systemRandom,
  systemScheduler,
  type Transport,
} from '@holdfast/core';
import { Message, Producer } from 'rocketmq-client-nodejs';
import { type RocketmqOptions, rocketmq } from './index.js';

/** Looks again and again until it is so. */

/** A store that nothing is asked of: dead letters are its. */
const STORE = {} as Store;
const MUTE = { info: () => undefined, warn: () => undefined, error: () => undefined };

/** Transports on a real broker. */
export class Scene {
  readonly transports: Transport[] = [];
  readonly warnings: string[] = [];
  readonly options: ReturnType<RocketmqArea['options']>;
  private readonly stops: (() => void)[] = [];

  constructor(readonly area: RocketmqArea) {
    this.options = area.options();
  }

  /** @param also `hasStore: false`: dead letters are the broker's */
  transport(options: Partial<RocketmqOptions> = {}, { hasStore = true } = {}): Transport {
    const all = { ...this.options, queues: 2, ...options };
    const warn = (message: string) => void this.warnings.push(message);
    const logger: Logger = { info: () => undefined, warn, error: warn };
    const ports = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger };
    const transport = rocketmq(all).create({ service: 'scene', nodeId: randomUUID(), store: hasStore ? STORE : undefined, ...ports });
    this.transports.push(transport);
    return transport;
  }

  /** A transport that has started and hands what it gets to a catcher. */
  async consuming(
    options: Partial<RocketmqOptions> = {},
    spec: SubscriptionSpec = specOf('reader'),
    catcher: Catcher = new Catcher(spec.batchSize),
  ): Promise<{ transport: Transport; catcher: Catcher }> {
    const transport = this.transport(options, { hasStore: spec.id !== undefined });
    await transport.start({ subscriptions: [spec] });
    await transport.subscribe(spec, catcher);
    return { transport, catcher };
  }

  topicOf(type = 'scene_happened'): string {
    return `${this.options.prefix}${type}`;
  }

  groupOf(name = 'reader'): string {
    return `${this.options.prefix}scene-_${name}`;
  }

  /** What a producer does that knows nothing of the bus. */
  async send(messages: readonly Omit<ConstructorParameters<typeof Message>[0], 'topic'>[], topic = this.topicOf()): Promise<void> {
    const producer = new Producer({ endpoints: this.area.endpoint, namespace: '', logger: MUTE });
    await producer.startup();
    for (const message of messages) await producer.send(new Message({ topic, messageGroup: 'foreign', ...message }));
    await producer.shutdown();
  }

  /** What an event tells from now on. */
  hear<Name extends EventName>(name: Name): HoldfastEvents[Name][] {
    const heard: HoldfastEvents[Name][] = [];
    this.stops.push(subscribe(name, (payload) => heard.push(payload)));
    return heard;
  }

  async leave(transport: Transport, timeoutMs = 4000): Promise<void> {
    this.transports.splice(this.transports.indexOf(transport), 1);
    await endOf(transport, timeoutMs);
  }

  async close(): Promise<void> {
    for (const stop of this.stops) stop();
    await Promise.all(this.transports.map((transport) => endOf(transport, 4000)));
  }
}

/** Both halves of a stop. */
async function endOf(transport: Transport, timeoutMs: number): Promise<void> {
  await transport.drain(timeoutMs);
  await transport.close(timeoutMs);
}

/** Opens an area for the file, and a scene in it for each test. */
export function eachInScene(use: (scene: Scene) => void): void {
  let area: RocketmqArea | undefined;
  let scene: Scene;
  beforeAll(async () => {
    area = await openRocketmq();
  });
  afterAll(() => area?.clear());
  beforeEach(() => {
    scene = new Scene(area as RocketmqArea);
    use(scene);
  });
  afterEach(() => scene.close());
}
