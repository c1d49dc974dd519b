import {
  createTestDatabase,
  describeWithRabbit,
  openBlackHole,
  openRabbit,
  type RabbitArea,
  type TestDatabase,
  eventually,
} from '@holdfast-internal/test-support';
import { type Delivery, fromClientProxy, fromNestOutbox, Holdfast, Message, type ReadForeign, silentLogger } from '@holdfast/core';
import { type ForeignSource, rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import type { ConsumeMessage, GetMessage } from 'amqplib';
import { CloudEvent, HTTP } from 'cloudevents';
import { DataSource } from 'typeorm';
import { eventIn, sendEvent } from '../../samples/how-to/cloud-events.js';
import { bytesInName, timeless } from './support/strange-headers.js';

@Message('shop.order-placed', { version: 3 })
class OrderPlaced {
  constructor(
    readonly n: number,
    readonly note?: string,
  ) {}
}

@Message('shop.order-paid')
class OrderPaid {
  constructor(readonly n: number) {}
}

describeWithRabbit('neighbours on RabbitMQ', () => {
  let area: RabbitArea;
  let database: TestDatabase;
  let dataSource: DataSource;
  let exchange: string;
  let legacy: string;
  const queues: string[] = [];
  const buses: Holdfast[] = [];
  const seen: Delivery[] = [];
  let work: (n: number, delivery: Delivery) => Promise<unknown>;

  beforeAll(async () => {
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(async () => {
    database = await createTestDatabase();
    dataSource = await new DataSource({ type: 'postgres', url: database.url, poolSize: 8 }).initialize();
    await dataSource.query('create table effect (n int not null)');
    [exchange, legacy] = [area.name(), area.name()];
    queues.push(`${exchange}/shop/shop.book`, legacy);
    seen.splice(0);
    work = async () => undefined;
  });
  afterEach(async () => {
    await Promise.all(buses.splice(0).map((bus) => bus.stop({ timeout: '5s' })));
    await dataSource.destroy();
    await database.drop();
  });

  const bus = async (options: { foreign?: readonly ForeignSource[]; readForeign?: ReadForeign; url?: string } = {}): Promise<Holdfast> => {
    const { foreign, readForeign, url = area.url } = options;
    const store = typeorm({ dataSource, lanes: 4 });
    const made = new Holdfast(
      { service: 'shop', transport: rabbitmq({ url, exchange, foreign }), store, readForeign },
      {
        logger: silentLogger,
      },
    ).on(
      [OrderPlaced, OrderPaid],
      async ({ n }, delivery) => {
        seen.push(delivery);
        await dataSource.query('insert into effect values ($1)', [n]);
        await work(n, delivery);
      },
      { name: 'shop.book', retry: { attempts: 3, backoff: { delay: '20ms' } }, idempotent: true, transactional: true },
    );
    buses.push(made);
    await made.start();
    return made;
  };
  const effects = async (): Promise<number[]> =>
    ((await dataSource.query('select n from effect order by n')) as { n: number }[]).map(({ n }) => n);
  const effectsOf = (count: number) => eventually(effects, ({ length }) => length >= count);
  const dead = (one: Holdfast, count: number) =>
    eventually(
      async () => (await one.deadLetters.list()).items,
      ({ length }) => length === count,
    );
  const send = (address: { exchange: string; key: string }, content: Buffer, options = {}) =>
    area.as(async (admin) => {
      admin.publish(address.exchange, address.key, content, options);
      await admin.checkExchange(exchange);
    });
  const sendEvents = (...events: readonly CloudEvent<unknown>[]) =>
    area.as(async (admin) => {
      for (const event of events) sendEvent(admin, event, exchange);
      await admin.checkExchange(exchange);
    });

  it('a CloudEvents program that does not know us reads what we publish', async () => {
    const one = await bus();
    const heard = await area.as(async (admin) => {
      const { queue } = await admin.assertQueue('', { exclusive: true });
      await admin.bindQueue(queue, exchange, 'shop.order-placed.*');
      const caught = new Promise<ConsumeMessage>((resolve) => void admin.consume(queue, (message) => message && resolve(message)));
      const headers = { tenant: 'a' };
      const { id } = await one.bus.publish(new OrderPlaced(1, 'grüß'), { key: 'o-1', headers, correlationId: 'c-1' });
      return { id, message: await caught };
    });
    const event = eventIn(heard.message);
    expect(event.validate()).toBe(true);
    expect(event.toJSON()).toMatchObject({
      specversion: '1.0',
      id: heard.id,
      source: 'shop',
      type: 'shop.order-placed',
      datacontenttype: 'application/json',
      dataschema: 'urn:holdfast:shop.order-placed:3',
      partitionkey: 'o-1',
      correlationid: 'c-1',
      data: { n: 1, note: 'grüß' },
    });
    expect(Math.abs(Date.parse(event.time ?? '') - Date.now())).toBeLessThan(60_000);
    expect(heard.message.properties.headers).toMatchObject({ tenant: 'a' });
  });

  it('headers that have no text park their message with the reason, and the next one is handled', async () => {
    const one = await bus();
    const bare = (id: string) => ({ cloudEvents_id: id, cloudEvents_source: 'theirs', cloudEvents_type: 'shop.order-paid' });
    const unreadable = { timeless: { x: timeless() }, formless: { x: bytesInName() } };
    for (const [id, headers] of Object.entries(unreadable))
      await send({ exchange, key: 'shop.order-paid.none' }, Buffer.from('{"n":1}'), { headers: { ...bare(id), ...headers } });
    await send({ exchange, key: 'shop.order-paid.none' }, Buffer.from('{"n":2}'), { headers: bare('good') });
    await effectsOf(1);
    const items = await dead(one, 2);
    expect(items.map(({ error }) => [error?.code, error?.message.includes('"x"')])).toEqual(Array(2).fill(['HF_MESSAGE_HEADERS', true]));
    expect(await effects()).toEqual([2]);
  });

  it('a CloudEvents program writes to us: in both modes, with all attributes or only those it must give, each with one effect', async () => {
    const one = await bus();
    const must = { source: 'https://foreign.example/shop', type: 'shop.order-paid', time: undefined };
    const full = new CloudEvent({ ...must, id: 'full', time: '2030-01-01T00:00:00.000Z', partitionkey: 'k', retries: 3, data: { n: 1 } });
    const bare = { cloudEvents_specversion: '1.0', cloudEvents_id: 'bare', cloudEvents_source: must.source, cloudEvents_type: must.type };
    const inBody = new CloudEvent({ ...must, id: 'in-body', subject: 'o-3', data: { n: 3 } });
    for (const _repeat of [1, 2]) {
      await sendEvents(full);
      await send({ exchange, key: 'shop.order-paid.none' }, Buffer.from('{"n":2}'), { headers: bare });
      const { headers, body } = HTTP.structured(inBody);
      await send({ exchange, key: 'shop.order-paid.none' }, Buffer.from(body as string), { contentType: headers['content-type'] });
    }
    await sendEvents(new CloudEvent({ ...must, id: 'last', data: { n: 4 } }));
    await effectsOf(4);
    await one.settled(30_000);
    expect(await effects()).toEqual([1, 2, 3, 4]);
    const found = new Map(seen.map((delivery) => [delivery.id, delivery]));
    expect(found.get('full')).toMatchObject({ source: must.source, key: 'k', time: new Date('2030-01-01T00:00:00.000Z') });
    for (const id of ['bare', 'in-body']) {
      expect(found.get(id)).toMatchObject({ source: must.source, key: undefined, version: 1 });
      expect(Math.abs((found.get(id)?.time.getTime() ?? 0) - Date.now())).toBeLessThan(60_000);
    }
    expect(await dead(one, 0)).toEqual([]);
  });

  it('what a foreign producer gets wrong is parked with its body and the reason, and the next message is handled', async () => {
    const one = await bus();
    const key = 'shop.order-paid.none';
    const contentType = 'application/cloudevents+json';
    const event = { specversion: '1.0', id: '1', source: 'f', type: 'shop.order-paid' };
    await send({ exchange, key }, Buffer.from('{"specversion":'), { contentType });
    await send({ exchange, key }, Buffer.from(JSON.stringify([event])), { contentType: 'application/cloudevents-batch+json' });
    await send({ exchange, key }, Buffer.from(JSON.stringify({ ...event, datacontenttype: 'text/xml', data: '<a/>' })), { contentType });
    await send({ exchange, key }, Buffer.from('{"n":0}'), { headers: { 'cloudEvents:id': '2' } });
    await send({ exchange, key }, Buffer.from('{"n":0}'));
    await sendEvents(new CloudEvent({ ...event, id: '3', data: { n: 5 } }));
    expect(await effectsOf(1)).toEqual([5]);
    const letters = await dead(one, 5);
    expect(letters.map(({ error, body }) => `${error.code} ${Buffer.from(body).toString().slice(0, 16)}`).sort()).toEqual([
      'HF_MESSAGE_FOREIGN {"n":0}',
      'HF_MESSAGE_ID {"n":0}',
      'HF_MESSAGE_UNREADABLE [{"specversion":',
      'HF_MESSAGE_UNREADABLE {"specversion":',
      'HF_MESSAGE_UNREADABLE {"specversion":"',
    ]);
    expect(letters.find(({ error }) => error.code === 'HF_MESSAGE_FOREIGN')?.error.message).toContain(
      `${exchange}/${key} cannot be read: it has no attributes of CloudEvents, and the bus has no readForeign`,
    );
  });

  const fromNest = fromClientProxy({ source: 'orders' });
  const readNest: ReadForeign = (raw) => fromNestOutbox({ source: 'orders' })(raw) ?? fromNest(raw);
  const json = (value: unknown) => Buffer.from(JSON.stringify(value));

  it("what Nest's ClientProxy and @nestjs/outbox send, to a queue or an exchange of theirs, is handled; a repeat that has an id once", async () => {
    await area.as(async (admin) => {
      await admin.assertQueue(legacy, { durable: false });
      await admin.assertExchange(legacy, 'topic', { durable: true });
    });
    const foreign = [
      { subscription: 'shop.book', queue: legacy },
      { subscription: 'shop.book', exchange: legacy, routingKey: 'shop.#' },
    ];
    const one = await bus({ readForeign: readNest, foreign });
    const envelope = {
      id: 'e-1',
      topic: 'shop.order-paid',
      key: 'k',
      headers: { tenant: 'a' },
      createdAt: 1_900_000_000_000,
      payload: { n: 2 },
    };
    for (const _repeat of [1, 2])
      await send({ exchange: '', key: legacy }, json({ pattern: 'shop.order-paid', data: { n: 1 }, id: 'r-1' }));
    await send({ exchange: legacy, key: 'shop.order-paid' }, json({ pattern: 'shop.order-paid', data: envelope }));
    await send({ exchange: legacy, key: 'shop.order-paid' }, json(envelope));
    await send({ exchange: '', key: legacy }, json({ pattern: 'shop.order-paid', data: { n: 3 } }), { headers: { tenant: 'b' } });
    await effectsOf(3);
    await one.settled(30_000);
    expect(await effects()).toEqual([1, 2, 3]);
    const found = new Map(seen.map((delivery) => [delivery.id, delivery]));
    expect(found.get('r-1')).toMatchObject({ source: 'orders', type: 'shop.order-paid' });
    expect(found.get('e-1')).toMatchObject({ source: 'orders', key: 'k', time: new Date(envelope.createdAt), headers: { tenant: 'a' } });
    expect(seen.map(({ headers }) => headers)).toContainEqual({ tenant: 'b' });
  });

  it('foreign messages have one effect each though they come twice and the connection is cut again and again', async () => {
    await area.as((admin) => admin.assertQueue(legacy, { durable: true }));
    const way = await openBlackHole(area.url);
    try {
      const one = await bus({ readForeign: readNest, foreign: [{ subscription: 'shop.book', queue: legacy }], url: way.url });
      const envelope = (n: number) => ({
        id: `e-${n}`,
        topic: 'shop.order-paid',
        key: null,
        headers: {},
        createdAt: Date.now(),
        payload: { n },
      });
      await area.as(async (admin) => {
        for (let n = 0; n < 400; n += 1)
          admin.sendToQueue(legacy, json({ pattern: 'shop.order-paid', data: envelope(n % 200) }), { persistent: true });
        await admin.checkQueue(legacy);
      });
      for (let cuts = 0; cuts < 5; cuts += 1) {
        await new Promise((resolve) => setTimeout(resolve, 120));
        way.cut();
      }
      await effectsOf(200);
      await eventually(
        () => area.as(async (admin) => (await admin.checkQueue(legacy)).messageCount),
        (count) => count === 0,
      );
      await one.settled(30_000);
      expect(await effects()).toEqual(Array.from({ length: 200 }, (_, n) => n));
      expect(await dead(one, 0)).toEqual([]);
    } finally {
      await Promise.all(buses.splice(0).map((each) => each.stop({ timeout: '5s' })));
      await way.close();
    }
  });

  it('a foreign message that brings no id keeps the one it got through its retries, a dead letter and a redrive', async () => {
    await area.as((admin) => admin.assertQueue(legacy, { durable: true }));
    const one = await bus({ readForeign: readNest, foreign: [{ subscription: 'shop.book', queue: legacy }] });
    let isBroken = true;
    work = async () => {
      if (isBroken) throw new Error('not yet');
    };
    await send({ exchange: '', key: legacy }, json({ pattern: 'shop.order-paid', data: { n: 1 } }));
    const [letter] = await dead(one, 1);
    expect(letter).toMatchObject({ attempts: 3, message: { type: 'shop.order-paid', source: 'orders', id: seen[0]?.id } });
    isBroken = false;
    await one.deadLetters.redrive(letter?.id as string, { by: 'test' });
    await effectsOf(1);
    await one.settled(30_000);
    expect(new Set(seen.map(({ id }) => id)).size).toBe(1);
    expect(await dead(one, 0)).toEqual([]);
  });

  it('what readForeign cannot read is parked as it came, and is read anew by one that can, once', async () => {
    await area.as((admin) => admin.assertQueue(legacy, { durable: true }));
    const foreign = [{ subscription: 'shop.book', queue: legacy }];
    const old = await bus({ readForeign: ({ body }) => JSON.parse(Buffer.from(body).toString()), foreign });
    const options = { messageId: 'm-1', headers: { tenant: 'a' } };
    await send({ exchange: '', key: legacy }, Buffer.from('n=7'), options);
    await send({ exchange: '', key: legacy }, json({ id: 'm-2', source: 'legacy', type: 'shop.order-paid', data: { n: 8 } }));
    expect(await effectsOf(1)).toEqual([8]);
    const [letter] = await dead(old, 1);
    expect(letter?.error).toMatchObject({ code: 'HF_MESSAGE_FOREIGN' });
    expect(letter?.error.message).toContain(`The message sent to ${legacy} cannot be read: readForeign threw: Unexpected token`);
    expect(Buffer.from(letter?.body as Uint8Array).toString()).toBe('n=7');
    await buses.splice(0)[0]?.stop();

    const corrected: ReadForeign = ({ address, headers, body }) => {
      const n = Number(/^n=(\d+)$/.exec(Buffer.from(body).toString())?.[1]);
      return address === legacy ? { id: headers['message-id'] ?? '', source: 'legacy', type: 'shop.order-paid', data: { n } } : undefined;
    };
    const one = await bus({ readForeign: corrected, foreign });
    await one.deadLetters.redrive(letter?.id as string, { by: 'test' });
    expect(await effectsOf(2)).toEqual([7, 8]);
    await one.settled(30_000);
    expect(seen.filter(({ id }) => id === 'm-1')).toMatchObject([{ source: 'legacy', headers: { tenant: 'a', 'message-id': 'm-1' } }]);
    const rows = await dataSource.query('select count(*)::int as count from holdfast_delivery');
    expect(rows).toEqual([{ count: 0 }]);
  });

  it('without a store, what readForeign cannot read waits at the broker with the reason; moved back, it has the address it was sent to', async () => {
    await area.as((admin) => admin.assertQueue(legacy, { durable: true }));
    const foreign = [{ subscription: 'shop.book', queue: legacy }];
    const handled: string[] = [];
    const plain = async (readForeign: ReadForeign) => {
      const transport = rabbitmq({ url: area.url, exchange, foreign });
      const made = new Holdfast({ service: 'shop', transport, readForeign }, { logger: silentLogger });
      made.on(OrderPaid, ({ n }, { id }) => void handled.push(`${id} ${n}`), { name: 'shop.book' });
      buses.push(made);
      await made.start();
      return made;
    };
    const deadLetters = `${exchange}/shop:dead/shop.book`;
    queues.push(deadLetters);
    const readText: ReadForeign = ({ address, headers, body }) => {
      if (address !== legacy) return undefined;
      const n = Number(Buffer.from(body).toString());
      return { id: headers['message-id'] ?? '', source: 'legacy', type: 'shop.order-paid', data: { n } };
    };
    const old = await plain((raw) => {
      if (raw.body.byteLength > 1) throw new Error('only one digit');
      return readText(raw);
    });
    await send({ exchange: '', key: legacy }, Buffer.from('12'), { messageId: 'm-1' });
    await send({ exchange: '', key: legacy }, Buffer.from('3'), { messageId: 'm-2' });
    const get = () => area.as((admin) => admin.get(deadLetters, { noAck: true }));
    const letter = (await eventually(get, (found) => found !== false)) as GetMessage;
    await eventually(
      async () => handled,
      ({ length }) => length === 1,
    );
    expect(letter.content.toString()).toBe('12');
    expect(letter.properties.headers).toMatchObject({
      'holdfast-dead-code': 'HF_MESSAGE_FOREIGN',
      'holdfast-dead-reason': expect.stringContaining('readForeign threw: only one digit'),
      'holdfast-dead-address': legacy,
    });
    await old.stop();
    await plain(readText);
    await send({ exchange: '', key: `${exchange}/shop/shop.book` }, letter.content, letter.properties);
    await eventually(
      async () => handled,
      ({ length }) => length === 2,
    );
    expect(handled).toEqual(['m-2 3', 'm-1 12']);
  });
});
