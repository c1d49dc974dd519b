import type { Logger } from '@holdfast/core';
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
const ignore = () => undefined;
const silent: Logger = { info: ignore, warn: ignore, error: ignore };
const ACCESS = (exchange: string) => `ACCESS_REFUSED - access to exchange '${exchange}' in vhost '/' refused for user 'shop'`;
const message = { about: { type: 'shop.ordered', id: '1' } } as Outgoing;
const written = (...bytes: number[]) => bytes.map((each) => ({ bytes: each, exchange: 'holdfast' }));
const bytesOf = (refused: readonly { readonly bytes: number }[]) => refused.map(({ bytes }) => bytes);

describe('when the broker closes a channel', () => {
  it.each(TOO_LARGE)('what is above the size that it names is refused, and of nothing else anything is known: %s', (text) => {
    expect(bytesOf(new Refusal(silent).of(closed(406, text), written(10, 900, 500, 501)))).toEqual([900, 501]);
  });

  it('for a message that was alone, that one is refused, whatever is wrong with it', () => {
    expect(bytesOf(new Refusal(silent).of(closed(406, 'PRECONDITION_FAILED - something else'), written(10)))).toEqual([10]);
    expect(bytesOf(new Refusal(silent).of(closed(406, 'PRECONDITION_FAILED - something else'), written(10, 20)))).toEqual([]);
  });

  it.each([closed(404, 'NOT_FOUND - no exchange'), new Error('the channel was closed'), undefined])(
    'for what is no fault of a message, nothing is known even of one that was alone: %s',
    (error) => {
      expect(new Refusal(silent).of(error, written(10))).toEqual([]);
    },
  );

  it('nothing above the size that it named is sent to it again, until it is connected to anew', () => {
    const [one, two] = [{}, {}] as [Connection, Connection];
    const refusal = new Refusal(silent);
    const check = (bytes: number) => () => refusal.check(message, { exchange: 'holdfast', content: Buffer.alloc(bytes) });
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

  it.each<[string, string, readonly string[], number]>([
    ['the default exchange', ACCESS('amq.default'), [''], 1],
    ['the default exchange, of several', ACCESS('amq.default'), ['', ''], 0],
    ['the default exchange, of another one', ACCESS('amq.default'), ['holdfast'], 0],
    ['the exchange of the bus, where all have to wait', ACCESS('holdfast'), ['holdfast'], 0],
    ['a topic', "ACCESS_REFUSED - access to topic 'a.none' in exchange 'holdfast' in vhost '/' refused for user 'shop'", ['holdfast'], 1],
    ['something else', "ACCESS_REFUSED - cannot publish to internal exchange 'holdfast' in vhost '/'", ['holdfast'], 0],
  ])('because its user has no right to write to %s, one that was alone and went there is refused', (_, text, exchanges, count) => {
    const sent = exchanges.map((exchange) => ({ bytes: 1, exchange }));
    expect(new Refusal(silent).of(closed(403, text), sent)).toHaveLength(count);
  });

  it('nothing is written to the default exchange that its user has no right to, until it is connected to anew; a person is told', () => {
    const [one, two] = [{}, {}] as [Connection, Connection];
    const told: unknown[] = [];
    const refusal = new Refusal({ ...silent, error: (_, fields) => told.push(fields) });
    const check = (exchange: string) => () => refusal.check(message, { exchange, content: Buffer.alloc(1) });
    refusal.opened(one);
    refusal.of(closed(403, ACCESS('holdfast')), written(1));
    expect(check('')).not.toThrow();
    refusal.of(closed(403, ACCESS('amq.default')), written(1, 2));
    refusal.opened(one);
    expect(check('')).toThrow(expect.objectContaining({ code: 'HF_BROKER_FORBIDDEN', details: { exchange: 'amq.default' } }));
    expect(check('holdfast')).not.toThrow();
    expect(told).toMatchObject([
      { exchange: 'holdfast', right: 'write' },
      { exchange: 'amq.default', right: 'write' },
    ]);
    refusal.opened(two);
    expect(check('')).not.toThrow();
  });
});
