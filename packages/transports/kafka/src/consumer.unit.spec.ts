import { Catcher, specOf } from '@holdfast-internal/test-support';
import { type DeadLetterReason, seededRandom, silentLogger, type TransportContext, VirtualTime } from '@holdfast/core';
import type { ConsumerOptions, KafkaAdmin, KafkaClient, Position, ReceivedRecord } from './client.port.js';
import { Consumer } from './consumer.js';
import { Names } from './names.js';
import { ProducerSlots } from './producer-slots.js';
import type { Publisher } from './publisher.js';
import { settingsFrom } from './settings.js';
import { NOTHING_IN_HAND, type Topics } from './topics.js';

const TOPIC = 'holdfast.scene.happened';
const TERMS = { timeoutMs: 10_000, isFinal: () => false };

/** A consumer on a client that does what it is told, and notes what it is asked. */
class Bench {
  readonly time = new VirtualTime();
  readonly commits: Position[][] = [];
  readonly pauses: string[] = [];
  readonly catcher: Catcher;
  readonly consumer: Consumer;
  readonly options: ConsumerOptions[] = [];
  /** Where what is missing was to begin. */
  readonly ensured: string[] = [];
  left: readonly Position[] = [];
  private partitions: readonly number[] = [];
  commit = async (_positions: readonly Position[]): Promise<void> => undefined;
  lose: (reason: unknown) => void = () => undefined;
  put: Publisher['put'] = () => Promise.reject(new Error('none'));
  openTransactions: KafkaClient['openTransactions'] = () => Promise.reject(new Error('none'));

  constructor(spec = specOf('reader')) {
    this.catcher = new Catcher(spec.batchSize);
    const context = {
      clock: this.time,
      scheduler: this.time,
      random: seededRandom(1),
      logger: silentLogger,
    } as Partial<TransportContext> as TransportContext;
    this.consumer = new Consumer({
      context,
      settings: settingsFrom({ brokers: ['a:1'] }),
      logger: silentLogger,
      client: this.client(),
      names: new Names({ prefix: 'holdfast.', topics: {} }, 'scene'),
      topics: { ensure: async (specs) => void this.ensured.push(...specs.map(({ from }) => from)) } as Partial<Topics> as Topics,
      publisher: { put: (record) => this.put(record) } as Partial<Publisher> as Publisher,
      slots: new ProducerSlots(1),
      spec,
      sink: this.catcher,
    });
  }

  /** Starts it, with these partitions. */
  async start(...partitions: readonly number[]): Promise<void> {
    this.partitions = partitions;
    await this.consumer.start(TERMS);
    await this.time.advance(0);
  }

  join(memberId: string, ...partitions: readonly number[]): void {
    this.options.at(-1)?.joined({ memberId, places: partitions.map((partition) => ({ topic: TOPIC, partition })) });
  }

  /** Reads `count` records of a partition, from an offset on. */
  async read(partition: number, from: number, { count = 1, bytes = 10 } = {}): Promise<void> {
    const records = Array.from({ length: count }, (_, n): ReceivedRecord => {
      const value = Buffer.from(`${partition}/${from + n}`.padEnd(bytes));
      return { topic: TOPIC, partition, offset: BigInt(from + n), key: null, value, headers: {}, at: new Date(0) };
    });
    this.options.at(-1)?.received(records);
    await this.time.advance(0);
  }

  get texts(): string[] {
    return this.catcher.texts.map((text) => text.trim());
  }

  get committed(): string[] {
    return this.commits.flat().map(({ partition, offset, note }) => `${partition}:${offset}${note === undefined ? '' : ` ${note}`}`);
  }

  private client(): KafkaClient {
    return {
      openProducer: () => Promise.reject(new Error('none')),
      openTransactions: (options) => this.openTransactions(options),
      setPositions: () => Promise.reject(new Error('none')),
      administer: async (work) =>
        work({
          positions: async () => this.left,
          settledPosition: async () => undefined,
          ends: async () => [],
        } as Partial<KafkaAdmin> as KafkaAdmin),
      openConsumer: async (options) => {
        this.options.push(options);
        this.join('member', ...this.partitions);
        const lost = new Promise<unknown>((resolve) => {
          this.lose = resolve;
        });
        return {
          heardMs: this.time.monotonicMs(),
          lost,
          end: async () => this.lose('ended'),
          commit: async (positions) => {
            await this.commit(positions);
            this.commits.push([...positions]);
          },
          setPaused: (places, isPaused) =>
            void this.pauses.push(...places.map(({ partition }) => `${isPaused ? 'pause' : 'resume'} ${partition}`)),
        };
      },
    };
  }
}

describe('a consumer', () => {
  it('commits where everything before is settled, and together what was settled while it committed', async () => {
    const bench = new Bench();
    const holds: (() => void)[] = [];
    bench.catcher.work = () => new Promise<void>((resolve) => void holds.push(resolve));
    await bench.start(0);
    await bench.read(0, 10, { count: 3 });
    holds[1]?.();
    await bench.time.advance(0);
    expect(bench.committed).toEqual(['0:10']);
    holds[0]?.();
    holds[2]?.();
    await bench.time.advance(0);
    expect(bench.committed.at(-1)).toBe('0:13');
  });

  it('stops fetching a partition of which a thousand records or a megabyte are in hand, and goes on at half of it', async () => {
    const bench = new Bench(specOf('reader', { concurrency: 1, batchSize: 100 }));
    await bench.start(0, 1, 2);
    bench.catcher.pause(true);
    await bench.read(0, 0, { count: 999 });
    await bench.read(1, 0, { count: 999, bytes: 1100 });
    expect(bench.pauses).toEqual(['pause 1']);
    await bench.read(0, 999);
    expect(bench.pauses).toEqual(['pause 1', 'pause 0']);
    bench.catcher.pause(false);
    await bench.time.advance('1s');
    expect(bench.texts).toHaveLength(1999);
    expect(bench.pauses.slice(2).sort()).toEqual(['resume 0', 'resume 1']);
  });

  it('takes what it has already read no second time, and tells again what is paused, when partitions are given anew', async () => {
    const bench = new Bench();
    await bench.start(0);
    bench.catcher.pause(true);
    await bench.read(0, 0, { count: 1000 });
    bench.join('member', 0, 1);
    await bench.read(0, 0, { count: 1000 });
    expect(bench.pauses).toEqual(['pause 0', 'pause 0', 'resume 1']);
    bench.catcher.pause(false);
    await bench.time.advance('1s');
    expect(bench.texts).toEqual(Array.from({ length: 1000 }, (_, n) => `0/${n}`));
  });

  it('goes on fetching what was paused when partitions were given anew, and what was lost while it was paused and has come back', async () => {
    const bench = new Bench(specOf('reader', { concurrency: 1, batchSize: 100 }));
    await bench.start(0, 1);
    bench.catcher.pause(true);
    await bench.read(0, 0, { count: 1000 });
    await bench.read(1, 0, { count: 1000 });
    bench.join('member', 0);
    bench.catcher.pause(false);
    await bench.time.advance('1s');
    bench.join('member', 0, 1);
    expect(bench.texts).toHaveLength(1000);
    const isPaused = new Map(bench.pauses.map((told) => told.split(' ').reverse() as [string, string]));
    expect([...isPaused]).toEqual([
      ['0', 'resume'],
      ['1', 'resume'],
    ]);
  });

  it('takes nothing a second time of what a group reads again that was asked before a commit had come to it', async () => {
    const bench = new Bench(specOf('reader', { concurrency: 1 }));
    await bench.start(0);
    await bench.read(0, 0, { count: 3 });
    expect(bench.committed.at(-1)).toBe('0:3');
    bench.join('member', 0);
    const holds: (() => void)[] = [];
    bench.catcher.work = () => new Promise<void>((resolve) => void holds.push(resolve));
    await bench.read(0, 3, { count: 2 });
    bench.join('member', 0);
    holds[0]?.();
    await bench.time.advance(0);
    expect(bench.committed.at(-1)).toBe('0:4');
    await bench.read(0, 3, { count: 4 });
    for (let n = 1; n < 4; n += 1) {
      holds[n]?.();
      await bench.time.advance(0);
    }
    expect(bench.texts).toEqual([0, 1, 2, 3, 4, 5, 6].map((n) => `0/${n}`));
  });

  it('does not settle a record of a topic that was made anew when the one that was there before is done', async () => {
    const bench = new Bench(specOf('reader', { concurrency: 1 }));
    await bench.start(0);
    await bench.read(0, 0, { count: 5 });
    const holds: (() => void)[] = [];
    bench.catcher.work = () => new Promise<void>((resolve) => void holds.push(resolve));
    await bench.read(0, 5);
    await bench.read(0, 0, { count: 7 });
    holds[0]?.();
    for (let n = 1; n < 8; n += 1) {
      await bench.time.advance(0);
      holds[n]?.();
    }
    await bench.time.advance(0);
    expect(bench.texts.slice(6)).toEqual([0, 1, 2, 3, 4, 5, 6].map((n) => `0/${n}`));
  });

  it('begins anew where it is set back behind what it has committed, with nothing of what it had', async () => {
    const bench = new Bench(specOf('reader', { concurrency: 1 }));
    await bench.start(0);
    await bench.read(0, 0, { count: 5 });
    bench.catcher.pause(true);
    await bench.read(0, 5, { count: 5 });
    expect(bench.committed.at(-1)).toBe('0:5');
    await bench.read(0, 3, { count: 1 });
    bench.catcher.pause(false);
    await bench.time.advance(0);
    expect(bench.texts.slice(5)).toEqual(['0/3']);
    expect(bench.committed.at(-1)).toBe('0:4');
  });

  it.each([
    ['a partition that it has lost', ['member', 1]],
    ['a group that had forgotten it', ['other', 0, 1]],
  ] as const)('says nothing of what it had of %s, and does not begin with it', async (_, [memberId, ...partitions]) => {
    const bench = new Bench(specOf('reader', { concurrency: 1 }));
    let finish = (): void => undefined;
    bench.catcher.work = () =>
      new Promise<void>((resolve) => {
        finish = resolve;
      });
    await bench.start(0, 1);
    await bench.read(0, 5, { count: 3 });
    expect(bench.texts).toEqual(['0/5']);
    bench.commits.length = 0;
    bench.join(memberId, ...partitions);
    finish();
    await bench.time.advance(0);
    expect(bench.texts).toEqual(['0/5']);
    expect(bench.committed).toEqual([]);
  });

  it('takes away the word that nothing was in hand before it begins, and waits until that is known', async () => {
    const bench = new Bench();
    bench.left = [{ topic: TOPIC, partition: 0, offset: 7n, note: NOTHING_IN_HAND }];
    bench.commit = () => Promise.reject(new Error('the coordinator is not available'));
    await bench.start(0);
    await bench.read(0, 7);
    await bench.time.advance('1s');
    expect(bench.texts).toEqual([]);
    bench.commit = async () => undefined;
    await bench.time.advance('1s');
    expect(bench.committed).toEqual(['0:7', '0:8']);
    expect(bench.catcher.caught.map(({ isRedelivery }) => isRedelivery)).toEqual([false]);
  });

  it('suspects as many as could have been in work where nobody said that nothing was', async () => {
    const bench = new Bench(specOf('reader', { concurrency: 2, batchSize: 1 }));
    bench.left = [{ topic: TOPIC, partition: 0, offset: 7n }];
    await bench.start(0);
    await bench.read(0, 7, { count: 4 });
    expect(bench.catcher.caught.map(({ isRedelivery }) => isRedelivery)).toEqual([true, true, false, false]);
  });

  it('leaves its word when it ends, also of what it has read nothing of, and not of what is still in work', async () => {
    const bench = new Bench();
    bench.left = [0, 1, 2].map((partition) => ({ topic: TOPIC, partition, offset: 3n, note: NOTHING_IN_HAND }));
    await bench.start(0, 1);
    await bench.read(0, 3);
    bench.commits.length = 0;
    await bench.consumer.drain();
    expect(bench.committed.sort()).toEqual([`0:4 ${NOTHING_IN_HAND}`, `1:3 ${NOTHING_IN_HAND}`]);
    await bench.consumer.stop();
  });

  it('tries again to commit what could not be committed', async () => {
    const bench = new Bench();
    await bench.start(0);
    bench.commit = () => Promise.reject(new Error('REBALANCE_IN_PROGRESS'));
    await bench.read(0, 0);
    expect(bench.committed).toEqual([]);
    bench.commit = async () => undefined;
    await bench.time.advance('1s');
    expect(bench.committed.at(-1)).toBe('0:1');
  });

  it('puts a dead letter away without its data for its size, and for nothing else that is said of it', async () => {
    const bench = new Bench();
    const put: number[] = [];
    const refusals = ['TOPIC_AUTHORIZATION_FAILED', 'MESSAGE_TOO_LARGE'];
    bench.put = async ({ value }) => {
      put.push(value?.byteLength ?? 0);
      const type = refusals.shift();
      return { outcome: type === undefined ? 'confirmed' : 'rejected', error: Object.assign(new Error(type), { type }) };
    };
    const failure = { code: 'X', message: 'no', fingerprint: 'f', stack: undefined } as DeadLetterReason['failure'];
    const deadLetter = { subscription: 'reader', attempts: 1, failure, at: new Date(0) };
    const failed: unknown[] = [];
    bench.catcher.handle = async (intake) => {
      const { messages } = await intake.take(undefined as never, 1);
      await intake.settle(messages, { deadLetter }).catch((error) => void failed.push(error.code));
      return 'worked';
    };
    await bench.start(0);
    await bench.read(0, 0);
    await bench.time.advance('1s');
    expect(failed).toEqual(['HF_BROKER_DEAD_LETTER']);
    expect(put).toEqual([10, 10, 0]);
  });

  it('reads a topic that was made anew since the start from its beginning', async () => {
    const bench = new Bench(specOf('reader', { from: 'now' }));
    await bench.start(0);
    expect(bench.ensured).toEqual(['earliest']);
  });

  it('is down while a partition cannot be taken over, which is tried after growing waits, until it is or belongs to somebody else', async () => {
    const bench = new Bench(specOf('reader', { transaction: { timeoutMs: 1000 } }));
    const tries: number[] = [];
    bench.openTransactions = () => {
      tries.push(bench.time.monotonicMs());
      return Promise.reject(new Error('not allowed'));
    };
    await bench.start(0);
    const problem = `the subscription reader: the partition ${TOPIC}/0 could not be taken over: not allowed`;
    expect(bench.consumer.health).toEqual({ status: 'down', problem });
    await bench.time.advance('9s');
    const waits = tries.slice(1).map((ms, n) => ms - (tries[n] as number));
    expect(waits).toEqual([300, 600, 1200, 2400]);
    bench.join('member');
    expect(bench.consumer.health.status).toBe('up');
    bench.join('member', 1);
    await bench.time.advance(0);
    expect(bench.consumer.health).toMatchObject({ status: 'down', problem: expect.stringContaining(`${TOPIC}/1`) });
    bench.openTransactions = async () => ({
      lost: new Promise(() => undefined),
      end: async () => undefined,
      transact: async () => undefined,
    });
    await bench.time.advance('300ms');
    expect(bench.consumer.health.status).toBe('up');
  });

  it('is opened again when it is lost, and down until then', async () => {
    const bench = new Bench();
    await bench.start(0);
    expect(bench.consumer.health).toEqual({ status: 'up', problem: undefined });
    bench.lose(new Error('crashed'));
    await bench.time.advance(0);
    expect(bench.consumer.health).toEqual({ status: 'down', problem: 'the subscription reader: crashed' });
    await bench.time.advance('2s');
    await bench.read(0, 0);
    expect(bench.texts).toEqual(['0/0']);
    expect(bench.consumer.health.status).toBe('up');
    await bench.time.advance('11s');
    expect(bench.consumer.health).toMatchObject({ status: 'down', problem: expect.stringMatching(/has not been heard of for 1\d s/) });
  });
});
