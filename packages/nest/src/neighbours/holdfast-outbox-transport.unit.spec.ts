import type { Envelope, PublishOutcome, TransportCapabilities, TransportFactory } from '@holdfast/core';
import { HoldfastOutboxTransport, type OutboxTransportOptions } from './holdfast-outbox-transport.js';
import type { RelayedMessage } from './outbox-message.js';

/** What the package calls so; its relay looks with instanceof. */
class NonRetryableMessageError extends Error {
  override readonly name = 'NonRetryableMessageError';
}

const CAPABILITIES: TransportCapabilities = {
  persistent: true,
  readsLog: false,
  sharedSubscriptions: true,
  partitionedDelivery: false,
  fromEarliest: false,
  withoutStore: false,
  renamedSubscriptions: false,
  replies: false,
};

/** A broker that notes batches; `answer` gives their outcomes. */
class Broker {
  readonly batches: Envelope[][] = [];
  readonly calls: string[] = [];
  answer: (envelope: Envelope) => PublishOutcome | Promise<PublishOutcome> = () => 'confirmed';
  start: () => Promise<void> = async () => undefined;

  get factory(): TransportFactory {
    return {
      transport: 'noted',
      capabilities: CAPABILITIES,
      create: () => {
        this.calls.push('create');
        return {
          capabilities: CAPABILITIES,
          isBusy: false,
          health: { status: 'up', problem: undefined },
          start: async () => {
            this.calls.push('start');
            await this.start();
          },
          publish: async (batch) => {
            this.batches.push([...batch]);
            return Promise.all(batch.map(this.answer));
          },
          subscribe: async () => undefined,
          openReplies: async () => '',
          nudge: () => undefined,
          drain: async () => undefined,
          close: async (ms) => void this.calls.push(`close ${ms}`),
        };
      },
    };
  }
}

const message = (id: string, also: Partial<RelayedMessage> = {}): RelayedMessage => ({
  id,
  topic: 'order.placed',
  key: null,
  headers: {},
  createdAt: 1_700_000_000_000,
  payload: { n: 1 },
  ...also,
});

describe('HoldfastOutboxTransport', () => {
  let broker: Broker;
  const made = (also: Partial<OutboxTransportOptions> = {}) =>
    new HoldfastOutboxTransport({ service: 'orders', transport: broker.factory, nonRetryable: NonRetryableMessageError, ...also });
  const errorOf = (work: Promise<void>) =>
    work.then(
      () => undefined,
      (error: Error & { code?: string; cause?: unknown }) => error,
    );

  beforeEach(() => {
    broker = new Broker();
  });

  it('publishes a message with its id, and topic, key, headers, time and payload in their places', async () => {
    await made().publish(message('m-1', { key: 'o-1', headers: { tenant: 'a' } }));
    const [envelope] = broker.batches[0] ?? [];
    expect({ ...envelope, headers: { ...envelope?.headers }, body: Buffer.from(envelope?.body ?? []).toString() }).toMatchObject({
      id: 'm-1',
      source: 'orders',
      type: 'order.placed',
      version: 1,
      key: 'o-1',
      kind: 'event',
      headers: { tenant: 'a' },
      time: new Date(1_700_000_000_000),
      body: '{"n":1}',
    });
  });

  it('makes one batch of the calls of one turn, also of those that come a few promises later, and gives each its own outcome', async () => {
    broker.answer = ({ id }) => (id === 'b' ? 'unroutable' : 'confirmed');
    const transport = made();
    const later = async (id: string) => {
      for (let turns = 0; turns < 5; turns += 1) await undefined;
      await transport.publish(message(id));
    };
    const ends = await Promise.allSettled([transport.publish(message('a')), transport.publish(message('b')), later('c')]);
    expect(broker.batches.map((batch) => batch.map(({ id }) => id))).toEqual([['a', 'b', 'c']]);
    expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
    await transport.publish(message('d'));
    expect(broker.batches).toHaveLength(2);
    expect(broker.calls).toEqual(['create', 'start']);
  });

  it.each<[PublishOutcome, string]>([
    ['unroutable', 'order.placed m-1 was not published: nobody has subscribed to it'],
    ['rejected', 'order.placed m-1 was not published: the broker has refused it'],
  ])('refuses for good what is %s, with the class of the package', async (outcome, text) => {
    broker.answer = () => outcome;
    const error = await errorOf(made().publish(message('m-1')));
    expect(error).toBeInstanceOf(NonRetryableMessageError);
    expect(error?.message).toBe(text);
    expect(error?.cause).toMatchObject({ code: 'HF_PUBLISH_FAILED', details: { outcome } });
  });

  it('has an error of the same name where no class is given', async () => {
    broker.answer = () => 'rejected';
    expect((await errorOf(made({ nonRetryable: undefined }).publish(message('m-1'))))?.name).toBe('NonRetryableMessageError');
  });

  it('says of an unknown outcome that another attempt is worth it', async () => {
    broker.answer = () => 'unknown';
    const error = await errorOf(made().publish(message('m-1')));
    expect(error).toMatchObject({ code: 'HF_PUBLISH_FAILED', retryable: true });
    expect(error?.name).not.toBe('NonRetryableMessageError');
  });

  it.each<[string, Partial<RelayedMessage>, string]>([
    ['an empty topic', { topic: '' }, 'The type of a message cannot be used: it is empty'],
    ['a key that is too long', { key: 'k'.repeat(256) }, 'The ordering key cannot be used'],
    ['no payload', { payload: undefined }, 'it has no payload'],
    ['a payload without a form in JSON', { payload: { n: 1n } }, 'its payload has no form in JSON'],
    ['a payload that is too large', { payload: 'x'.repeat(200) }, 'has 202 bytes, the limit is 100'],
    ['a time that is none', { createdAt: Number.NaN }, 'The attribute time of a message cannot be read: it is NaN'],
    ['a header with a long name', { headers: { ['n'.repeat(241)]: 'x' } }, 'its name has 241 bytes, the limit is 240'],
    ['a header that is no text', { headers: { n: 1 } as never }, 'The headers of a message cannot be used'],
  ])('refuses for good a message with %s, and publishes the others of its turn', async (_what, also, text) => {
    const transport = made({ limits: { bodyBytes: 100 } });
    const [bad, good] = await Promise.all([errorOf(transport.publish(message('bad', also))), errorOf(transport.publish(message('good')))]);
    expect(bad).toBeInstanceOf(NonRetryableMessageError);
    expect(bad?.message).toContain(text);
    expect(good).toBeUndefined();
    expect(broker.batches.flat().map(({ id }) => id)).toEqual(['good']);
  });

  it('gives up waiting when the signal ends; what had not left then does not leave', async () => {
    const transport = made();
    let go: () => void = () => undefined;
    broker.start = () => new Promise((resolve) => (go = resolve));
    const stop = new AbortController();
    const given = [transport.publish(message('a'), { signal: stop.signal }), transport.publish(message('b'))];
    await new Promise((resolve) => setImmediate(resolve));
    stop.abort(new Error('too long'));
    expect((await errorOf(given[0] as Promise<void>))?.message).toBe('too long');
    expect((await errorOf(transport.publish(message('c'), { signal: stop.signal })))?.message).toBe('too long');
    go();
    await given[1];
    expect(broker.batches.flat().map(({ id }) => id)).toEqual(['b']);
  });

  it('tries again with a new transport after one that could not start', async () => {
    const transport = made();
    broker.start = async () => {
      throw new Error('no broker');
    };
    const ends = await Promise.all([errorOf(transport.publish(message('a'))), errorOf(transport.publish(message('b')))]);
    expect(ends.map((error) => error?.message)).toEqual(['no broker', 'no broker']);
    broker.start = async () => undefined;
    await transport.publish(message('a'));
    expect(broker.calls).toEqual(['create', 'start', 'create', 'close 0', 'start']);
  });

  it('rejects all of a batch when the transport itself fails, worth another attempt', async () => {
    broker.answer = () => {
      throw new Error('a bug');
    };
    const transport = made();
    const ends = await Promise.all([errorOf(transport.publish(message('a'))), errorOf(transport.publish(message('b')))]);
    expect(ends.map((error) => error?.message)).toEqual(['a bug', 'a bug']);
  });

  it('is closed once, with the application, and publishes nothing after that', async () => {
    const Bound = HoldfastOutboxTransport.with({ service: 'orders', transport: broker.factory });
    const transport = new Bound();
    await transport.publish(message('a'));
    await Promise.all([transport.onApplicationShutdown(), transport.close()]);
    expect(broker.calls).toEqual(['create', 'start', 'close 10000']);
    expect(await errorOf(transport.publish(message('b')))).toMatchObject({ code: 'HF_STOPPING' });
    expect(broker.batches).toHaveLength(1);
  });

  it('is refused with everything that is wrong', () => {
    const factory = (capabilities: Partial<TransportCapabilities>) => ({
      ...broker.factory,
      capabilities: { ...CAPABILITIES, ...capabilities },
    });
    const problems = (options: unknown) => {
      try {
        new HoldfastOutboxTransport(options as OutboxTransportOptions);
      } catch (error) {
        return (error as Error).message;
      }
      return 'accepted';
    };
    const all = problems({ service: '', transport: () => undefined, nonRetryable: 'NonRetryableMessageError' });
    for (const name of ['service is ', 'transport is ', 'nonRetryable is NonRetryableMessageError; give the class'])
      expect(all).toContain(name);
    expect(problems({ service: 'orders', transport: factory({ readsLog: true }) })).toContain('the transport noted reads its own log');
    expect(problems({ service: 'orders', transport: factory({}) })).toBe('accepted');
  });
});
