import { randomUUID } from 'node:crypto';
import { eventuallyWithin, type BlackHole, openBlackHole, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import {
  type Envelope,
  envelopeFrom,
  type EventName,
  type HandOver,
  type HoldfastEvents,
  type Incoming,
  type Intake,
  type Sink,
  silentLogger,
  type SubscriptionSpec,
  subscribe,
  systemClock,
  systemRandom,
  systemScheduler,
  type Transport,
} from '@holdfast/core';
import { type RabbitmqOptions, rabbitmq } from './index.js';

/** How long a message waits for its confirm, unless a test says otherwise. */
export const CONFIRM_MS = 5000;

/** For a way that is mute: when a connection that gives no answer is let go of. */
export const LETS_GO_SOON = { requestTimeout: '2s' } as const;

/** Transports on a real broker, behind a way that can be cut. */
export class Scene {
  readonly transports: Transport[] = [];
  private readonly stops: (() => void)[] = [];
  readonly exchange: string;

  private constructor(
    readonly area: RabbitArea,
    readonly way: BlackHole,
  ) {
    this.exchange = area.name();
  }

  static async open(area: RabbitArea): Promise<Scene> {
    return new Scene(area, await openBlackHole(area.url));
  }

  transport(options: Partial<RabbitmqOptions> = {}, nodeId: string = randomUUID()): Transport {
    const all = { url: this.way.url, exchange: this.exchange, confirmTimeout: CONFIRM_MS, ...options } as const;
    const ports = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger: silentLogger };
    const transport = rabbitmq(all).create({ service: 'scene', nodeId, store: undefined, ...ports });
    this.transports.push(transport);
    return transport;
  }

  /** A transport that has started and hands what it gets to a catcher. */
  async consuming(
    options: Partial<RabbitmqOptions> = {},
    spec = specOf('reader'),
    catcher = new Catcher(spec.batchSize),
  ): Promise<{ transport: Transport; catcher: Catcher }> {
    const transport = this.transport(options);
    await transport.start({ subscriptions: [spec] });
    await transport.subscribe(spec, catcher);
    return { transport, catcher };
  }

  queueOf(name = 'reader'): string {
    return `${this.exchange}/scene/${name}`;
  }

  deadLettersOf(name = 'reader'): string {
    return `${this.exchange}/scene:dead/${name}`;
  }

  /** Arguments that all queues are made with. */
  get quorum(): Record<string, string | number> {
    return { 'x-queue-type': 'quorum', ...(Number.parseInt(this.area.version, 10) >= 4 ? { 'x-delivery-limit': -1 } : {}) };
  }

  /** Arguments that a subscription's queue is made with. */
  argumentsOf(name = 'reader'): Record<string, string | number> {
    return { ...this.quorum, 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': this.deadLettersOf(name) };
  }

  /** Messages that are ready in a queue. */
  ready(name = 'reader'): Promise<number> {
    return this.area.as(async (admin) => (await admin.checkQueue(this.queueOf(name))).messageCount);
  }

  /** What an event tells from now on. */
  hear<Name extends EventName>(name: Name): HoldfastEvents[Name][] {
    const heard: HoldfastEvents[Name][] = [];
    this.stops.push(subscribe(name, (payload) => heard.push(payload)));
    return heard;
  }

  /** Says in the broker's name that it takes no messages. */
  block(reason: string): void {
    this.way.inject(methodFrame(60, Buffer.concat([Buffer.from([reason.length]), Buffer.from(reason)])));
  }

  /** Says in the broker's name that it takes messages again. */
  unblock(): void {
    this.way.inject(methodFrame(61, Buffer.alloc(0)));
  }

  /** Ends a connection in the broker's name, in the same breath as its next answer to `method` of a class. */
  endBehind(answer: readonly [number, number]): void {
    const [ofClass, method] = answer;
    const text = 'a test';
    const fields = Buffer.concat([Buffer.from([1, 64, text.length]), Buffer.from(text), Buffer.alloc(4)]);
    this.way.follow(Buffer.from([0, ofClass, 0, method, 0xce]), methodFrame(50, fields));
  }

  async close(): Promise<void> {
    for (const stop of this.stops) stop();
    await Promise.all(this.transports.map((transport) => transport.close(2000)));
    await this.way.close();
  }
}

/** Opens an area for the file, and a scene in it for each test; deletes `queues` behind each, to which those of the subscription `reader` are added. */
export function eachInScene(queues: string[], use: (opened: { readonly area: RabbitArea; readonly scene: Scene }) => void): void {
  let area: RabbitArea;
  let scene: Scene;
  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    scene = await Scene.open(area);
    queues.push(scene.queueOf(), scene.deadLettersOf());
    use({ area, scene });
  });
  afterEach(async () => {
    await scene.close();
    await area.clear(queues);
  });
}

/** A sink that can be paused. */
export abstract class PausableSink implements Sink {
  isPaused = false;
  private readonly watchers = new Set<() => void>();

  abstract handle(intake: Intake): Promise<HandOver>;

  onPause(changed: () => void): () => void {
    this.watchers.add(changed);
    return () => void this.watchers.delete(changed);
  }

  pause(isPaused: boolean): void {
    this.isPaused = isPaused;
    for (const changed of this.watchers) changed();
  }
}

/** A sink that notes what it is given; each hand-over runs `work` before it is acknowledged. */
export class Catcher extends PausableSink {
  readonly caught: Incoming[] = [];
  work: (message: Incoming) => Promise<unknown> = async () => undefined;
  inWork = 0;
  mostInWork = 0;

  constructor(private readonly limit: number) {
    super();
  }

  async handle(intake: Intake): Promise<HandOver> {
    const { messages, hasMore } = await intake.take(undefined as never, this.limit);
    this.inWork += 1;
    this.mostInWork = Math.max(this.mostInWork, this.inWork);
    this.caught.push(...messages);
    for (const message of messages) await this.work(message);
    await intake.settle(messages, 'ack');
    this.inWork -= 1;
    return hasMore ? 'worked' : 'idle';
  }

  get texts(): string[] {
    return this.caught.map(textOf);
  }
}

export function textOf({ body }: Incoming): string {
  return Buffer.from(body).toString();
}

export function specOf(name: string, also: Partial<SubscriptionSpec> = {}): SubscriptionSpec {
  return { name, types: ['scene.happened'], from: 'now', ordering: 'none', concurrency: 4, batchSize: 1, id: 1, ...also };
}

export function envelopeOf(text: string, also: Partial<Envelope> = {}): Envelope {
  const id = also.id ?? text;
  return {
    id,
    source: 'scene',
    type: 'scene.happened',
    version: 1,
    time: new Date(),
    headers: {},
    correlationId: id,
    kind: 'event',
    contentType: 'application/json',
    body: Buffer.from(text),
    ...also,
  };
}

/** What the engine reads of a message. */
export function readBack({ attributes, body }: Incoming): Envelope {
  return envelopeFrom(attributes, body);
}

/** Looks again and again until it is so. */
export const eventually = eventuallyWithin(15_000);

/** Time in which something that must not happen would have happened. */
export function quiet(ms = 300): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A method of the class `connection` (10) on channel 0. */
function methodFrame(method: number, fields: Buffer): Buffer {
  const payload = Buffer.concat([Buffer.from([0, 10, 0, method]), fields]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(payload.length);
  return Buffer.concat([Buffer.from([1, 0, 0]), size, payload, Buffer.from([0xce])]);
}
