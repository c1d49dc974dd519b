import type { DeadLetterReason } from '@holdfast/core';
import type { ConsumeMessage } from 'amqplib';
import { deadLetterOptions } from './dead-letter.js';

const REASON: DeadLetterReason = {
  subscription: 'reader',
  attempts: 1,
  at: new Date(0),
  failure: { code: 'CODE', errorType: 'Error', message: 'no', stack: undefined, fingerprint: 'f00' },
};
const NAME = '\ufffd'.repeat(100);
const nested = (depth: number): unknown => (depth === 0 ? {} : { a: nested(depth - 1) });

const optionsOf = (headers: Record<string, unknown>, also = {}) => {
  const fields = { deliveryTag: 1, redelivered: false, exchange: 'x', routingKey: 'r', consumerTag: 'c' };
  const properties = { headers, ...also } as ConsumeMessage['properties'];
  return deadLetterOptions({ content: Buffer.alloc(0), fields, properties }, REASON);
};

describe('a dead letter', () => {
  it('has every header that came with it', () => {
    const came = {
      text: 'a',
      flag: true,
      numbers: [1, -1, 1.5, 2 ** 62, -(2 ** 63), 1e300],
      nothing: null,
      bytes: Buffer.from('b'),
      at: { '!': 'timestamp', value: 1.7e9 },
      price: { '!': 'decimal', value: { places: 2, digits: 999 } },
      table: { list: [{ inner: 'x' }] },
    };
    const { headers } = optionsOf(came, { messageId: 'm-1' });
    expect(headers).toMatchObject(came);
    expect(headers).not.toHaveProperty('holdfast-dead-left-out');
  });

  it.each<[string, unknown]>([
    ['a time that is a table', { '!': 'timestamp', value: {} }],
    ['a time before all others', { '!': 'timestamp', value: -1 }],
    ['a decimal that is none', { '!': 'decimal', value: { places: 256, digits: 1 } }],
    ['a type that there is not', { '!': 'nothing' }],
    ['the prototype of bytes', Object.setPrototypeOf({}, Buffer.from('x'))],
    ['a number below all whole ones', -1e300],
    ['a fraction that amqplib takes for a whole number', 2 ** 50 + 0.5],
    ['a whole number that JSON does not have', 1n],
    ['a name that is too long', { [NAME]: 1 }],
    ['no end', nested(5000)],
    ['no end in a list', [[nested(5000)]]],
  ])('leaves out a header with %s, which amqplib could not write', (_, x) => {
    expect(optionsOf({ tenant: 'a', x }).headers).toMatchObject({ tenant: 'a', 'holdfast-dead-left-out': '1: x' });
    expect(optionsOf({ x }).headers).not.toHaveProperty('x');
  });

  it('leaves out a name and a property that are longer than AMQP has room for', () => {
    const { messageId, headers } = optionsOf({ [NAME]: 'a' }, { messageId: NAME });
    expect([messageId, headers?.['holdfast-dead-left-out']]).toEqual([undefined, `1: ${NAME}`]);
  });

  it.each([2 ** 64, -1, 1.5, Number.NaN])('leaves out the time of a message when amqplib could not write it (%s)', (timestamp) => {
    expect(optionsOf({}, { timestamp, type: 't' })).toMatchObject({ type: 't' });
    expect(optionsOf({}, { timestamp })).not.toHaveProperty('timestamp');
  });

  it.each([0, 1.7e9, 2 ** 64 - 2048])('has the time of a message that came with it (%s)', (timestamp) => {
    expect(optionsOf({}, { timestamp })).toMatchObject({ timestamp });
  });
});
