import { randomUUID } from 'node:crypto';
import { type BlackHole, Catcher, openBlackHole, openRabbit, type RabbitArea, specOf } from '@holdfast-internal/test-support';
import {
  type EventName,
  type HoldfastEvents,
  type LogFields,
  type Logger,
  silentLogger,
  type Store,
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
  /** What was logged as a warning, with its details. */
  readonly warnings: { readonly text: string; readonly fields: LogFields | undefined }[] = [];
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

  transport(options: Partial<RabbitmqOptions> = {}, nodeId: string = randomUUID(), store?: Store): Transport {
    const all = { url: this.way.url, exchange: this.exchange, confirmTimeout: CONFIRM_MS, ...options } as const;
    const logger: Logger = { ...silentLogger, warn: (text, fields) => void this.warnings.push({ text, fields }) };
    const ports = { clock: systemClock, random: systemRandom, scheduler: systemScheduler, logger };
    const transport = rabbitmq(all).create({ service: 'scene', nodeId, store, ...ports });
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

  /** Both halves of a stop. */
  async leave(transport: Transport, timeoutMs = 2000): Promise<void> {
    await transport.drain(timeoutMs);
    await transport.close(timeoutMs);
  }

  async close(): Promise<void> {
    for (const stop of this.stops) stop();
    await Promise.all(this.transports.map((transport) => this.leave(transport)));
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

/** Looks again and again until it is so. */

/** A method of the class `connection` (10) on channel 0. */
function methodFrame(method: number, fields: Buffer): Buffer {
  const payload = Buffer.concat([Buffer.from([0, 10, 0, method]), fields]);
  const size = Buffer.alloc(4);
  size.writeUInt32BE(payload.length);
  return Buffer.concat([Buffer.from([1, 0, 0]), size, payload, Buffer.from([0xce])]);
}
