import { hfError } from '../errors/catalogue.js';
import { attributesOf } from '../message/attributes.js';
import { limitsFrom } from '../message/limits.js';
import { subscribe } from '../monitoring/events.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { Outgoing } from '../bus/outgoing.js';
import { Requests, type RequestTerms } from './requests.js';

const START = new Date('2026-01-01T00:00:00Z');

/** Requests on a clock that is moved by hand, and what becomes of them. */
function scene(limit = 10) {
  const time = new VirtualTime();
  const told: unknown[] = [];
  const stops = [
    subscribe('request:ended', ({ id, outcome, durationMs }) => told.push(`${id} ${outcome} after ${durationMs}`)),
    subscribe('reply:dropped', ({ id, reason }) => told.push(`reply to ${id}: ${reason}`)),
  ];
  let isInUnit = false;
  const requests = new Requests({
    service: 'shop',
    limits: limitsFrom(),
    limit,
    clock: time,
    scheduler: time,
    logger: silentLogger,
    isInUnit: () => isInUnit,
  });
  const sent: string[] = [];
  const ask = (id: string, terms: Partial<RequestTerms> = {}) =>
    requests.ask({
      type: 'card.charge',
      transport: 'default',
      timeoutMs: 1000,
      signal: undefined,
      make: async (replyTo) => ({ envelope: { id, key: undefined, replyTo } }) as unknown as Outgoing,
      leave: async ({ envelope }) => void sent.push(`${envelope.id} to ${envelope.replyTo}`),
      ...terms,
    });
  const reply = (causationId: string | undefined, json: string) =>
    requests.receive({
      attributes: attributesOf({
        ...{ id: `reply to ${causationId}`, source: 'cards', type: 'holdfast.reply', version: 1, time: START, headers: {} },
        ...{ correlationId: 'talk', causationId, kind: 'reply', contentType: 'application/json', body: Buffer.from(json) },
      }),
      body: Buffer.from(json),
    });
  const enter = () => {
    isInUnit = true;
  };
  const close = () => {
    for (const stop of stops) stop();
  };
  return { requests, time, told, sent, ask, reply, enter, close };
}

/** Lets what has been resolved go on. */
const settle = () => new Promise(setImmediate);

describe('a request', () => {
  it('is refused before the start, and makes one place for replies, with the first that is made', async () => {
    const { requests, ask, reply, sent, close } = scene();
    await expect(ask('1')).rejects.toMatchObject({ code: 'HF_NOT_STARTED' });
    let places = 0;
    requests.start('default', async () => `place ${++places}`);
    const both = [ask('1'), ask('2')];
    await settle();
    expect(sent).toEqual(['1 to place 1', '2 to place 1']);
    reply('2', '"b"');
    reply('1', '"a"');
    expect(await Promise.all(both)).toEqual(['a', 'b']);
    close();
  });

  it('names the place that has taken the place of the first one', async () => {
    const { requests, ask, sent, close } = scene();
    let move = (_: string) => undefined as void;
    requests.start('default', async (moved) => {
      move = moved;
      return 'here';
    });
    const asked = [ask('1')];
    await settle();
    move('there');
    asked.push(ask('2'));
    await settle();
    expect(sent).toEqual(['1 to here', '2 to there']);
    requests.stop();
    await Promise.allSettled(asked);
    close();
  });

  it('fails with the reason there is no place for replies, and the next one tries again', async () => {
    const { requests, ask, reply, close } = scene();
    const broken = hfError('HF_BROKER_UNREACHABLE', { address: 'amqp://x', reason: 'refused' });
    let isBroken = true;
    requests.start('default', async () => {
      if (isBroken) throw broken;
      return 'here';
    });
    await expect(ask('1')).rejects.toBe(broken);
    isBroken = false;
    const asked = ask('2');
    await settle();
    reply('2', '2');
    expect(await asked).toBe(2);
    expect(requests.count).toBe(0);
    close();
  });

  it('is answered to all who wait for its id, once, and what comes after is dropped', async () => {
    const { requests, ask, reply, told, close } = scene();
    requests.start('default', async () => 'here');
    const both = [ask('same'), ask('same')];
    await settle();
    for (const _ of [1, 2]) reply('same', '7');
    expect(await Promise.all(both)).toEqual([7, 7]);
    expect(told).toEqual(['same replied after 0', 'same replied after 0', 'reply to same: nobody-waits']);
    close();
  });

  it('ends at its time-out, counted from the call, and is not sent any more when that was too slow', async () => {
    const { requests, ask, sent, time, told, close } = scene();
    let place = (_address: string): void => undefined;
    requests.start('default', () => new Promise((resolve) => (place = resolve)));
    const asked = ask('slow');
    const failed = expect(asked).rejects.toMatchObject({ code: 'HF_REQUEST_TIMEOUT', details: { timeoutMs: 1000 } });
    await time.advance(1000);
    await failed;
    place('here');
    await settle();
    expect(sent).toEqual([]);
    expect(told).toEqual([' timed-out after 1000']);
    close();
  });

  it('that could not be sent fails with the reason, and waits no longer', async () => {
    const { requests, ask, told, close } = scene();
    requests.start('default', async () => 'here');
    await expect(ask('1', { leave: () => Promise.reject(new Error('no database')) })).rejects.toThrow('no database');
    expect([requests.count, told]).toEqual([0, ['1 given-up after 0']]);
    close();
  });

  it('is rejected by a stop, as are those that come later', async () => {
    const { requests, ask, told, close } = scene();
    requests.start('default', async () => 'here');
    const asked = ask('1');
    await settle();
    requests.stop();
    await expect(asked).rejects.toMatchObject({ code: 'HF_STOPPING', details: { activity: 'a request of card.charge' } });
    await expect(ask('2')).rejects.toMatchObject({ code: 'HF_STOPPING' });
    expect(told).toEqual(['1 given-up after 0']);
    close();
  });

  it('is refused in a unit, and above the limit, with nothing made', async () => {
    const { requests, ask, enter, sent, close } = scene(1);
    requests.start('default', async () => 'here');
    const waiting = ask('1');
    await expect(ask('2')).rejects.toMatchObject({ code: 'HF_REQUEST_LIMIT', details: { limit: 1 } });
    enter();
    await expect(ask('3')).rejects.toMatchObject({ code: 'HF_REQUEST_IN_TRANSACTION' });
    await settle();
    expect(sent).toEqual(['1 to here']);
    requests.stop();
    await expect(waiting).rejects.toMatchObject({ code: 'HF_STOPPING' });
    close();
  });
});

it('a reply that cannot be read, or says of nothing, is dropped', async () => {
  const { requests, reply, told, close } = scene();
  requests.start('default', async () => 'here');
  requests.receive({ attributes: 'no json', body: Buffer.from('') });
  requests.receive({ attributes: '{}', body: Buffer.from('') });
  reply(undefined, '1');
  expect(told).toEqual(['reply to undefined: unreadable', 'reply to undefined: unreadable', 'reply to undefined: nobody-waits']);
  close();
});
