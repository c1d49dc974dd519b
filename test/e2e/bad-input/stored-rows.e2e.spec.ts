import type { Holdfast } from '@holdfast/core';
import { eventually, letters, openScene, OrderPlaced, type Scene } from './support/scene.js';

const GOOD = {
  specversion: '1.0',
  id: 'id-1',
  source: 'elsewhere',
  type: 'shop.order-placed',
  time: '2026-01-02T03:04:05.000Z',
  datacontenttype: 'application/json',
  dataschema: 'urn:holdfast:shop.order-placed:2',
};
const DATA = JSON.stringify({ orderId: 'o1', total: 3 });
const deep = (levels: number) => `{"orderId":"o1","total":3,"x":${'['.repeat(levels)}${']'.repeat(levels)}}`;

// What to do, at the end of each sentence.
const SEND_JSON =
  'Send a JSON object in UTF-8, and attributes as CloudEvents has them; what is parked can be looked at with deadLetters.get().';
const GIVE_TEXT = 'Give a text of 1 to 255 characters, with no NUL and no half of a surrogate pair in it.';
const FEWER_HEADERS = 'Send fewer or shorter headers, text only; what is large belongs in the body.';
const NAME_CLASS = 'Name its class in the subscription, or stop routing it there.';
const KEEP_ELSEWHERE =
  'Keep the large part elsewhere and send a reference to it, or raise the limit: bodyBytes on every service, or max_message_size of RabbitMQ, max.message.bytes of Kafka.';
const FIT_CLASS = 'Make the data fit the message class and its schema.';

/** Attributes that differ from the good ones, or attributes as text; a body; and the sentence. */
type Row = readonly [what: string, attributes: object | string, body: string | Buffer, sentence: string];

const ROWS: readonly Row[] = [
  ['a body that is no JSON', {}, 'total: 3', `The body of shop.order-placed cannot be read: it is not JSON: total: 3. ${SEND_JSON}`],
  [
    'a body that is no UTF-8',
    {},
    Buffer.from([0x7b, 0xff, 0x7d]),
    `The body of shop.order-placed cannot be read: it is not UTF-8. ${SEND_JSON}`,
  ],
  ['an array', {}, '[1,2]', `The body of shop.order-placed cannot be read: it is no object: [1,2]. ${SEND_JSON}`],
  ['nothing', {}, '', `The body of shop.order-placed cannot be read: it is empty. ${SEND_JSON}`],
  [
    'what its schema refuses',
    {},
    '{"total":-1}',
    `The data of shop.order-placed is not valid: \n  - orderId: must be a text\n  - total: must be above 0; it is -1\n${FIT_CLASS}`,
  ],
  [
    'another type',
    { type: 'shop.order-lost' },
    DATA,
    `The type shop.order-lost is none of those this subscription handles: shop.order-placed. ${NAME_CLASS}`,
  ],
  [
    'a newer version',
    { dataschema: 'urn:holdfast:shop.order-placed:7' },
    DATA,
    'Version 7 of shop.order-placed cannot be brought to version 2, the one OrderPlaced declares. Add the missing upcast, or deploy the service that knows the newer version first.',
  ],
  [
    'a damaged version',
    { dataschema: 'urn:holdfast:x:y' },
    DATA,
    `The attribute dataschema of a message cannot be read: it is urn:holdfast:x:y. ${SEND_JSON}`,
  ],
  ['no id', { id: undefined }, DATA, `The message id cannot be used: it is missing. ${GIVE_TEXT}`],
  ['an id that is empty', { id: '' }, DATA, `The message id cannot be used: it is empty. ${GIVE_TEXT}`],
  ['an id that is a number', { id: 7 }, DATA, `The message id cannot be used: it is no text but of type number: 7. ${GIVE_TEXT}`],
  [
    'an id of 10 kB',
    { id: 'x'.repeat(10_000) },
    DATA,
    `The message id cannot be used: it has 10000 characters, the limit is 255: ${'x'.repeat(59)}… ${GIVE_TEXT}`,
  ],
  [
    'NUL in the id',
    { id: 'a\0b' },
    DATA,
    `The message id cannot be used: it has a NUL or half of a surrogate pair in it: a\\u0000b. ${GIVE_TEXT}`,
  ],
  [
    'half a surrogate pair in the id',
    { id: 'a\ud800b' },
    DATA,
    `The message id cannot be used: it has a NUL or half of a surrogate pair in it: a\\ud800b. ${GIVE_TEXT}`,
  ],
  ['no source', { source: undefined }, DATA, `The source of a message cannot be used: it is missing. ${GIVE_TEXT}`],
  ['no time', { time: undefined }, DATA, `The attribute time of a message cannot be read: it is missing. ${SEND_JSON}`],
  ['a time that is none', { time: 'yesterday' }, DATA, `The attribute time of a message cannot be read: it is yesterday. ${SEND_JSON}`],
  ['attributes that are no JSON', 'id=1', DATA, `The attributes of a message cannot be read: they are no JSON: id=1. ${SEND_JSON}`],
  ['attributes that are an array', '[]', DATA, `The attributes of a message cannot be read: they are no object: []. ${SEND_JSON}`],
  [
    'NUL in the key',
    { partitionkey: 'a\0' },
    DATA,
    `The ordering key cannot be used: it has a NUL or half of a surrogate pair in it: a\\u0000. ${GIVE_TEXT}`,
  ],
  [
    'half a surrogate pair in the key',
    { partitionkey: '\udc00' },
    DATA,
    `The ordering key cannot be used: it has a NUL or half of a surrogate pair in it: \\udc00. ${GIVE_TEXT}`,
  ],
  [
    'a key of 10 kB',
    { partitionkey: 'k'.repeat(10_000) },
    DATA,
    `The ordering key cannot be used: it has 10000 characters, the limit is 255: ${'k'.repeat(59)}… ${GIVE_TEXT}`,
  ],
  [
    '10,000 headers',
    { headers: Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`h${n}`, 'v'])) },
    DATA,
    `The headers of a message cannot be used: there are 10000, the limit is 64. ${FEWER_HEADERS}`,
  ],
  [
    'NUL in a header',
    { headers: { a: 'b\0' } },
    DATA,
    `The headers of a message cannot be used: "a": it has a NUL or half of a surrogate pair in it: b\\u0000. ${FEWER_HEADERS}`,
  ],
  [
    'half a surrogate pair in the name of a header',
    { headers: { '\ud800': 'b' } },
    DATA,
    `The headers of a message cannot be used: "\\ud800": it has a NUL or half of a surrogate pair in it: \\ud800. ${FEWER_HEADERS}`,
  ],
  [
    'a header that is a number',
    { headers: { a: 5 } },
    DATA,
    `The headers of a message cannot be used: "a": it is no text but of type number: 5. ${FEWER_HEADERS}`,
  ],
  [
    'headers that are a text',
    { headers: 'x' },
    DATA,
    `The headers of a message cannot be used: they are no object of texts. ${FEWER_HEADERS}`,
  ],
  [
    'a header of 40 kB',
    { headers: { a: 'x'.repeat(40_000) } },
    DATA,
    `The headers of a message cannot be used: "a": it has 40000 characters, the limit is 32768: ${'x'.repeat(59)}… ${FEWER_HEADERS}`,
  ],
  [
    'an oversized body',
    {},
    JSON.stringify({ orderId: 'x'.repeat(2 ** 20), total: 3 }),
    `The body of shop.order-placed has 1048600 bytes, the limit is 1048576. ${KEEP_ELSEWHERE}`,
  ],
  [
    'a body nested a hundred deep',
    {},
    deep(100),
    `The body of shop.order-placed cannot be read: it is nested 101 levels deep, the limit is 64. ${SEND_JSON}`,
  ],
  [
    'a body that only opens brackets',
    {},
    '['.repeat(500_000),
    `The body of shop.order-placed cannot be read: it is nested 500000 levels deep, the limit is 64. ${SEND_JSON}`,
  ],
  [
    '__proto__',
    {},
    '{"orderId":"o1","total":3,"__proto__":{"admin":true}}',
    `The body of shop.order-placed cannot be read: it has the key __proto__, which would change a prototype. ${SEND_JSON}`,
  ],
  [
    'an escaped __proto__',
    {},
    '{"orderId":"o1","total":3,"__pro\\u0074o__":{"admin":true}}',
    `The body of shop.order-placed cannot be read: it has the key __proto__, which would change a prototype. ${SEND_JSON}`,
  ],
  [
    'constructor.prototype',
    {},
    '{"orderId":"o1","total":3,"a":{"constructor":{"prototype":{}}}}',
    `The body of shop.order-placed cannot be read: it has the key a.constructor.prototype, which would change a prototype. ${SEND_JSON}`,
  ],
  [
    'another content type',
    { datacontenttype: 'application/xml' },
    '<a/>',
    `The attribute datacontenttype of a message cannot be read: it is application/xml. ${SEND_JSON}`,
  ],
  ['a kind there is not', { kind: 'query' }, DATA, `The attribute kind of a message cannot be read: it is query. ${SEND_JSON}`],
];

describe('a row of the log with', () => {
  let scene: Scene;
  let bus: Holdfast;
  const handled: string[] = [];

  beforeAll(async () => {
    scene = await openScene();
    const handler = async (order: OrderPlaced) => void handled.push(order.orderId);
    bus = scene.bus().on(OrderPlaced, handler, { name: 'billing.charge', transactional: true, idempotent: true });
    await bus.start();
  });
  afterAll(() => scene.close());

  it.each(ROWS)('%s is parked with the reason and its body, and the next message is handled', async (what, attributes, body, sentence) => {
    const bytes = Buffer.from(body as string);
    await append(scene, attributes, bytes);
    await bus.bus.publish(new OrderPlaced(what, 1));
    await bus.bus.publish(new OrderPlaced(what, 1));
    await eventually(async () => (handled.filter((each) => each === what).length === 2 ? true : undefined));
    const [letter, ...rest] = await letters(bus);
    expect(rest).toEqual([]);
    expect(letter?.error.message).toBe(sentence);
    expect(letter).toMatchObject({ subscription: 'billing.charge', attempts: 0 });
    expect(Buffer.from(letter?.body ?? []).equals(bytes)).toBe(true);
    // What can be read of its identity is told, so that its sender can be found.
    const isNamed = typeof attributes === 'object' && !('id' in attributes) && !('source' in attributes);
    expect(letter?.message).toMatchObject(isNamed ? { id: 'id-1', source: 'elsewhere' } : { id: '', source: '' });
    await bus.deadLetters.discard(letter?.id ?? '', { by: 'test', reason: 'seen' });
    expect(({} as { admin?: unknown }).admin).toBeUndefined();
    expect(handled).not.toContain('o1');
  });

  it('a header called __proto__ is handled, and changes no prototype', async () => {
    const attributes = JSON.stringify({ ...GOOD, headers: { mark: '1' } }).replace('"mark"', '"__proto__"');
    await append(scene, attributes, Buffer.from(DATA));
    await bus.bus.publish(new OrderPlaced('after it', 1));
    await eventually(async () => (handled.includes('after it') && handled.includes('o1') ? true : undefined));
    expect(await letters(bus)).toEqual([]);
  });
});

async function append({ look }: Scene, attributes: object | string, body: Buffer): Promise<void> {
  const text = typeof attributes === 'string' ? attributes : JSON.stringify({ ...GOOD, ...attributes });
  await look(
    `insert into holdfast_outbox (lane, id, type, attributes, body) values (0, nextval('holdfast_lane_0'), 'shop.order-placed', $1, $2)`,
    [text, body],
  );
}

describe('an ordered subscription', () => {
  it('parks a message without a key, and what cannot be read does not hold back its key when dead letters are skipped', async () => {
    const scene = await openScene();
    const handled: string[] = [];
    const handler = async (order: OrderPlaced) => void handled.push(order.orderId);
    const policies = { name: 'billing.charge', transactional: true, idempotent: true, ordering: 'key', onDeadLetter: 'skip' } as const;
    const bus = scene.bus().on(OrderPlaced, handler, policies);
    await bus.start();
    await bus.bus.publish(new OrderPlaced('no key', 1));
    const [{ lane }] = (await keyed(bus, scene)) as [{ lane: number }];
    await scene.look(
      `insert into holdfast_outbox (lane, id, type, key, attributes, body)
       values ($1::int, nextval(('holdfast_lane_' || $1::int)::regclass), 'shop.order-placed', 'k', $2, 'broken')`,
      [lane, JSON.stringify({ ...GOOD, partitionkey: 'k' })],
    );
    await bus.bus.publish(new OrderPlaced('third', 1), { key: 'k' });
    await eventually(async () => (handled.length === 2 ? true : undefined));
    expect(handled).toEqual(['first', 'third']);
    const sentences = (await letters(bus)).map(({ error }) => error.message).sort();
    expect(sentences).toEqual([
      `The body of shop.order-placed cannot be read: it is not JSON: broken. ${SEND_JSON}`,
      "shop.order-placed came without an ordering key, and billing.charge keeps the order of keys. Publish it with { key }, or subscribe with ordering: 'none'.",
    ]);
    await scene.close();
  });
});

/** Publishes the first of a key, and tells its lane. */
async function keyed(bus: Holdfast, scene: Scene): Promise<{ lane: number }[]> {
  await bus.bus.publish(new OrderPlaced('first', 1), { key: 'k' });
  return scene.look<{ lane: number }>(`select lane from holdfast_outbox where key = 'k'`);
}
