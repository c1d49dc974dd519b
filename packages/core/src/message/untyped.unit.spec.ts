import { decodeData, encodeData } from './codec.js';
import { describeMessage } from './message-class.js';
import { untypedClass, UntypedMessage, untypedMessage } from './untyped.js';

describe('a message of a type that is known by name only', () => {
  it.each([
    ['event', false],
    ['command', true],
  ] as const)('is an %s of that type, with its data as it is', (kind, isCommand) => {
    const message = untypedMessage('order.placed', kind as 'event', { orderId: 'o-1', constructor: 'a field' });
    const description = describeMessage(message);
    expect(description).toMatchObject({ type: 'order.placed', version: 1, isCommand });
    expect(String(encodeData(message, description))).toBe('{"orderId":"o-1","constructor":"a field"}');
  });

  it('can be subscribed to, and is named by its type', () => {
    expect(describeMessage(untypedClass('order.placed', 'command')).isCommand).toBe(true);
    expect(untypedClass('order.placed', 'event').name).toBe('order.placed');
  });

  it.each(['a text', 7, false, ['a'], { a: null, constructor: 1, toString: 'a field' }])(
    'carries %j, and its handler gets just that, of any version',
    (data) => {
      const message = untypedMessage('order.placed', 'event', data);
      const body = encodeData(message, describeMessage(message)) as Buffer;
      const descriptions = [describeMessage(untypedClass('order.placed', 'event'))];
      expect(decodeData({ type: 'order.placed', version: 3, body }, descriptions)).toEqual(data);
    },
  );

  it.each([
    ['nothing', undefined, 'has no form in JSON'],
    ['a BigInt', { a: 1n }, 'BigInt'],
    ['what would change a prototype', JSON.parse('{"__proto__": {}}'), 'would change a prototype'],
  ])('cannot carry %s', (_what, data, issue) => {
    const message = untypedMessage('order.placed', 'event', data);
    expect(() => encodeData(message, describeMessage(message))).toThrow(
      expect.objectContaining({ message: expect.stringContaining(issue) }),
    );
  });

  it('shows its data to whoever looks at what was published', () => {
    expect(untypedMessage('order.placed', 'event', 'text')).toMatchObject({ type: 'order.placed', data: 'text' });
    expect(untypedMessage('order.placed', 'event', 'text')).toBeInstanceOf(UntypedMessage);
  });

  it('is refused when the type cannot be one', () => {
    expect(() => untypedMessage(' ', 'event', {})).toThrow(expect.objectContaining({ code: 'HF_CONFIG_INVALID' }));
  });
});
