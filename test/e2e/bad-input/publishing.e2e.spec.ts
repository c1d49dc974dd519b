import { Command, type Holdfast, Message } from '@holdfast/core';
import { openScene, OrderPlaced, type Scene, sentenceOf } from './support/scene.js';

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

type Call = readonly [what: string, call: (bus: Holdfast) => unknown, sentence: string];

const CALLS: readonly Call[] = [
  [
    'an instance of an undeclared class',
    ({ bus }) => bus.publish(new Undeclared()),
    "HF_MESSAGE_UNDECLARED: Undeclared is not declared as a message. Put @Message('<type>') on the class itself",
  ],
  ['nothing', ({ bus }) => bus.publish(null as never), 'HF_MESSAGE_UNDECLARED: null is not declared as a message.'],
  [
    'a command that is published',
    ({ bus }) => bus.publish(new Charge() as never),
    'HF_MESSAGE_KIND: shop.charge cannot be given to bus.publish(). Use bus.send()',
  ],
  [
    'an event that is sent',
    ({ bus }) => bus.send(order as never),
    'HF_MESSAGE_KIND: shop.order-placed cannot be given to bus.send(). Use bus.publish()',
  ],
  [
    'what its schema refuses',
    ({ bus }) => bus.publish(new OrderPlaced('o1', -1)),
    'HF_MESSAGE_INVALID: The data of shop.order-placed is not valid: total: must be above 0. Make the data fit',
  ],
  [
    'a BigInt',
    ({ bus }) => bus.publish(new Anything(5n)),
    'HF_MESSAGE_INVALID: The data of shop.any is not valid: value: a BigInt has no form in JSON, send it as text.',
  ],
  [
    'a cycle',
    ({ bus }) => bus.publish(new Anything(cyclic())),
    'HF_MESSAGE_INVALID: The data of shop.any is not valid: value.self: contains itself.',
  ],
  [
    'data nested a hundred deep',
    ({ bus }) => bus.publish(new Anything(nested(100))),
    'HF_MESSAGE_INVALID: The data of shop.any is not valid: value[0][0][0]',
  ],
  [
    '__proto__',
    ({ bus }) => bus.publish(new Anything(JSON.parse('{"__proto__":{}}'))),
    'HF_MESSAGE_INVALID: The data of shop.any is not valid: value.__proto__: a key that would change a prototype.',
  ],
  [
    'an oversized body',
    ({ bus }) => bus.publish(new Anything('x'.repeat(2 ** 20))),
    'HF_MESSAGE_TOO_LARGE: The body of shop.any has 1048588 bytes, the limit is 1048576. Keep the large part elsewhere',
  ],
  [
    'an id of 10 kB',
    ({ bus }) => bus.publish(order, { id: 'x'.repeat(10_000) }),
    'HF_MESSAGE_ID: The message id cannot be used: it has 10000 characters, the limit is 255: xxx',
  ],
  [
    'an empty id',
    ({ bus }) => bus.publish(order, { id: '' }),
    'HF_MESSAGE_ID: The message id cannot be used: it is empty. Give a text of 1 to 255 characters',
  ],
  [
    'NUL in the id',
    ({ bus }) => bus.publish(order, { id: 'a\0' }),
    'HF_MESSAGE_ID: The message id cannot be used: it has a NUL or half of a surrogate pair in it: a\\u0000.',
  ],
  [
    'half a surrogate pair in the key',
    ({ bus }) => bus.publish(order, { key: '\ud800' }),
    'HF_MESSAGE_ID: The ordering key cannot be used: it has a NUL or half of a surrogate pair in it: \\ud800.',
  ],
  [
    '10,000 headers',
    ({ bus }) => bus.publish(order, { headers: Object.fromEntries(Array.from({ length: 10_000 }, (_, n) => [`h${n}`, 'v'])) }),
    'HF_MESSAGE_HEADERS: The headers of a message cannot be used: there are 10000, the limit is 64.',
  ],
  [
    'a header that is missing',
    ({ bus }) => bus.publish(order, { headers: { tenant: undefined as never } }),
    'HF_MESSAGE_HEADERS: The headers of a message cannot be used: "tenant": it is missing.',
  ],
  [
    'a header with a long name',
    ({ bus }) => bus.publish(order, { headers: { ['n'.repeat(241)]: 'x' } }),
    `HF_MESSAGE_HEADERS: The headers of a message cannot be used: "${'n'.repeat(100)}": its name has 241 bytes, the limit is 240.`,
  ],
  [
    'half a surrogate pair in a header',
    ({ bus }) => bus.publish(order, { headers: { tenant: '\udfff' } }),
    'HF_MESSAGE_HEADERS: The headers of a message cannot be used: "tenant": it has a NUL or half of a surrogate pair in it: \\udfff.',
  ],
  [
    'a negative delay',
    ({ bus }) => bus.publish(order, { delay: -5 }),
    "HF_CONFIG_DURATION: delay is not a length of time: -5. Give milliseconds as a number, or a whole number with a unit such as '250ms'",
  ],
  [
    'a time that is none',
    ({ bus }) => bus.publish(order, { at: new Date('soon') }),
    "HF_MESSAGE_TIME: The time of a message cannot be used: at is no Date with a time: Invalid Date. Give delay, a length of time such as '30s', or at, a Date; not both.",
  ],
  [
    'two times',
    ({ bus }) => bus.publish(order, { at: new Date(), delay: 5 } as never),
    'HF_MESSAGE_TIME: The time of a message cannot be used: delay and at are both given.',
  ],
  [
    'a transport there is not',
    ({ bus }) => bus.publish(order, { destination: 'kafka:orders' }),
    'HF_DESTINATION_UNKNOWN: The destination kafka:orders names a transport that is not registered; registered are: default.',
  ],
  [
    'a negative time-out of its unit',
    ({ unitOfWork }) => unitOfWork.run({ timeout: -1 }, async () => 1),
    'HF_CONFIG_DURATION: timeout is not a length of time: -1.',
  ],
  [
    'a DataSource there is not',
    ({ unitOfWork }) => unitOfWork.run({ dataSource: 'stock' }, async () => 1),
    'HF_UOW_DATA_SOURCE: There is no DataSource named stock; known are: default.',
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
    expect((await sentenceOf(() => call(bus))).slice(0, sentence.length)).toBe(sentence);
    expect(await scene.look('select id from holdfast_outbox union all select id from holdfast_scheduled')).toEqual([]);
  });

  it('a generator is undone with its unit', async () => {
    async function* numbers() {
      await bus.bus.publish(order);
      yield 1;
    }
    expect(await sentenceOf(() => bus.unitOfWork.run(async () => numbers() as never))).toMatch(
      /^HF_UOW_STREAM_RETURNED: A method returned/,
    );
    expect(await scene.look('select id from holdfast_outbox')).toEqual([]);
  });
});
