import type { Connection } from './connection.js';
import type { Outgoing } from './publisher.js';
import { Refusal } from './refusal.js';

const closed = (code: number, text: string) =>
  Object.assign(new Error(`Channel closed by server: ${code} with message "${text}"`), { code });
/** As RabbitMQ says it with a limit that is configured, and with its own. */
const TOO_LARGE = [
  'PRECONDITION_FAILED - message size 900 is larger than configured max size 500',
  'PRECONDITION_FAILED - message size 900 is larger than max size 500',
];
const message = { about: { type: 'shop.ordered', id: '1' } } as Outgoing;
const written = (...bytes: number[]) => bytes.map((each) => ({ bytes: each }));
const bytesOf = (refused: readonly { readonly bytes: number }[]) => refused.map(({ bytes }) => bytes);

describe('when the broker closes a channel', () => {
  it.each(TOO_LARGE)('what is above the size that it names is refused, and of nothing else anything is known: %s', (text) => {
    expect(bytesOf(new Refusal().of(closed(406, text), written(10, 900, 500, 501)))).toEqual([900, 501]);
  });

  it('for a message that was alone, that one is refused, whatever is wrong with it', () => {
    expect(bytesOf(new Refusal().of(closed(406, 'PRECONDITION_FAILED - something else'), written(10)))).toEqual([10]);
    expect(bytesOf(new Refusal().of(closed(406, 'PRECONDITION_FAILED - something else'), written(10, 20)))).toEqual([]);
  });

  it.each([closed(404, 'NOT_FOUND - no exchange'), new Error('the channel was closed'), undefined])(
    'for what is no fault of a message, nothing is known even of one that was alone: %s',
    (error) => {
      expect(new Refusal().of(error, written(10))).toEqual([]);
    },
  );

  it('nothing above the size that it named is sent to it again, until it is connected to anew', () => {
    const [one, two] = [{}, {}] as [Connection, Connection];
    const refusal = new Refusal();
    const check = (bytes: number) => () => refusal.check(message, Buffer.alloc(bytes));
    refusal.opened(one);
    expect(check(900)).not.toThrow();
    refusal.of(closed(406, TOO_LARGE[0] as string), written(900));
    refusal.opened(one);
    expect(check(500)).not.toThrow();
    expect(check(501)).toThrow(
      expect.objectContaining({ code: 'HF_MESSAGE_TOO_LARGE', details: { type: 'shop.ordered', bytes: 501, limit: 500 } }),
    );
    refusal.opened(two);
    expect(check(900)).not.toThrow();
  });
});
