import type { DeadLetterReason } from '@holdfast/core';
import type { ReceivedMessage } from './client.port.js';
import { deadLetterOf, shortDeadLetterOf } from './dead-letter.js';
import { MOST_PROPERTIES, PROPERTY_BYTES } from './wire.js';

const FAILURE = { code: 'HF_X', message: 'a'.repeat(5000), fingerprint: 'f', type: 'Error', stack: 'at\n'.repeat(3000) };
const REASON = { subscription: 's', attempts: 3, failure: FAILURE, at: new Date(0) } as unknown as DeadLetterReason;

const received = (properties: readonly (readonly [string, string])[]): ReceivedMessage => ({
  topic: 't',
  id: 'm',
  group: 'g',
  body: Buffer.from('{}'),
  properties: new Map(properties),
  attempt: 1,
  at: new Date(0),
});

describe('a dead letter', () => {
  it.each([
    ['many properties', Array.from({ length: MOST_PROPERTIES }, (_, n) => [`p${n}`, 'x'] as const)],
    ['large ones', Array.from({ length: 10 }, (_, n) => [`p${n}`, 'x'.repeat(1600)] as const)],
  ])('has room for the reason beside %s, and is not above what RocketMQ takes', (_, properties) => {
    const letter = deadLetterOf(received(properties), REASON, 'dead');
    const bytes = [...letter.properties].reduce((sum, [name, text]) => sum + Buffer.byteLength(name) + Buffer.byteLength(text), 0);
    expect(letter.properties.size).toBeLessThan(MOST_PROPERTIES);
    expect(bytes).toBeLessThan(PROPERTY_BYTES);
    expect([...letter.properties.keys()].filter((name) => /attempts|reason|code/.test(name))).toHaveLength(3);
    expect(letter.properties.get('p0')).toBe(properties[0]?.[1]);
  });

  it('that is too large has no body, and says what was left out and which message it is', () => {
    const properties = Array.from({ length: MOST_PROPERTIES }, (_, n) => [`p${n}`, 'x'] as const);
    const letter = shortDeadLetterOf({ ...received([['CE_id', 'e'], ...properties]), body: Buffer.alloc(5000) }, REASON, 'dead');
    expect(letter.body.byteLength).toBe(1);
    const own = Object.fromEntries(letter.properties);
    expect(own).toMatchObject({ CE_id: 'e', 'holdfast-dead-id': 'm', 'holdfast-dead-topic': 't', 'holdfast-dead-attempts': '3' });
    expect(own['holdfast-dead-left-out']).toMatch(/^5000 bytes of data: .* it stays in t, until that is deleted$/);
    expect(letter.properties.size).toBeLessThan(MOST_PROPERTIES);
  });

  it('has no control characters, which other protocols let pass', () => {
    const { properties } = deadLetterOf(received([['p', 'a\u0001b']]), REASON, 'dead');
    for (const text of properties.values()) expect(text).not.toMatch(/\p{Cc}/u);
  });
});
