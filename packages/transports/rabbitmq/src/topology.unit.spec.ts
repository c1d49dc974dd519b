import { specOf } from '@holdfast-internal/test-support';
import { type Logger, silentLogger } from '@holdfast/core';
import type { Channel } from 'amqplib';
import type { Connection } from './connection.js';
import { settingsFrom } from './settings.js';
import { Topology } from './topology.js';

describe('bindings that nobody needs', () => {
  it('are removed one after another, each with the time of an answer for itself', async () => {
    const transcript: string[] = [];
    const channel = {
      checkQueue: async (queue: string) => void transcript.push(`is there: ${queue}`),
      unbindQueue: async (_: string, exchange: string, key: string) => void transcript.push(`unbind ${key} from ${exchange}`),
    } as unknown as Channel;
    const answer = async <T>(request: string, answered: Promise<T>) => {
      await answered;
      transcript.push(`answered: ${request}`);
    };
    const connection = { openChannel: async () => ({ channel, answer, end: async () => undefined }) } as unknown as Connection;
    const topology = new Topology(settingsFrom({ url: 'amqp://127.0.0.1' }), 'shop', silentLogger);
    await topology.unbind(connection, { name: 'reader', ordering: 'none', types: ['a', 'b'] });
    expect(transcript).toEqual([
      'is there: holdfast/shop/reader',
      'answered: the queue holdfast/shop/reader',
      'unbind a.* from holdfast',
      'answered: the end of a binding',
      'unbind b.* from holdfast',
      'answered: the end of a binding',
    ]);
  });
});

/** A connection to a broker of a version, which refuses what it is told to; with what was declared on it, by name, and all that was asked on each channel. */
function brokerOf(version: string, refusals: Readonly<Record<string, number>> = {}) {
  const declared = new Map<string, unknown>();
  const channels: string[][] = [];
  const refuse = (call: string) => {
    const code = refusals[call];
    if (code !== undefined) throw Object.assign(new Error(`with message "refused ${call}"`), { code });
  };
  const open = async () => {
    const calls: string[] = [];
    channels.push(calls);
    const channel = {
      checkExchange: async (name: string) => {
        calls.push(`see ${name}`);
        refuse('checkExchange');
      },
      checkQueue: async (name: string) => {
        calls.push(`see ${name}`);
        refuse('checkQueue');
      },
      assertExchange: async (name: string) => {
        calls.push(`declare ${name}`);
        refuse('assertExchange');
        declared.set(name, undefined);
      },
      assertQueue: async (name: string, options: { readonly arguments: unknown }) => {
        calls.push(`declare ${name}`);
        refuse('assertQueue');
        declared.set(name, options.arguments);
      },
      bindQueue: async () => undefined,
    };
    return { channel, answer: (_: string, answered: Promise<unknown>) => answered, end: async () => undefined };
  };
  return { declared, channels, connection: { version, openChannel: open } as unknown as Connection };
}

const topologyWith = (topology: 'assert' | 'check' | 'none', logger: Logger = silentLogger) =>
  new Topology(settingsFrom({ url: 'amqp://127.0.0.1', topology }), 'shop', logger);

describe('the arguments of queues', () => {
  const quorum = { 'x-queue-type': 'quorum' };
  const deadLetters = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': 'holdfast/shop:dead/reader' };

  it.each([
    ['3.10.8', {}],
    ['3.13.7', {}],
    ['4.0.0', { 'x-delivery-limit': -1 }],
    ['4.3.1', { 'x-delivery-limit': -1 }],
    ['10.0.0', { 'x-delivery-limit': -1 }],
  ])('lift the delivery limit where there is one, and are compared with what is there: version %s', async (version, limit) => {
    for (const topology of ['assert', 'check'] as const) {
      const { connection, declared } = brokerOf(version, topology === 'assert' ? { checkQueue: 404 } : {});
      await topologyWith(topology).ensure(connection, [specOf('reader')]);
      expect(Object.fromEntries(declared)).toEqual({
        holdfast: undefined,
        'holdfast/shop:dead/reader': { ...quorum, ...limit },
        'holdfast/shop/reader': { ...quorum, ...limit, ...deadLetters },
      });
    }
  });

  it("are not compared with topology 'none'", async () => {
    const { connection, declared } = brokerOf('4.0.0');
    await topologyWith('none').ensure(connection, [specOf('reader')]);
    expect(declared.size).toBe(0);
  });
});

describe("topology 'check'", () => {
  it('declares nothing that is not there', async () => {
    const { connection, declared } = brokerOf('4.0.0', { checkExchange: 404, checkQueue: 404 });
    await expect(topologyWith('check').ensure(connection, [specOf('reader')])).rejects.toMatchObject({ code: 'HF_BROKER_TOPOLOGY' });
    expect(declared.size).toBe(0);
  });

  it('compares what it has just seen, on the same channel, at the start alone', async () => {
    const { connection, channels } = brokerOf('4.0.0');
    const topology = topologyWith('check');
    await topology.ensure(connection, [specOf('reader')]);
    const names = ['holdfast', 'holdfast/shop:dead/reader', 'holdfast/shop/reader'];
    expect(channels).toEqual(names.map((name) => [`see ${name}`, `declare ${name}`]));
    channels.length = 0;
    await topology.restore(connection, specOf('reader'));
    expect(channels).toEqual(names.map((name) => [`see ${name}`]));
  });

  it('goes on where it may not declare, and says so', async () => {
    const warnings: unknown[] = [];
    const { connection } = brokerOf('4.0.0', { assertQueue: 403 });
    const topology = topologyWith('check', { ...silentLogger, warn: (_, fields) => void warnings.push(fields) });
    await topology.ensure(connection, [specOf('reader')]);
    await topology.restore(connection, specOf('reader'));
    expect(warnings).toEqual([{ what: 'the queue holdfast/shop:dead/reader, the queue holdfast/shop/reader', right: 'configure' }]);
  });

  it('is refused where what is there is different, and goes on when it comes back to it', async () => {
    const { connection, declared } = brokerOf('4.0.0', { assertQueue: 406 });
    await expect(topologyWith('check').ensure(connection, [specOf('reader')])).rejects.toMatchObject({
      code: 'HF_BROKER_TOPOLOGY',
      details: { problems: [expect.stringContaining('refused assertQueue'), expect.stringContaining('refused assertQueue')] },
    });
    declared.clear();
    await topologyWith('check').restore(connection, specOf('reader'));
    expect(declared.size).toBe(0);
  });

  it('makes nothing again that was deleted since the start', async () => {
    const { connection, declared } = brokerOf('4.0.0', { checkQueue: 404 });
    await expect(topologyWith('check').restore(connection, specOf('reader'))).rejects.toMatchObject({ code: 'HF_BROKER_TOPOLOGY' });
    expect(declared.size).toBe(0);
  });
});
