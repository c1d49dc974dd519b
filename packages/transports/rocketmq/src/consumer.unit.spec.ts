import { Catcher, specOf } from '@holdfast-internal/test-support';
import { type DeadLetterReason, silentLogger, systemRandom, type TransportContext, VirtualTime } from '@holdfast/core';
import type { ReceivedMessage, RocketmqConsumer } from './client.port.js';
import { Consumer } from './consumer.js';
import { Names } from './names.js';
import type { Publisher } from './publisher.js';
import { settingsFrom } from './settings.js';

const SETTINGS = settingsFrom({ endpoint: 'a:1' });
const MESSAGE: ReceivedMessage = {
  topic: 't',
  id: 'm',
  group: undefined,
  body: Buffer.alloc(10),
  properties: new Map(),
  attempt: 1,
  at: new Date(0),
};

describe('a dead letter without a store', () => {
  it('is put away without its data for its size, and for nothing else that is said of it', async () => {
    const time = new VirtualTime();
    const put: number[] = [];
    const refusals = [new Error('not allowed'), new TypeError('Message body size exceeds the threshold, max size=5 bytes')];
    const publisher: Pick<Publisher, 'put'> = {
      put: async ({ body }) => {
        put.push(body.byteLength);
        const error = refusals.shift();
        return { outcome: error === undefined ? 'confirmed' : 'rejected', error };
      },
    };
    const acked: string[] = [];
    const messages = [MESSAGE];
    const ended = new Promise<never>(() => undefined);
    const opened: RocketmqConsumer = {
      lost: ended,
      end: async () => undefined,
      isOrdered: false,
      receive: async () => {
        const received = messages.splice(0);
        return received.length > 0 ? received : ended;
      },
      ack: async ({ id }) => void acked.push(id),
      keep: async () => undefined,
    };
    const failure = { code: 'X', message: 'no', fingerprint: 'f', stack: undefined } as DeadLetterReason['failure'];
    const deadLetter = { subscription: 'reader', attempts: 1, failure, at: new Date(0) };
    const failed: unknown[] = [];
    const catcher = new Catcher(1);
    catcher.handle = async (intake) => {
      const taken = await intake.take(undefined as never, 1);
      await intake.settle(taken.messages, { deadLetter }).catch(({ code, cause }) => void failed.push([code, (cause as Error).message]));
      return 'worked';
    };
    const consumer = new Consumer({
      context: {
        clock: time,
        scheduler: time,
        random: systemRandom,
        logger: silentLogger,
      } as Partial<TransportContext> as TransportContext,
      settings: SETTINGS,
      logger: silentLogger,
      client: { openConsumer: async () => opened, openProducer: () => Promise.reject(new Error('none')) },
      names: new Names(SETTINGS, 'scene'),
      publisher: publisher as Publisher,
      spec: specOf('reader'),
      sink: catcher,
    });
    await consumer.start({ timeoutMs: 1000, isFinal: () => false });
    await time.advance('1s');
    expect(failed).toEqual([['HF_BROKER_DEAD_LETTER', 'not allowed']]);
    expect([put, acked]).toEqual([[10, 10, 1], ['m']]);
  });
});
