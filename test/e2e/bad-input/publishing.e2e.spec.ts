import { Command, type Holdfast, Message } from '@holdfast/core';
import { eventually, letters, openScene, OrderPlaced, type Scene, sentenceOf } from './support/scene.js';

class Undeclared {}

@Message('shop.charge')
class Charge extends Command<void> {
  readonly amount = 1;
}

@Message('shop.any')
class Anything {
  constructor(readonly value: unknown) {}
}

function nested(levels: number): unknown {
  return levels === 0 ? 1 : [nested(levels - 1)];
}

function cyclic(): unknown {
  const value: Record<string, unknown> = {};
  value.self = value;
  return value;
}

const order = new OrderPlaced('o1', 1);

// What to do, at the end of each sentence.
const SEND_JSON =
  'Send a JSON object in UTF-8, and attributes as CloudEvents has them; what is parked can be looked at with deadLetters.get().';
const GIVE_TEXT = 'Give a text of 1 to 255 characters, with no NUL and no half of a surrogate pair in it.';
const FEWER_HEADERS = 'Send fewer or shorter headers, text only; what is large belongs in the body.';
const KEEP_ELSEWHERE =
  'Keep the large part elsewhere and send a reference to it, or raise the limit: bodyBytes on every service, or max_message_size of RabbitMQ, max.message.bytes of Kafka.';
const FIT_CLASS = 'Make the data fit the message class and its schema.';
const DECLARE = "Put @Message('<type>') on the class itself; a declaration is not inherited.";
const RIGHT_KIND = 'events are published, commands (classes that extend Command) are sent.';
const GIVE_TIME = "Give delay, a length of time such as '30s', or at, a Date; not both.";
const GIVE_LENGTH =
  "Give milliseconds as a number, or a whole number with a unit such as '250ms', '30s', '15m', '6h' or '7d', up to a hundred years.";

type Call = readonly [what: string, call: (bus: Holdfast) => unknown, sentence: string];

const CALLS: readonly Call[] = [
  [
    'an instance of an undeclared class',
    ({ bus }) => bus.publish(new Undeclared()),
    `HF_MESSAGE_UNDECLARED: Undeclared is not declared as a message. ${DECLARE}`,
  ],
  ['nothing', ({ bus }) => bus.publish(null as never), `HF_MESSAGE_UNDECLARED: null is not declared as a message. ${DECLARE}`],
  [
    'a command that is published',
    ({ bus }) => bus.publish(new Charge() as never),
    `HF_MESSAGE_KIND: shop.charge cannot be given to bus.publish(). Use bus.send(): ${RIGHT_KIND}`,
  ],
  [
    'an event that is sent',
    ({ bus }) => bus.send(order as never),
    `HF_MESSAGE_KIND: shop.order-placed cannot be given to bus.send(). Use bus.publish(): ${RIGHT_KIND}`,
  ],
  [
    'what its schema refuses',
    ({ bus }) => bus.publish(new OrderPlaced('o1', -1)),
    `HF_MESSAGE_INVALID: The data of shop.order-placed is not valid: total: must be above 0; it is -1. ${FIT_CLASS}`,
  ],
  [
    'a BigInt',
    ({ bus }) => bus.publish(new Anything(5n)),
    `HF_MESSAGE_INVALID: The data of shop.any is not valid: value: a BigInt has no form in JSON, send it as text. ${FIT_CLASS}`,
  ],
  [
    'a cycle',
    ({ bus }) => bus.publish(new Anything(cyclic())),
    `HF_MESSAGE_INVALID: The data of shop.any is not valid: value.self: contains itself. ${FIT_CLASS}`,
  ],
  [
    'data nested a hundred deep',
    ({ bus }) => bus.publish(new Anything(nested(100))),
    `HF_MESSAGE_INVALID: The data of shop.any is not valid: value${'[0]'.repeat(63)}: nested deeper than 64 levels, which is the limit. ${FIT_CLASS}`,
  ],
  [
    '__proto__',
    ({ bus }) => bus.publish(new Anything(JSON.parse('{"__proto__":{}}'))),
    `HF_MESSAGE_INVALID: The data of shop.any is not valid: value.__proto__: a key that would change a prototype. ${FIT_CLASS}`,
  ],
  [
    'an oversized body',
    ({ bus }) => bus.publish(new Anything('x'.repeat(2 ** 20))),
    `HF_MESSAGE_TOO_LARGE: The body of shop.any has 1048588 bytes, the limit is 1048576. ${KEEP_ELSEWHERE}`,
  ],
  [
    'an id of 10 kB',
    ({ bus }) => bus.publish(order, { id: 'x'.repeat(10_000) }),
    `HF_MESSAGE_ID: The message id cannot be used: it has 10000 characters, the limit is 255: ${'x'.repeat(59)}… ${GIVE_TEXT}`,
  ],
  ['an empty id', ({ bus }) => bus.publish(order, { id: '' }), `HF_MESSAGE_ID: The message id cannot be used: it is empty. ${GIVE_TEXT}`],
  [
    'NUL in the id',
    ({ bus }) => bus.publish(order, { id: 'a\0' }),
    `HF_MESSAGE_ID: The message id cannot be used: it has a NUL or half of a surrogate pair in it: a\\u0000. ${GIVE_TEXT}`,
  ],
  [
    'half a surrogate pair in the key',
    ({ bus }) => bus.publish(order, { key: '\ud800' }),
    `HF_MESSAGE_ID: The ordering key cannot be used: it has a NUL or half of a surrogate pair in it: \\ud800. ${GIVE_TEXT}`,
  ],
  [
    '10,000 headers',
    ({ bus }) => bus.publish(order, { headers: Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`h${n}`, 'v'])) }),
    `HF_MESSAGE_HEADERS: The headers of a message cannot be used: there are 10000, the limit is 64. ${FEWER_HEADERS}`,
  ],
  [
    'a header that is missing',
    ({ bus }) => bus.publish(order, { headers: { tenant: undefined as never } }),
    `HF_MESSAGE_HEADERS: The headers of a message cannot be used: "tenant": it is missing. ${FEWER_HEADERS}`,
  ],
  [
    'a header with a long name',
    ({ bus }) => bus.publish(order, { headers: { ['n'.repeat(241)]: 'x' } }),
    `HF_MESSAGE_HEADERS: The headers of a message cannot be used: "${'n'.repeat(100)}": its name has 241 bytes, the limit is 240. ${FEWER_HEADERS}`,
  ],
  [
    'half a surrogate pair in a header',
    ({ bus }) => bus.publish(order, { headers: { tenant: '\udfff' } }),
    `HF_MESSAGE_HEADERS: The headers of a message cannot be used: "tenant": it has a NUL or half of a surrogate pair in it: \\udfff. ${FEWER_HEADERS}`,
  ],
  [
    'a negative delay',
    ({ bus }) => bus.publish(order, { delay: -5 }),
    `HF_CONFIG_DURATION: delay is not a length of time: -5. ${GIVE_LENGTH}`,
  ],
  [
    'a time that is none',
    ({ bus }) => bus.publish(order, { at: new Date('soon') }),
    `HF_MESSAGE_TIME: The time of a message cannot be used: at is no Date with a time: Invalid Date. ${GIVE_TIME}`,
  ],
  [
    'two times',
    ({ bus }) => bus.publish(order, { at: new Date(), delay: 5 } as never),
    `HF_MESSAGE_TIME: The time of a message cannot be used: delay and at are both given. ${GIVE_TIME}`,
  ],
  [
    'a transport there is not',
    ({ bus }) => bus.publish(order, { destination: 'kafka:orders' }),
    "HF_DESTINATION_UNKNOWN: The destination kafka:orders names a transport that is not registered; registered are: default. Register the transport under that name, or write '<transport>:<address>' with one that is.",
  ],
  [
    'a negative time-out of its unit',
    ({ unitOfWork }) => unitOfWork.run({ timeout: -1 }, async () => 1),
    `HF_CONFIG_DURATION: timeout is not a length of time: -1. ${GIVE_LENGTH}`,
  ],
  [
    'a DataSource there is not',
    ({ unitOfWork }) => unitOfWork.run({ dataSource: 'stock' }, async () => 1),
    'HF_UOW_DATA_SOURCE: There is no DataSource named stock; known are: default. Use one of these names, or add it to the dataSources of the store.',
  ],
];

describe('a call with', () => {
  let scene: Scene;
  let bus: Holdfast;
  beforeAll(async () => {
    scene = await openScene();
    bus = scene.bus();
    await bus.start();
  });
  afterAll(() => scene.close());

  it.each(CALLS)('%s is refused with the value and the fix, and nothing is written', async (_, call, sentence) => {
    expect(await sentenceOf(() => call(bus))).toBe(sentence);
    expect(await scene.look('select id from holdfast_outbox union all select id from holdfast_scheduled')).toEqual([]);
  });

  it('a generator is undone with its unit', async () => {
    async function* numbers() {
      await bus.bus.publish(order);
      yield 1;
    }
    expect(await sentenceOf(() => bus.unitOfWork.run(async () => numbers() as never))).toBe(
      'HF_UOW_STREAM_RETURNED: A method returned an async iterable, which would go on after its unit of work has ended. Collect the rows and return them, or read the stream outside the unit.',
    );
    expect(await scene.look('select id from holdfast_outbox')).toEqual([]);
  });
});

describe('limits that are set lower', () => {
  const limits = { bodyBytes: 60, headers: 1, headerBytes: 10, depth: 2, idLength: 40 };
  let scene: Scene;
  let strict: Holdfast;
  let lax: Holdfast;
  const handled: unknown[] = [];
  beforeAll(async () => {
    scene = await openScene();
    strict = scene.bus({ service: 'strict', limits }).on(Anything, async ({ value }) => void handled.push(value), { name: 'strict.read' });
    lax = scene.bus();
    await strict.start();
    await lax.start();
  });
  afterAll(() => scene.close());

  it.each<[keyof typeof limits, (bus: Holdfast) => unknown, string]>([
    [
      'bodyBytes',
      ({ bus }) => bus.publish(new Anything('x'.repeat(60))),
      `HF_MESSAGE_TOO_LARGE: The body of shop.any has 72 bytes, the limit is 60. ${KEEP_ELSEWHERE}`,
    ],
    [
      'headers',
      ({ bus }) => bus.publish(order, { headers: { a: '1', b: '2' } }),
      `HF_MESSAGE_HEADERS: The headers of a message cannot be used: there are 2, the limit is 1. ${FEWER_HEADERS}`,
    ],
    [
      'headerBytes',
      ({ bus }) => bus.publish(order, { headers: { tenant: 'acme!' } }),
      `HF_MESSAGE_HEADERS: The headers of a message cannot be used: they have more than 10 bytes. ${FEWER_HEADERS}`,
    ],
    [
      'depth',
      ({ bus }) => bus.publish(new Anything(nested(2))),
      `HF_MESSAGE_INVALID: The data of shop.any is not valid: value[0]: nested deeper than 2 levels, which is the limit. ${FIT_CLASS}`,
    ],
    [
      'idLength',
      ({ bus }) => bus.publish(order, { id: 'x'.repeat(41) }),
      `HF_MESSAGE_ID: The message id cannot be used: it has 41 characters, the limit is 40: ${'x'.repeat(41)}. ${GIVE_TEXT.replace('255', '40')}`,
    ],
  ])('%s: what is above is refused at the call, where the default takes it', async (_, call, sentence) => {
    expect(await sentenceOf(() => call(strict))).toBe(sentence);
    await call(lax);
  });

  it.each<[keyof typeof limits, unknown, object, string]>([
    ['depth', nested(2), {}, `The body of shop.any cannot be read: it is nested 3 levels deep, the limit is 2. ${SEND_JSON}`],
    [
      'headers',
      'two headers',
      { headers: { a: '1', b: '2' } },
      `The headers of a message cannot be used: there are 2, the limit is 1. ${FEWER_HEADERS}`,
    ],
    [
      'idLength',
      'a long id',
      { id: 'y'.repeat(41) },
      `The message id cannot be used: it has 41 characters, the limit is 40: ${'y'.repeat(41)}. ${GIVE_TEXT.replace('255', '40')}`,
    ],
  ])('%s: what is above is parked by its reader, and the next message is handled', async (_, value, options, sentence) => {
    await lax.bus.publish(new Anything(value), options);
    const next = `after ${sentence}`.slice(0, 20);
    await lax.bus.publish(new Anything(next));
    await eventually(async () => (handled.includes(next) ? true : undefined));
    // In its own time: the two may be in different lanes.
    await eventually(async () => ((await letters(strict)).some(({ error }) => error.message === sentence) ? true : undefined));
    expect(handled).not.toContain(value);
  });
});
