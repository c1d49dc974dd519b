import { z } from 'zod';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { Command, Message, type MessageClass, type MessageOptions } from './message.js';
import { declareMessage, describeMessage, describeMessages } from './message-class.js';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}

@Message('card.charge', { version: 3, destination: 'cards', upcast: { 1: (v1: object) => v1, 2: (v2: object) => v2 } })
class ChargeCard extends Command<{ paymentId: string }> {
  constructor(readonly amount: number) {
    super();
  }
}

class Undeclared {}

function problemsOf(type: unknown, options?: object): string {
  class Wrong {}
  try {
    declareMessage(Wrong, type as string, options as MessageOptions<unknown>);
  } catch (error) {
    if (isHoldfastError(error, 'HF_CONFIG_INVALID')) return error.message;
    throw error;
  }
  return 'accepted';
}

describe('describeMessage', () => {
  it('gives the defaults of a declaration', () => {
    expect(describeMessage(OrderPlaced)).toEqual({
      type: 'order.placed',
      version: 1,
      schema: undefined,
      destination: undefined,
      upcast: {},
      isCommand: false,
      isJson: false,
      class: OrderPlaced,
    });
  });

  it('gives what was declared, also from an instance', () => {
    const description = describeMessage(new ChargeCard(20));
    expect(description).toBe(describeMessage(ChargeCard));
    expect(description).toMatchObject({ type: 'card.charge', version: 3, destination: 'cards', isCommand: true, class: ChargeCard });
    expect(Object.keys(description.upcast)).toEqual(['1', '2']);
  });

  it('keeps the schema', () => {
    const schema = z.object({ id: z.string() });
    @Message('with.schema', { schema })
    class WithSchema {
      id = '';
    }
    expect(describeMessage(WithSchema).schema).toBe(schema);
  });

  it('finds the class of an instance that has a field named constructor', () => {
    const instance = Object.assign(new OrderPlaced('o-1'), { constructor: 'x' });
    expect(describeMessage(instance).class).toBe(OrderPlaced);
  });

  it('is not inherited: a subclass is another message', () => {
    class Special extends OrderPlaced {}
    expect(() => describeMessage(Special)).toThrow(expect.objectContaining({ code: 'HF_MESSAGE_UNDECLARED' }));
    expect(() => describeMessage(new Special('o-1'))).toThrow(/^Special is not declared as a message\. Put @Message/);
  });

  it.each([
    [Undeclared, 'Undeclared'],
    [new Undeclared(), 'Undeclared'],
    [class {}, 'an anonymous class'],
    [{ orderId: 'o-1' }, 'Object'],
    [Object.create(null) as object, '{}'],
    [null as unknown as object, 'null'],
    ['text' as unknown as object, 'text'],
  ])('refuses %p, naming %s', (value, name) => {
    expect(() => describeMessage(value)).toThrow(
      expect.objectContaining({ code: 'HF_MESSAGE_UNDECLARED', message: expect.stringContaining(name) }),
    );
  });

  it('knows a class that was declared with another copy of the package', async () => {
    await jest.isolateModulesAsync(async () => {
      const copy = await import('./message.js');
      class Foreign extends copy.Command {}
      copy.Message('foreign.command')(Foreign);
      expect(describeMessage(Foreign)).toMatchObject({ type: 'foreign.command', isCommand: true });
    });
  });

  it('goes by the last declaration of a class', async () => {
    class Twice {}
    Message('first')(Twice);
    await jest.isolateModulesAsync(async () => (await import('./message.js')).Message('second')(Twice));
    expect(describeMessage(Twice).type).toBe('second');
  });

  it('leaves nothing on the class that is listed or serialised', () => {
    expect(Object.keys(OrderPlaced)).toEqual([]);
    expect(JSON.stringify(new ChargeCard(20))).toBe('{"amount":20}');
  });
});

describe('@Message', () => {
  it.each(['', ' order.placed', 'order.placed\n', 'a\0b', 'x'.repeat(256), '\ud800', undefined, 7])('refuses the type %p', (type) => {
    expect(problemsOf(type)).toContain('@Message on Wrong: the type must be a printable text of 1 to 255 characters');
  });

  it.each(['order.placed', 'x'.repeat(255), 'com.example/Order Placed', 'bestellung.ändern'])('takes the type %p', (type) => {
    expect(problemsOf(type)).toBe('accepted');
  });

  it.each([0, -1, 1.5, Number.NaN, '2', 2 ** 60])('refuses the version %p', (version) => {
    expect(problemsOf('a', { version })).toContain('@Message on Wrong: version must be a positive integer');
  });

  it('refuses an upcast that is no function, or not from an older version', () => {
    const fine = (data: object): object => data;
    expect(problemsOf('a', { version: 3, upcast: { 1: fine, 2: fine } })).toBe('accepted');
    expect(problemsOf('a', { version: 2, upcast: { 2: fine } })).toContain('upcast 2 must be a version below 2');
    expect(problemsOf('a', { version: 2, upcast: { one: fine } })).toContain('upcast one must be a version below 2');
    expect(problemsOf('a', { version: 2, upcast: { 1: 'x' } })).toContain('upcast 1 must be a function');
  });

  it('refuses a destination that is no text and a schema that is none', () => {
    const message = problemsOf('', { destination: '', schema: { parse: () => 1 } });
    expect(message).toContain('the type must be');
    expect(message).toContain('destination must be');
    expect(message).toContain('schema must be a Standard Schema');
  });
});

describe('describeMessages', () => {
  it('describes one class or several', () => {
    expect(describeMessages(OrderPlaced).map(({ type }) => type)).toEqual(['order.placed']);
    expect(describeMessages([OrderPlaced, ChargeCard, OrderPlaced]).map(({ type }) => type)).toEqual(['order.placed', 'card.charge']);
  });

  it('refuses two classes of one type', () => {
    @Message('order.placed')
    class OtherOrderPlaced {}
    const both: MessageClass[] = [OrderPlaced, OtherOrderPlaced];
    expect(() => describeMessages(both)).toThrow(expect.objectContaining({ code: 'HF_MESSAGE_TYPE_TAKEN' }));
    expect(() => describeMessages(both)).toThrow('declare the type order.placed: OrderPlaced and OtherOrderPlaced.');
  });
});
