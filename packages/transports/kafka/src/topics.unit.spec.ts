import { hfError } from '@holdfast/core';
import { specOf } from '@holdfast-internal/test-support';
import type { Admin } from 'kafkajs';
import type { KafkaAdmin, KafkaClient, Place, Position } from './client.port.js';
import { ConfluentAdmin } from './confluent-admin.js';
import type { NativeAdmin } from './confluent-library.js';
import { KafkajsAdmin } from './kafkajs-admin.js';
import { Names } from './names.js';
import { settingsFrom } from './settings.js';
import { NOTHING_IN_HAND, Topics } from './topics.js';

const TOPIC = 'holdfast.scene.happened';

/** Topics over a broker with one topic of two partitions that have the offsets 5 to 9. @param leaderless a partition that has no leader */
function scene(
  positions: readonly Position[] = [],
  settledPosition: KafkaAdmin['settledPosition'] = () => Promise.reject(new Error('none')),
  leaderless?: number,
) {
  const asked: string[] = [];
  const admin: Partial<KafkaAdmin> = {
    ends: async (topic) => {
      asked.push('ends');
      return [0, 1].map((partition) => {
        const ends = partition === leaderless ? { first: undefined, next: undefined } : { first: 5n, next: 10n };
        return { topic, partition, ...ends };
      });
    },
    settledPosition,
    positions: async () => {
      asked.push('positions');
      return positions;
    },
  };
  return { ...topicsOver(admin as KafkaAdmin), asked };
}

function topicsOver(admin: KafkaAdmin, topology: 'none' | 'assert' = 'none') {
  const set: string[] = [];
  const client: Partial<KafkaClient> = {
    administer: (work) => work(admin),
    setPositions: async (group, places) => {
      set.push(...places.map(({ partition, offset, note }) => `${group} ${partition}:${offset} ${note}`));
    },
  };
  const settings = settingsFrom({ brokers: ['a:1'], topology });
  const topics = new Topics({
    client: client as KafkaClient,
    settings,
    names: new Names(settings, 'shop'),
    hasStore: true,
    setFirst: () => Promise.reject(new Error('none')),
  });
  return { topics, set };
}

/**
 * Admins whose broker has not heard of all partitions when it is asked where a group stands, which stands in both at 7.
 *
 * @param heard of what it has heard then
 */
function stale(heard: readonly number[]): Readonly<Record<'kafkajs' | 'confluent', KafkaAdmin>> {
  const fetchTopicOffsets = async () => [0, 1].map((partition) => ({ partition, low: '5', high: '10' }));
  const standing = (partition: number) => ({ partition, offset: '7', metadata: null });
  const kafkajs = { fetchTopicOffsets, fetchOffsets: async () => [{ topic: TOPIC, partitions: heard.map(standing) }] };
  const fetchTopicMetadata = async () => {
    if (heard.length === 0) throw Object.assign(new Error('unknown'), { code: 3 });
    return [{ name: TOPIC, partitions: heard }];
  };
  const positions = async (_: string, places: readonly Place[]) => places.map(({ partition }) => at(partition, 7n));
  return {
    kafkajs: new KafkajsAdmin(
      kafkajs as unknown as Admin,
      (_request, answer) => answer,
      async () => undefined,
    ),
    confluent: new ConfluentAdmin({ fetchTopicOffsets, fetchTopicMetadata } as unknown as NativeAdmin, {
      timeoutMs: 1,
      everything: 0,
      sleep: async () => undefined,
      handles: { positions, settledPosition: async () => undefined },
      check: async () => undefined,
    }),
  };
}

const at = (partition: number, offset: bigint): Position => ({ topic: TOPIC, partition, offset });
const told = (partition: number, offset: number) => `holdfast.shop/reader ${partition}:${offset} ${NOTHING_IN_HAND}`;

describe('where a subscription begins', () => {
  it("is the end of each partition, or its beginning (from: 'earliest'), and nobody had anything of it in hand", async () => {
    const now = scene();
    await now.topics.ensure([specOf('reader')]);
    expect(now.set).toEqual([told(0, 10), told(1, 10)]);
    const earliest = scene();
    await earliest.topics.ensure([specOf('reader', { from: 'earliest' })]);
    expect(earliest.set).toEqual([told(0, 5), told(1, 5)]);
  });

  it('is where it stands, when it stands anywhere', async () => {
    const { topics, set } = scene([at(0, 7n), at(1, 6n)]);
    await topics.ensure([specOf('reader')]);
    expect(set).toEqual([]);
  });

  it('is the beginning of a partition that was added since', async () => {
    const { topics, set } = scene([at(0, 7n)]);
    await topics.ensure([specOf('reader')]);
    expect(set).toEqual([told(1, 5)]);
  });

  it('is an end that was looked at before it is known that it stands nowhere: one that started meanwhile skips nothing', async () => {
    const { topics, asked } = scene();
    await topics.ensure([specOf('reader')]);
    expect(asked).toEqual(['ends', 'positions']);
  });

  it.each([{ heard: [] }, { heard: [0] }, { heard: [0, 1] }])(
    'is where it stands also when the broker has heard only of some partitions, with either driver ($heard)',
    async ({ heard }) => {
      const { kafkajs, confluent } = stale(heard);
      const [one, other] = [topicsOver(kafkajs), topicsOver(confluent)];
      // kafkajs cannot be asked for a partition of which it has not heard; the start tries again.
      const asked = await one.topics.ensure([specOf('reader')]).catch(({ message }: Error) => message);
      expect(asked).toBe(
        heard.length === 2 ? undefined : `the broker has not told where holdfast.shop/reader stands in ${TOPIC}/${heard.length}`,
      );
      await other.topics.ensure([specOf('reader')]);
      expect([one.set, other.set]).toEqual([[], []]);
    },
  );

  it('is not kept from anybody by a partition without a leader where the group stands, and waits for one where it does not', async () => {
    const standing = scene([at(1, 7n)], undefined, 1);
    await standing.topics.ensure([specOf('reader')]);
    expect(standing.set).toEqual([told(0, 5)]);
    const nowhere = scene([at(0, 7n)], undefined, 1);
    await expect(nowhere.topics.ensure([specOf('reader')])).rejects.toThrow(`the broker has not told the ends of ${TOPIC}/1`);
    expect(nowhere.set).toEqual([]);
  });

  it('is refused by a broker that is too old for its transactions, also where it stands somewhere already', async () => {
    const tooOld = hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'x', provider: 'y' });
    const { topics } = scene([at(0, 7n), at(1, 6n)], () => Promise.reject(tooOld));
    await topics.ensure([specOf('reader')]);
    await expect(topics.ensure([specOf('reader', { transaction: { timeoutMs: 1000 } })])).rejects.toBe(tooOld);
  });

  it('is asked about where no transaction can be in the way', async () => {
    const places: Place[] = [];
    const { topics } = scene([at(0, 7n), at(1, 6n)], async (_, place) => void places.push(place));
    await topics.ensure([specOf('reader', { transaction: { timeoutMs: 1000 } })]);
    expect(places).toEqual([{ topic: 'holdfast.-dead.shop.reader', partition: 0 }]);
  });
});

describe('topics that are looked for', () => {
  it('are known when they are there, also when one beside them cannot be made', async () => {
    const admin: Partial<KafkaAdmin> = {
      topics: async () => new Set([TOPIC]),
      create: () => Promise.reject(new Error('no answer')),
    };
    const { topics } = topicsOver(admin as KafkaAdmin, 'assert');
    const wanted = new Map([TOPIC, 'new'].map((topic) => [topic, true]));
    await expect(topics.missing(wanted)).rejects.toThrow('no answer');
    expect([topics.isKnown(TOPIC), topics.isKnown('new')]).toEqual([true, false]);
  });
});
