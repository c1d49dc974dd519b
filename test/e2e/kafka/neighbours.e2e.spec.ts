// Programs that know nothing of us, over Kafka: CloudEvents with plain kafkajs, Nest's ClientProxy, and the envelopes of an outbox.
import { randomUUID } from 'node:crypto';
import { describeWithKafka, type KafkaArea, openKafka, eventually } from '@holdfast-internal/test-support';
import { type Delivery, fromKafkaClientProxy, fromNestOutbox, Message, type ReadForeign } from '@holdfast/core';
import { ClientKafka } from '@nestjs/microservices';
import { CloudEvent, HTTP, Kafka as KafkaBinding } from 'cloudevents';
import { lastValueFrom } from 'rxjs';
import { Pages } from './support/pages.js';

@Message('shop.order-placed')
class OrderPlaced {
  constructor(
    readonly n: number,
    readonly note?: string,
  ) {}
}

describeWithKafka('neighbours on Kafka', () => {
  let area: KafkaArea;
  let pages: Pages;
  const seen: { readonly n: number; readonly delivery: Delivery }[] = [];
  beforeAll(async () => {
    area = await openKafka();
  });
  afterAll(() => area?.clear());
  beforeEach(() => {
    pages = new Pages(area);
    seen.splice(0);
  });
  afterEach(() => pages.close());

  const topic = () => pages.topicOf('shop.order-placed');
  const booking = async (readForeign?: ReadForeign) => {
    const app = pages.app({ service: 'shop', readForeign });
    app.on(OrderPlaced, ({ n }, delivery) => void seen.push({ n, delivery }), { name: 'book', from: 'earliest' });
    await app.start();
    return app;
  };
  const send = async (...messages: readonly { key?: string; value: string; headers?: Record<string, string> }[]) => {
    const producer = area.client.producer();
    await producer.connect();
    await producer.send({ topic: topic(), messages: [...messages] });
    await producer.disconnect();
  };
  const booked = (count: number) =>
    eventually(
      () => seen,
      ({ length }) => length >= count,
    );

  it('a CloudEvents program reads what we publish', async () => {
    const app = await booking();
    const { id } = await app.bus.publish(new OrderPlaced(1, 'grüß'), { key: 'o-1', headers: { tenant: 'a' }, correlationId: 'c-1' });
    const consumer = area.client.consumer({ groupId: randomUUID() });
    await consumer.connect();
    await consumer.subscribe({ topic: topic(), fromBeginning: true });
    const event = await new Promise<CloudEvent<unknown>>((resolve) => {
      void consumer.run({
        eachMessage: async ({ message: { key, value, headers = {} } }) => {
          const texts = Object.fromEntries(Object.entries(headers).map(([name, each]) => [name, String(each)]));
          const received = { key: String(key), value: String(value), headers: texts, body: String(value) };
          resolve(KafkaBinding.toEvent(received) as CloudEvent<unknown>);
        },
      });
    });
    await consumer.disconnect();
    expect(event.validate()).toBe(true);
    expect(event).toMatchObject({ specversion: '1.0', id, source: 'shop', type: 'shop.order-placed', correlationid: 'c-1' });
    expect(event).toMatchObject({ dataschema: 'urn:holdfast:shop.order-placed:1', data: { n: 1, note: 'grüß' }, partitionkey: 'o-1' });
  });

  it('a CloudEvents program writes to us, in both modes', async () => {
    await booking();
    const must = { source: 'https://foreign.example/shop', type: 'shop.order-placed' };
    const binary = KafkaBinding.binary(new CloudEvent({ ...must, id: 'binary', partitionkey: 'k', data: { n: 1 } }));
    const structured = HTTP.structured(new CloudEvent({ ...must, id: 'in-body', data: { n: 2 } }));
    await send(
      { key: 'k', value: JSON.stringify(binary.value), headers: JSON.parse(JSON.stringify(binary.headers)) as Record<string, string> },
      { value: structured.body as string, headers: { 'content-type': 'application/cloudevents+json' } },
    );
    await booked(2);
    const found = new Map(seen.map(({ n, delivery }) => [delivery.id, { n, source: delivery.source, key: delivery.key }]));
    expect(found.get('binary')).toEqual({ n: 1, source: must.source, key: 'k' });
    expect(found.get('in-body')).toEqual({ n: 2, source: must.source, key: undefined });
  });

  it("what Nest's ClientProxy sends and the envelopes of its outbox are read through readForeign", async () => {
    const fromClient = fromKafkaClientProxy({ source: 'orders', type: (address) => address.slice(pages.prefix.length) });
    const fromOutbox = fromNestOutbox({ source: 'orders' });
    await booking((raw) => fromOutbox(raw) ?? fromClient(raw));
    const client = new ClientKafka({ client: { brokers: [area.address], logLevel: 0 }, producerOnlyMode: true });
    await client.connect();
    await lastValueFrom(client.emit(topic(), { key: 'o-1', value: { n: 1 } }));
    await lastValueFrom(client.emit(topic(), { n: 2 }));
    await client.close();
    const envelope = { id: 'e-3', topic: 'shop.order-placed', key: 'o-3', headers: { tenant: 'a' }, createdAt: 1_900_000_000_000 };
    await send({ value: JSON.stringify({ ...envelope, payload: { n: 3 } }) });
    await booked(3);
    const found = new Map(seen.map(({ n, delivery: { id, source, key, headers } }) => [n, { id, source, key, tenant: headers.tenant }]));
    expect(found.get(1)).toMatchObject({ source: 'orders', key: 'o-1', id: expect.stringMatching(/shop\.order-placed\/\d\/\d+$/) });
    expect(found.get(2)).toMatchObject({ source: 'orders', key: undefined });
    expect(found.get(3)).toEqual({ id: 'e-3', source: 'orders', key: 'o-3', tenant: 'a' });
  });
});
