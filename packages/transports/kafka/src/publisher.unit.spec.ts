import { envelopeOf } from '@holdfast-internal/test-support';
import { type Envelope, hfError, type PublishOutcome, seededRandom, silentLogger, VirtualTime } from '@holdfast/core';
import type { KafkaClient, OutgoingRecord } from './client.port.js';
import { Names } from './names.js';
import { Publisher } from './publisher.js';
import { settingsFrom } from './settings.js';
import type { Topics } from './topics.js';

const PREFIX = 'holdfast.';
const KNOWN = `${PREFIX}scene.happened`;

/** A publisher to a broker with one topic, which confirms everything. What becomes of a look for others is to be said. */
class Bench {
  readonly time = new VirtualTime();
  readonly sent: string[] = [];
  readonly looks: string[] = [];
  private readonly known = new Set([KNOWN]);
  /** Seen to be there by any look, whatever becomes of it. */
  readonly there = new Set<string>();
  private lose: () => void = () => undefined;
  private readonly lost = new Promise<void>((resolve) => {
    this.lose = resolve;
  });
  readonly publisher: Publisher;
  look: (topics: readonly string[]) => Promise<readonly string[]> = () => Promise.reject(new Error('no answer'));
  send = async (_records: readonly OutgoingRecord[]): Promise<void> => undefined;

  constructor() {
    const settings = settingsFrom({ brokers: ['a:1'], confirmTimeout: '5s' });
    const client: Partial<KafkaClient> = {
      openProducer: async () => ({
        lost: this.lost,
        end: async () => this.lose(),
        send: async (records) => {
          await this.send(records);
          this.sent.push(...records.map(({ value }) => textOf(value)));
        },
      }),
    };
    const topics: Pick<Topics, 'isKnown' | 'missing' | 'forget'> = {
      isKnown: (topic) => this.known.has(topic),
      missing: async (wanted) => {
        const unknown = [...wanted.keys()].filter((topic) => !this.known.has(topic));
        if (unknown.length === 0) return new Set();
        this.looks.push(unknown.join());
        for (const topic of unknown) if (this.there.has(topic)) this.known.add(topic);
        const missing = new Set(await this.look(unknown));
        for (const topic of unknown) if (!missing.has(topic)) this.known.add(topic);
        return missing;
      },
      forget: () => undefined,
    };
    this.publisher = new Publisher({
      context: { scheduler: this.time, random: seededRandom(1), clock: this.time },
      settings,
      logger: silentLogger,
      client: client as KafkaClient,
      names: new Names(settings, 'scene'),
      topics: topics as Topics,
    });
  }

  async start(): Promise<this> {
    await this.publisher.start({ timeoutMs: 1000, isFinal: () => false });
    return this;
  }

  /** What is known of it when time has not moved on, and in the end. */
  async publish(
    ...batch: readonly Envelope[]
  ): Promise<{ soon: readonly PublishOutcome[] | undefined; late: Promise<readonly PublishOutcome[]> }> {
    let soon: readonly PublishOutcome[] | undefined;
    const late = this.publisher.publish(batch).then((outcomes) => {
      soon = outcomes;
      return outcomes;
    });
    await this.time.advance(0);
    return { soon, late };
  }
}

function textOf(value: Buffer | null): string {
  return String(value);
}

const known = (text: string, key?: string) => envelopeOf(text, { key });
const fresh = (text: string, key?: string, type = 'scene.new') => envelopeOf(text, { key, type });

describe('a message whose topic is not known yet', () => {
  it('is unknown when that cannot be found out, and the others that were published with it are sent', async () => {
    const bench = await new Bench().start();
    expect((await bench.publish(known('a'), fresh('new'))).soon).toEqual(['confirmed', 'unknown']);
    expect((await bench.publish(known('b'))).soon).toEqual(['confirmed']);
    expect(bench.sent).toEqual(['a', 'b']);
  });

  it('holds up nothing else while it is found out, and keeps what is behind it in its key', async () => {
    const bench = await new Bench().start();
    let answer: (missing: readonly string[]) => void = () => undefined;
    bench.look = () =>
      new Promise((resolve) => {
        answer = resolve;
      });
    const first = await bench.publish(known('k1', 'k'), fresh('k2', 'k'), known('k3', 'k'), known('other', 'o'));
    expect((await bench.publish(known('b'))).soon).toEqual(['confirmed']);
    expect(bench.sent).toEqual(['k1', 'other', 'b']);
    answer([]);
    expect(await first.late).toEqual(['confirmed', 'confirmed', 'confirmed', 'confirmed']);
    expect(bench.sent.slice(3)).toEqual(['k2', 'k3']);
    expect(bench.looks).toHaveLength(1);
  });

  it('takes with it what is behind it in its key, and is not sent when something before it was not', async () => {
    const bench = await new Bench().start();
    expect((await bench.publish(known('k1', 'k'), fresh('k2', 'k'), known('k3', 'k'))).soon).toEqual(['confirmed', 'unknown', 'unknown']);
    expect(bench.sent).toEqual(['k1']);
    bench.look = async () => {
      await bench.time.sleep(1000);
      return [];
    };
    bench.send = () => Promise.reject(new Error('no answer'));
    expect((await bench.publish(known('k4', 'k'), fresh('k5', 'k'))).soon).toEqual(['unknown', 'unknown']);
  });

  it('leaves what is before it in its key, and waits to be sent', async () => {
    const bench = await new Bench().start();
    bench.send = () => bench.time.sleep(1000);
    const { late: before } = await bench.publish(known('a'));
    const { late } = await bench.publish(known('k1', 'k'), fresh('k2', 'k'));
    await bench.time.advance('2s');
    expect([await before, await late]).toEqual([['confirmed'], ['confirmed', 'unknown']]);
  });

  it('has nowhere to go when it is not there, and is rejected when it cannot be made, by itself', async () => {
    const bench = await new Bench().start();
    bench.look = async (topics) => topics;
    expect((await bench.publish(fresh('new'), known('a'))).soon).toEqual(['unroutable', 'confirmed']);
    bench.look = async (topics) => {
      if (topics.some((topic) => topic.endsWith('bad'))) throw hfError('HF_BROKER_TOPOLOGY', { problems: ['no'] });
      return [];
    };
    const batch = [fresh('bad 1', undefined, 'scene.bad'), fresh('good 1'), known('b')];
    expect((await bench.publish(...batch)).soon).toEqual(['rejected', 'confirmed', 'confirmed']);
  });

  it('is sent when it was seen to be there by a look that failed', async () => {
    const bench = await new Bench().start();
    bench.there.add(`${PREFIX}scene.there`);
    const batch = [fresh('there', undefined, 'scene.there'), fresh('new')];
    expect((await bench.publish(...batch)).soon).toEqual(['confirmed', 'unknown']);
  });

  it('is waited for no longer than any other', async () => {
    const bench = await new Bench().start();
    bench.look = () => new Promise(() => undefined);
    const { soon, late } = await bench.publish(fresh('new'), known('a'));
    expect(soon).toBeUndefined();
    await bench.time.advance('5s');
    expect(await late).toEqual(['unknown', 'confirmed']);
  });
});

describe('a publisher that ends', () => {
  it.each(['drain', 'stop'] as const)('sends nothing of which it has said that it is unknown, also without a key (%s)', async (end) => {
    const bench = await new Bench().start();
    bench.send = () => bench.time.sleep(1000);
    const { late: first } = await bench.publish(known('a'));
    const { late: behind } = await bench.publish(known('b'), known('c'), fresh('new'));
    const ended = bench.publisher[end]();
    await bench.time.advance(0);
    expect(await behind).toEqual(['unknown', 'unknown', 'unknown']);
    await bench.time.advance('5s');
    await ended;
    expect(await first).toEqual([end === 'drain' ? 'confirmed' : 'unknown']);
    expect(bench.sent).toEqual(['a']);
  });

  it('waits until what was refused together is answered by itself', async () => {
    const bench = await new Bench().start();
    bench.send = () => bench.time.sleep(1000);
    const { late: first } = await bench.publish(known('a'));
    const { late: together } = await bench.publish(known('b'), known('c'));
    bench.send = async (records) => {
      await bench.time.sleep(1000);
      if (records.length > 1) throw hfError('HF_BROKER_TOPOLOGY', { problems: ['no'] });
    };
    await bench.time.advance('1500ms');
    let isOver = false;
    const drained = bench.publisher.drain().then(() => {
      isOver = true;
    });
    await bench.time.advance('1s');
    expect(isOver).toBe(false);
    await bench.time.advance('2s');
    await drained;
    expect([await first, await together]).toEqual([['confirmed'], ['confirmed', 'confirmed']]);
  });
});
