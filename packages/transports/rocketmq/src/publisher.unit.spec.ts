import { envelopeOf } from '@holdfast-internal/test-support';
import { hfError, type PublishOutcome, seededRandom, silentLogger, VirtualTime } from '@holdfast/core';
import type { RocketmqClient } from './client.port.js';
import { Names } from './names.js';
import { Publisher } from './publisher.js';
import { settingsFrom } from './settings.js';
import type { RocketmqTopology } from './topology.js';

/** A publisher to a broker that confirms everything and has one topic. What becomes of a look for others is to be said. */
async function scene(look: (topics: readonly string[]) => Promise<ReadonlySet<string>>, send: () => Promise<void> = async () => undefined) {
  const time = new VirtualTime();
  const settings = settingsFrom({ endpoint: 'a:1', confirmTimeout: '5s' });
  const names = new Names(settings, 'scene');
  const sent: string[] = [];
  const client: Partial<RocketmqClient> = {
    openProducer: async () => ({
      lost: new Promise(() => undefined),
      end: async () => undefined,
      send: async ({ body }) => {
        await send();
        sent.push(String(body));
      },
    }),
  };
  const isKnown = (topic: string) => topic === names.topicOf('scene.happened');
  const topology: Pick<RocketmqTopology, 'isKnown' | 'missing'> = {
    isKnown,
    missing: async (wanted) => ([...wanted.keys()].every(isKnown) ? new Set() : look([...wanted.keys()])),
  };
  const publisher = new Publisher({
    context: { scheduler: time, random: seededRandom(1), clock: time },
    settings,
    logger: silentLogger,
    client: client as RocketmqClient,
    names,
    topology: topology as RocketmqTopology,
  });
  await publisher.start({ timeoutMs: 1000, isFinal: () => false });
  const publish = async (...types: readonly string[]) => {
    let outcomes: readonly PublishOutcome[] | undefined;
    const all = publisher.publish(types.map((type, n) => envelopeOf(`${type} ${n}`, { type, key: `${n}` })));
    void all.then((found) => {
      outcomes = found;
    });
    await time.advance(0);
    return { soon: outcomes, late: all };
  };
  return { sent, publish, publisher, topic: names.topicOf('scene.happened') };
}

describe('a message whose topic is not known yet', () => {
  it('is unknown when that cannot be found out, and the others that were published with it are sent', async () => {
    const { publish, sent } = await scene(() => Promise.reject(new Error('no answer')));
    expect((await publish('scene.happened', 'scene.new')).soon).toEqual(['confirmed', 'unknown']);
    expect(sent).toEqual(['scene.happened 0']);
  });

  it('holds up nothing else while it is found out', async () => {
    let answer: (missing: ReadonlySet<string>) => void = () => undefined;
    const { publish, sent } = await scene(
      () =>
        new Promise((resolve) => {
          answer = resolve;
        }),
    );
    const { late } = await publish('scene.happened', 'scene.new');
    expect(sent).toEqual(['scene.happened 0']);
    answer(new Set());
    expect(await late).toEqual(['confirmed', 'confirmed']);
    expect(sent).toEqual(['scene.happened 0', 'scene.new 1']);
  });
});

describe('a message whose topic cannot be made', () => {
  it('is rejected by itself', async () => {
    const { publish, sent } = await scene(async (topics) => {
      if (topics.some((topic) => topic.endsWith('bad'))) throw hfError('HF_BROKER_TOPOLOGY', { problems: ['no'] });
      return new Set();
    });
    expect((await publish('scene.bad', 'scene.new')).soon).toEqual(['rejected', 'confirmed']);
    expect(sent).toEqual(['scene.new 1']);
  });
});

describe('what is no message of the bus', () => {
  it('is published with the reason why it is not taken', async () => {
    const error = new TypeError('Message body size exceeds the threshold, max size=5 bytes');
    const { publisher, topic } = await scene(
      async () => new Set(),
      () => Promise.reject(error),
    );
    const message = { topic, group: undefined, body: Buffer.alloc(10), properties: new Map<string, string>(), keys: [] };
    expect(await publisher.put(message)).toEqual({ outcome: 'rejected', error });
  });
});
