import {
  type BlackHole,
  describeWithRabbit,
  openBlackHole,
  openRabbit,
  type RabbitArea,
  eventually,
  pause,
} from '@holdfast-internal/test-support';
import { Command, type Delivery, Holdfast, type HandlerPolicies, Message, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { bytesInName, timeless } from './support/strange-headers.js';

@Message('shop.order-placed')
class OrderPlaced {
  constructor(
    readonly n: number,
    readonly ballast = '',
  ) {}
}

@Message('shop.refund')
class Refund extends Command<void> {}

describeWithRabbit('a bus without a store over RabbitMQ', () => {
  let area: RabbitArea;
  let way: BlackHole;
  let exchange: string;
  const queues: string[] = [];
  const buses: Holdfast[] = [];

  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    way = await openBlackHole(area.url);
    exchange = area.name();
    queues.push(queueOf(), deadLettersOf());
  });
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.stop({ timeout: '2s' })));
    await way.close();
  });

  const queueOf = () => `${exchange}/shop/shop.book`;
  const deadLettersOf = () => `${exchange}/shop:dead/shop.book`;
  const ready = () => area.as(async (admin) => (await admin.checkQueue(queueOf())).messageCount);

  const bus = async (
    handler?: (message: OrderPlaced, delivery: Delivery) => unknown,
    policies: Partial<HandlerPolicies<OrderPlaced>> = {},
    options: Partial<Parameters<typeof rabbitmq>[0]> = {},
  ): Promise<Holdfast> => {
    const transport = rabbitmq({ url: way.url, exchange, heartbeat: '1s', ...options });
    const made = new Holdfast({ service: 'shop', transport }, { logger: silentLogger });
    if (handler !== undefined) made.on(OrderPlaced, handler, { name: 'shop.book', ...policies } as HandlerPolicies<OrderPlaced>);
    buses.push(made);
    await made.start();
    return made;
  };

  it('loses nothing that it acknowledged, while its connections are cut and its broker is away', async () => {
    const handled = new Set<number>();
    const one = await bus(({ n }) => handled.add(n));
    const acknowledged: number[] = [];
    let next = 0;
    const caller = async () => {
      for (let n = next++; n < 400; n = next++) {
        await one.bus.publish(new OrderPlaced(n));
        acknowledged.push(n);
        await pause(10);
      }
    };
    const callers = Promise.all(Array.from({ length: 8 }, caller));
    for (let cuts = 0; cuts < 6; cuts += 1) {
      await pause(120);
      if (cuts === 3) {
        way.refuse(true);
        await pause(500);
        way.refuse(false);
      } else way.cut();
    }
    await callers;
    expect(acknowledged).toHaveLength(400);
    await eventually(
      () => handled.size,
      (size) => size === 400,
    );
  });

  it('does not acknowledge what the broker has not: a confirm that is lost is waited for, and the message is sent again with its id', async () => {
    const ids: string[] = [];
    const one = await bus((_, { id }) => ids.push(id), {}, { confirmTimeout: '1s' });
    way.mute();
    let isDone = false;
    const published = one.bus.publish(new OrderPlaced(1), { id: 'a' }).then(() => {
      isDone = true;
    });
    await pause(500);
    expect(isDone).toBe(false);
    await published;
    await eventually(
      () => ids,
      ({ length }) => length >= 2,
    );
    expect(new Set(ids)).toEqual(new Set(['a']));
  });

  it('tells the caller when the broker stays away, refuses, or has no queue for a command', async () => {
    const one = await bus();
    const impatient = await bus(undefined, {}, { confirmTimeout: '500ms' });
    await expect(one.bus.send(new Refund())).rejects.toMatchObject({ code: 'HF_COMMAND_UNROUTABLE' });
    await area.as(async (admin) => {
      const full = { durable: true, arguments: { 'x-queue-type': 'quorum', 'x-max-length': 1, 'x-overflow': 'reject-publish' } };
      await admin.assertQueue(queueOf(), full);
      await admin.bindQueue(queueOf(), exchange, 'shop.order-placed.*');
    });
    await expect(
      (async () => {
        for (let n = 0; n < 20; n += 1) await one.bus.publish(new OrderPlaced(n));
      })(),
    ).rejects.toMatchObject({ code: 'HF_PUBLISH_FAILED', details: { outcome: 'rejected' } });
    way.refuse(true);
    await expect(impatient.bus.publish(new OrderPlaced(1))).rejects.toMatchObject({
      code: 'HF_PUBLISH_FAILED',
      details: { outcome: 'unknown' },
    });
  });

  it('puts messages away whose headers nobody can read or send, without those, and handles the next', async () => {
    const handled: number[] = [];
    const one = await bus(({ n }) => handled.push(n), { concurrency: 1 });
    const told = { 'cloudEvents:id': '1', 'cloudEvents:source': 'theirs', 'cloudEvents:type': 'shop.order-placed', tenant: 'a' };
    const unknown = Object.create({ '!': 'nothing' });
    await area.as(async (admin) => {
      for (const x of [timeless(), bytesInName(), unknown])
        admin.publish(exchange, 'shop.order-placed.none', Buffer.from('{"n":1}'), { headers: { ...told, x } });
      await admin.checkExchange(exchange);
    });
    await one.bus.publish(new OrderPlaced(2));
    await eventually(
      () => handled,
      (all) => all.includes(2),
    );
    const letters = await area.as(async (admin) => {
      const all: Record<string, unknown>[] = [];
      for (let next = await admin.get(deadLettersOf(), { noAck: true }); next; next = await admin.get(deadLettersOf(), { noAck: true }))
        all.push(next.properties.headers ?? {});
      return all;
    });
    expect(letters).toEqual(
      Array(3).fill(expect.objectContaining({ tenant: 'a', 'holdfast-dead-code': 'HF_MESSAGE_HEADERS', 'holdfast-dead-left-out': '1: x' })),
    );
    expect(handled).toEqual([2]);
  });

  it('puts a poison message into the dead-letter queue with the reason, and handles the next', async () => {
    const handled: number[] = [];
    const handler = ({ n }: OrderPlaced) => {
      if (n === 1) throw Object.assign(new Error('this order is cursed'), { code: 'CURSED' });
      handled.push(n);
    };
    const one = await bus(handler, { concurrency: 1, retry: { attempts: 2, backoff: { delay: 20 } } });
    await one.bus.publish(new OrderPlaced(1), { id: 'poison' });
    await area.as(async (admin) => {
      admin.publish(exchange, 'shop.order-placed.none', Buffer.from('hello?'), {});
      await admin.checkExchange(exchange);
    });
    await one.bus.publish(new OrderPlaced(2));
    await eventually(
      () => handled.length,
      (length) => length === 1,
    );
    expect(handled).toEqual([2]);
    const letters = await area.as(async (admin) => [
      await admin.get(deadLettersOf(), { noAck: true }),
      await admin.get(deadLettersOf(), { noAck: true }),
      await admin.get(deadLettersOf(), { noAck: true }),
    ]);
    const [poison, foreign, none] = letters.map((letter) => letter && { body: letter.content.toString(), ...letter.properties.headers });
    expect(poison).toMatchObject({
      body: '{"n":1,"ballast":""}',
      'cloudEvents:id': 'poison',
      'holdfast-dead-code': 'CURSED',
      'holdfast-dead-reason': 'this order is cursed',
      'holdfast-dead-attempts': 2,
      'holdfast-dead-stack': expect.stringContaining('without-store.e2e.spec'),
    });
    expect(foreign).toMatchObject({ body: 'hello?', 'holdfast-dead-code': 'HF_MESSAGE_FOREIGN', 'holdfast-dead-attempts': 0 });
    expect(none).toBe(false);
  });

  it('has no more of a backlog in its memory than twice its concurrency, though its handlers wait for their next attempt', async () => {
    const publisher = await bus(undefined);
    const first = await bus(() => undefined);
    await first.stop();
    for (let n = 0; n < 200; n += 1) await publisher.bus.publish(new OrderPlaced(n, 'x'.repeat(20_000)));
    let calls = 0;
    const handler = () => {
      calls += 1;
      throw new Error('not yet');
    };
    await bus(handler, { concurrency: 4, retry: { attempts: 2, backoff: { delay: '10s', jitter: 'none' } } });
    await eventually(
      () => calls,
      (count) => count === 4,
    );
    await pause(500);
    expect(calls).toBe(4);
    expect(await eventually(ready, (count) => count <= 192)).toBe(192);
  });

  it('refuses retries for which the broker would not wait', async () => {
    const retry = { attempts: 20, backoff: { delay: '1m', maxDelay: '10m' } } as const;
    await expect(bus(() => undefined, { retry })).rejects.toMatchObject({
      code: 'HF_CONFIG_INVALID',
      message: expect.stringMatching(
        /without a store the message is in hand for all its attempts.* with rabbitmq a message may be in work for 900000 ms/,
      ),
    });
    await expect(bus(() => undefined, { retry }, { consumerTimeout: '12h' })).resolves.toBeInstanceOf(Holdfast);
  });
});
