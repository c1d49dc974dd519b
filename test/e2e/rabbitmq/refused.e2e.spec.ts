// What the broker does not take is parked with what follows in its key, and goes when it can.
import { describeWithRabbit, openRabbit, type RabbitArea, eventually, pause } from '@holdfast-internal/test-support';
import { subscribe } from '@holdfast/core';
import { connect } from 'amqplib';
import { numbers, OrderPlaced, Refund, Shop } from './support/shop.js';

describeWithRabbit('what RabbitMQ refuses, or has no place for', () => {
  let area: RabbitArea;
  let exchange: string;
  let shop: Shop;
  const queues: string[] = [];

  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    exchange = area.name();
    shop = await Shop.open({ url: area.url, exchange });
    queues.push(shop.queue, shop.deadLetters, `${exchange}/desk/desk.refund`, `${exchange}/desk:dead/desk.refund`);
  });
  afterEach(() => shop.close());

  /** What is parked, as `key n reason`. */
  const parked = async (): Promise<readonly string[]> => {
    const { items } = await (shop.buses[0] as Shop['buses'][number]).outbox.parked({ limit: 1000 });
    return items.map(
      ({ message, body, reason }) => `${message.key} ${(JSON.parse(Buffer.from(body).toString()) as { n: number }).n} ${reason}`,
    );
  };

  it('for a full queue is parked with the rest of its key, others go on, and all arrives in order once there is room', async () => {
    const till = await shop.publishing();
    const full = `${exchange}-full`;
    queues.push(full);
    await area.as(async (admin) => {
      const limits = { 'x-queue-type': 'quorum', 'x-max-length': 1, 'x-overflow': 'reject-publish' };
      await admin.assertQueue(full, { durable: true, arguments: limits });
      await admin.bindQueue(full, exchange, 'shop.order-placed.*');
    });
    const keys = ['a', 'b', 'c'];
    for (const n of numbers(10)) for (const key of keys) await till.bus.publish(new OrderPlaced(n), { key });
    const waiting = await eventually(parked, ({ length }) => length >= 24);
    for (const key of keys) {
      const [first, ...rest] = waiting.filter((line) => line.startsWith(`${key} `)).map((line) => line.split(' ').at(-1));
      expect([first, ...new Set(rest)]).toEqual(['rejected', 'behind']);
    }
    // Others are not held up: what goes to a queue that has room.
    const desk = await shop.refunding();
    await desk.bus.send(new Refund(1), { key: 'a refund' });
    await eventually(
      () => shop.effects(),
      ({ length }) => length === 1,
    );

    const texts: string[] = [];
    const reader = await connect(area.url);
    const channel = await reader.createChannel();
    await channel.prefetch(1);
    await channel.consume(full, (message) => {
      if (message === null) return;
      const { headers = {} } = message.properties;
      texts.push(`${headers['cloudEvents:partitionkey']} ${(JSON.parse(message.content.toString()) as { n: number }).n}`);
      channel.ack(message);
    });
    await till.outbox.resume({ type: 'shop.order-placed' }, { by: 'a test' });
    await eventually(
      () => new Set(texts).size,
      (size) => size === 30,
    );
    await reader.close();
    // A queue that is full may have taken what it refused: such a repeat is no disorder.
    for (const key of keys)
      expect([...new Set(texts)].filter((text) => text.startsWith(`${key} `))).toEqual(numbers(10).map((n) => `${key} ${n}`));
    await eventually(parked, ({ length }) => length === 0);
  });

  it('as a command that nobody owns yet waits with what is behind it, and its owner gets all of it in order', async () => {
    const till = await shop.publishing();
    for (const n of numbers(5)) await till.bus.send(new Refund(n), { key: 'k' });
    await eventually(parked, ({ length }) => length === 5);
    expect(await parked()).toEqual(['k 1 unroutable', ...numbers(4, 2).map((n) => `k ${n} behind`)]);
    await shop.refunding();
    await eventually(
      () => shop.effects(),
      ({ length }) => length === 5,
    );
    expect(await shop.effectsOf('k')).toEqual(numbers(5));
    await eventually(parked, ({ length }) => length === 0);
  });

  it('as an event that nobody listens to has arrived, and nothing waits behind it', async () => {
    const till = await shop.publishing();
    for (const n of numbers(5)) await till.bus.publish(new OrderPlaced(n), { key: 'k' });
    await eventually(
      () => till.outbox.stats(),
      ({ backlog }) => backlog === 0,
    );
    expect(await parked()).toEqual([]);
    await shop.booking();
    await till.bus.publish(new OrderPlaced(6), { key: 'k' });
    await eventually(
      () => shop.effects(),
      ({ length }) => length === 1,
    );
    expect(await shop.effectsOf('k')).toEqual([6]);
  });

  it('for 65 KiB of headers is parked at once, its key waits, and once it is given up the rest arrives in order', async () => {
    // Of both, since either may get the lane to send.
    const limits = { headers: 64, headerBytes: 200_000 };
    const till = await shop.publishing(limits);
    await shop.booking(undefined, { concurrency: 1 }, limits);
    await till.bus.publish(new OrderPlaced(1), { key: 'k' });
    await till.bus.publish(new OrderPlaced(2), { key: 'k', headers: { heavy: 'x'.repeat(65 * 1024) } });
    for (const n of numbers(3, 3)) await till.bus.publish(new OrderPlaced(n), { key: 'k' });
    for (const n of numbers(20)) await till.bus.publish(new OrderPlaced(n), { key: `other ${n % 4}` });
    await eventually(
      () => shop.effects(),
      ({ length }) => length >= 21,
    );
    await eventually(parked, ({ length }) => length === 4);
    expect(await parked()).toEqual(['k 2 rejected', ...numbers(3, 3).map((n) => `k ${n} behind`)]);
    const { items } = await till.outbox.parked({ reason: 'rejected' });
    await till.outbox.discard(items[0]?.id as string, { by: 'a test', reason: 'too heavy' });
    await eventually(
      () => shop.effectsOf('k'),
      ({ length }) => length === 4,
    );
    expect(await shop.effectsOf('k')).toEqual([1, 3, 4, 5]);
  });

  it('comes to a queue that is made again after it was deleted under load', async () => {
    const bus = await shop.booking(() => pause(5));
    const publish = async (first: number) => {
      for (const n of numbers(40, first)) await bus.bus.publish(new OrderPlaced(n));
    };
    await publish(1);
    const again: string[] = [];
    const stop = subscribe('subscription:consuming', ({ queue }) => again.push(queue));
    await area.as((admin) => admin.deleteQueue(shop.queue));
    // One that is there and not yet bound gets nothing.
    await eventually(
      () => again,
      (names) => names.includes(shop.queue),
    ).finally(stop);
    await publish(101);
    const later = async () => (await shop.effects()).map(({ n }) => n).filter((n) => n > 100);
    await eventually(later, ({ length }) => length === 40);
    const all = (await shop.effects()).map(({ n }) => n);
    expect(new Set(all).size).toBe(all.length);
    await eventually(
      () => bus.health(),
      ({ status }) => status === 'up',
    );
  });
});
