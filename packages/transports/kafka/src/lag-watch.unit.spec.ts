import { specOf } from '@holdfast-internal/test-support';
import { seededRandom, VirtualTime } from '@holdfast/core';
import type { KafkaAdmin, LeaderlessPartition, PartitionEnds, Place, Position } from './client.port.js';
import { lagIn, LagWatch } from './lag-watch.js';
import { Names } from './names.js';
import { settingsFrom } from './settings.js';

const endsOf = (partition: number, first: bigint, next: bigint): PartitionEnds => ({ topic: 't', partition, first, next });
const positionIn = (partition: number, offset: bigint): Position => ({ topic: 't', partition, offset });

describe('the lag of a group', () => {
  it.each<[string, readonly (PartitionEnds | LeaderlessPartition)[], readonly Position[], ReturnType<typeof lagIn>]>([
    [
      'is what is between its positions and the ends',
      [endsOf(0, 0n, 10n), endsOf(1, 0n, 5n), endsOf(2, 0n, 4n)],
      [positionIn(0, 9n), positionIn(1, 2n), positionIn(2, 4n)],
      { messages: 4, most: { place: 't/1', messages: 3 }, unknown: 0 },
    ],
    [
      'is all that is there where it stands nowhere',
      [endsOf(0, 7n, 10n)],
      [],
      { messages: 3, most: { place: 't/0', messages: 3 }, unknown: 0 },
    ],
    [
      'is what is left where records were deleted before they were read',
      [endsOf(0, 7n, 10n)],
      [positionIn(0, 2n)],
      { messages: 3, most: { place: 't/0', messages: 3 }, unknown: 0 },
    ],
    [
      'is nothing where it has gone on since, or the topic is new',
      [endsOf(0, 0n, 3n)],
      [positionIn(0, 8n)],
      { messages: 0, most: undefined, unknown: 0 },
    ],
    [
      'leaves out partitions of which nobody knows what they have',
      [endsOf(0, 0n, 2n), { topic: 't', partition: 1, first: undefined, next: undefined }],
      [positionIn(0, 1n)],
      { messages: 1, most: { place: 't/0', messages: 1 }, unknown: 1 },
    ],
    ['is nothing where there is nothing', [], [], { messages: 0, most: undefined, unknown: 0 }],
  ])('%s', (_, ends, positions, lag) => {
    expect(lagIn(ends, positions)).toEqual(lag);
  });
});

describe('a watch of lags', () => {
  /** One over a broker of which each topic has one partition with ten records. */
  function watching({ takesMs = 0 } = {}) {
    const time = new VirtualTime();
    const warnings: unknown[] = [];
    const asked: string[] = [];
    const broker = {
      isAway: false,
      hangs: false,
      admins: 0,
      failed: 0,
      leaderless: '',
      isAsked: () => {},
      stands: new Map<string, bigint>(),
    };
    /** As one of kafkajs: of all topics that it was asked for it asks anew. */
    const openAdmin = (topics: string[] = []): Partial<KafkaAdmin> => ({
      ends: async (topic) => {
        broker.isAsked();
        topics.push(topic);
        if (topics.includes(broker.leaderless)) throw new Error('There is no leader for this topic-partition');
        return [{ topic, partition: 0, first: 0n, next: 10n }];
      },
      positions: async (group: string, places: readonly Place[]) => {
        asked.push(group);
        await time.sleep(takesMs);
        if (broker.isAway) throw new Error('away');
        const offset = broker.stands.get(group);
        return offset === undefined ? [] : places.map((place) => ({ ...place, offset }));
      },
    });
    const watch = new LagWatch({
      context: {
        clock: time,
        scheduler: time,
        random: seededRandom(1),
        logger: { info: () => undefined, warn: (text, fields) => void warnings.push({ text, ...fields }), error: () => undefined },
      },
      settings: { requestTimeoutMs: 10_000 },
      intervalMs: 30_000,
      client: {
        administer: async (work) => {
          broker.admins += 1;
          if (broker.hangs) return new Promise(() => undefined);
          return work(openAdmin() as KafkaAdmin).catch((error: unknown) => {
            broker.failed += 1;
            throw error;
          });
        },
      },
      names: new Names(settingsFrom({ brokers: ['a:1'] }), 'shop'),
    });
    return { watch, time, broker, warnings, asked };
  }

  it('knows nothing at first, and asks again after each interval', async () => {
    const { watch, time, broker } = watching();
    watch.add(specOf('reader'));
    expect(watch.lags).toBeUndefined();
    await time.advance('30s');
    expect(watch.lags).toMatchObject([{ subscription: 'reader', messages: 10 }]);
    broker.stands.set('holdfast.shop/reader', 10n);
    await time.advance('30s');
    expect(watch.lags).toEqual([{ subscription: 'reader', messages: 0, most: undefined, unknown: 0, at: expect.any(Date) }]);
    expect(broker.admins).toBe(2);
    await watch.stop();
    await time.advance('5m');
    expect(broker.admins).toBe(2);
  });

  it('keeps what it knew while the broker is away, and says so once', async () => {
    const { watch, time, broker, warnings } = watching();
    watch.add(specOf('reader'));
    await time.advance('30s');
    const before = watch.lags;
    broker.isAway = true;
    await time.advance('3m');
    expect(watch.lags).toEqual(before);
    expect(warnings).toMatchObject([{ text: 'how far subscriptions are behind could not be counted; it is tried again' }]);
    broker.isAway = false;
    await time.advance('30s');
    expect(watch.lags?.[0]?.at).not.toEqual(before?.[0]?.at);
    broker.isAway = true;
    await time.advance('30s');
    expect(warnings).toHaveLength(2);
  });

  it('counts the others when one cannot be counted, for which no broker is to blame', async () => {
    const { watch, time, broker, warnings } = watching();
    for (const name of ['a', 'b', 'c']) watch.add(specOf(name, { types: [`${name}.happened`] }));
    broker.leaderless = 'holdfast.b.happened';
    await time.advance('30s');
    expect(watch.lags?.map(({ subscription }) => subscription)).toEqual(['a', 'c']);
    expect(broker).toMatchObject({ admins: 2, failed: 0 });
    expect(warnings).toMatchObject([{ subscription: 'b', error: { message: expect.stringContaining('no leader') } }]);
    broker.leaderless = '';
    await time.advance('30s');
    expect(watch.lags?.map(({ subscription }) => subscription)).toEqual(['a', 'b', 'c']);
    expect(broker.admins).toBe(3);
  });

  it('asks nothing more once it is stopped', async () => {
    const { watch, time, broker, asked } = watching();
    watch.add(specOf('reader'));
    broker.isAsked = () => void watch.stop();
    await time.advance('5m');
    expect(broker.admins).toBe(1);
    expect(asked).toEqual([]);
  });

  it('takes no longer for a round than a request may take, and counts the others in the next one', async () => {
    const { watch, time, asked } = watching({ takesMs: 6000 });
    for (const name of ['a', 'b', 'c', 'd']) watch.add(specOf(name));
    await time.advance('43s');
    expect(asked).toEqual(['holdfast.shop/a', 'holdfast.shop/b']);
    await time.advance('42s');
    expect(asked.slice(2)).toEqual(['holdfast.shop/c', 'holdfast.shop/d']);
  });

  it('asks nothing twice at once', async () => {
    const { watch, time, broker } = watching();
    broker.hangs = true;
    watch.add(specOf('reader'));
    watch.add(specOf('other'));
    await time.advance('5m');
    expect(broker.admins).toBe(1);
  });
});
