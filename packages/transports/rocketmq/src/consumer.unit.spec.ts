import { Catcher, specOf } from '@holdfast-internal/test-support';
import { type DeadLetterReason, silentLogger, systemRandom, type TransportContext, VirtualTime } from '@holdfast/core';
import type { ReceivedMessage, RocketmqConsumer } from './client.port.js';
import { Consumer } from './consumer.js';
import { Names } from './names.js';
import type { Publisher } from './publisher.js';
import { settingsFrom } from './settings.js';

const SETTINGS = settingsFrom({ endpoint: 'a:1' });
/** That has not ended, and is not lost. */
const NEVER = new Promise<never>(() => undefined);

const messageOf = (id: string): ReceivedMessage => ({
  topic: 't',
  id,
  group: undefined,
  body: Buffer.from(id.padEnd(10)),
  properties: new Map(),
  attempt: 1,
  at: new Date(0),
});

/** A consumer that has started, on brokers that answer what they are told to. */
async function started({ receive, ack, brokers = ['a'], ...parts }: Brokers) {
  const time = new VirtualTime();
  const context: Partial<TransportContext> = { clock: time, scheduler: time, random: systemRandom, logger: silentLogger };
  const opened: RocketmqConsumer = {
    lost: NEVER,
    end: async () => undefined,
    isOrdered: false,
    brokers,
    receive,
    ack: async ({ id }) => void ack?.(id),
    keep: async ({ id }) => void parts.keep?.(id),
  };
  const catcher = new Catcher(1);
  if (parts.handle !== undefined) catcher.handle = parts.handle;
  const consumer = new Consumer({
    context: context as TransportContext,
    settings: SETTINGS,
    logger: silentLogger,
    client: { openConsumer: async () => opened, openProducer: () => Promise.reject(new Error('none')) },
    names: new Names(SETTINGS, 'scene'),
    publisher: { put: parts.put } as Partial<Publisher> as Publisher,
    spec: specOf('reader'),
    sink: catcher,
  });
  await consumer.start({ timeoutMs: 1000, isFinal: () => false });
  return { time, catcher, consumer };
}

/** What the brokers do, and what is done with what they give. */
interface Brokers extends Pick<RocketmqConsumer, 'receive'> {
  readonly brokers?: string[];
  readonly ack?: (id: string) => void;
  readonly keep?: (id: string) => void;
  readonly handle?: Catcher['handle'];
  readonly put?: Publisher['put'];
}

describe('a dead letter without a store', () => {
  it('is put away without its data for its size, and for nothing else that is said of it', async () => {
    const put: number[] = [];
    const refusals = [new Error('not allowed'), new TypeError('Message body size exceeds the threshold, max size=5 bytes')];
    const acked: string[] = [];
    const messages = [messageOf('m')];
    const failure = { code: 'X', message: 'no', fingerprint: 'f', stack: undefined } as DeadLetterReason['failure'];
    const deadLetter = { subscription: 'reader', attempts: 1, failure, at: new Date(0) };
    const failed: unknown[] = [];
    const { time } = await started({
      receive: async () => (messages.length > 0 ? messages.splice(0) : NEVER),
      ack: (id) => acked.push(id),
      put: async ({ body }) => {
        put.push(body.byteLength);
        const error = refusals.shift();
        return { outcome: error === undefined ? 'confirmed' : 'rejected', error };
      },
      handle: async (intake) => {
        const taken = await intake.take(undefined as never, 1);
        await intake.settle(taken.messages, { deadLetter }).catch(({ code, cause }) => void failed.push([code, (cause as Error).message]));
        return 'worked';
      },
    });
    await time.advance('1s');
    expect(failed).toEqual([['HF_BROKER_DEAD_LETTER', 'not allowed']]);
    expect([put, acked]).toEqual([[10, 10, 1], ['m']]);
  });
});

describe('a topic on several brokers', () => {
  it('is received from each of them, also while one has nothing, and from one that comes to have it', async () => {
    const messages = new Map(['busy', 'late'].map((name) => [name, Array.from({ length: 20 }, (_, n) => messageOf(`${name} ${n}`))]));
    const brokers = ['idle', 'busy'];
    const asked: (readonly [string, number])[] = [];
    const { time, catcher } = await started({
      brokers,
      receive: async (broker, limit) => {
        asked.push([broker, limit]);
        const found = messages.get(broker)?.splice(0, limit) ?? [];
        return found.length > 0 ? found : time.sleep(5000).then(() => []);
      },
    });
    await time.advance(0);
    expect(catcher.texts).toHaveLength(20);
    // Half of the room is kept for the one that has nothing.
    expect(asked.slice(0, 2)).toEqual([
      ['idle', 8],
      ['busy', 8],
    ]);
    expect(Math.max(...asked.map(([, limit]) => limit))).toBe(8);
    brokers.push('late');
    await time.advance('5s');
    expect(catcher.texts).toHaveLength(40);
  });

  it('is down while one of them does not answer, and is read from the others', async () => {
    let isHung = true;
    const messages = [messageOf('a')];
    const { time, catcher, consumer } = await started({
      brokers: ['hung', 'other'],
      receive: async (broker) => {
        if (broker === 'hung' && isHung) throw new Error('no answer');
        return broker === 'other' && messages.length > 0 ? messages.splice(0) : time.sleep(1000).then(() => []);
      },
    });
    await time.advance('2s');
    expect(catcher.texts.map((text) => text.trim())).toEqual(['a']);
    expect(consumer.health).toEqual({ status: 'down', problem: 'the subscription reader: no answer' });
    isHung = false;
    await time.advance('2s');
    expect(consumer.health.status).toBe('up');
  });

  it('is not down for one that did not answer and has it no more', async () => {
    const brokers = ['hung', 'other'];
    const { time, consumer } = await started({
      brokers,
      receive: async (broker) => {
        if (broker === 'hung') throw new Error('no answer');
        return time.sleep(1000).then(() => []);
      },
    });
    await time.advance('2s');
    expect(consumer.health.status).toBe('down');
    brokers.shift();
    await time.advance('2s');
    expect(consumer.health.status).toBe('up');
  });

  it('gets back at once what one of them still gives when nothing is taken any more', async () => {
    const kept: string[] = [];
    const { time, consumer } = await started({
      brokers: ['quick', 'slow'],
      receive: async (broker) => {
        await time.sleep(broker === 'quick' ? 1000 : 10_000);
        return broker === 'quick' ? [messageOf('a')] : [];
      },
      keep: (id) => kept.push(id),
    });
    await time.advance('500ms');
    const drained = consumer.drain();
    await time.advance('2s');
    expect(kept).toEqual(['a']);
    await time.advance('10s');
    await drained;
  });
});
