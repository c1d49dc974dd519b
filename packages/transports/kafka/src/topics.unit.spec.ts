import { hfError } from '@holdfast/core';
import { specOf } from '@holdfast-internal/test-support';
import type { KafkaAdmin, KafkaClient, Place, Position } from './client.port.js';
import { Names } from './names.js';
import { settingsFrom } from './settings.js';
import { NOTHING_IN_HAND, Topics } from './topics.js';

const TOPIC = 'holdfast.scene.happened';

/** Topics over a broker with one topic of two partitions that have the offsets 5 to 9. */
function scene(
  positions: readonly Position[] = [],
  settledPosition: KafkaAdmin['settledPosition'] = () => Promise.reject(new Error('none')),
) {
  const asked: string[] = [];
  const set: string[] = [];
  const admin: Partial<KafkaAdmin> = {
    ends: async (topic) => {
      asked.push('ends');
      return [0, 1].map((partition) => ({ topic, partition, first: 5n, next: 10n }));
    },
    settledPosition,
    positions: async () => {
      asked.push('positions');
      return positions;
    },
  };
  const client: Partial<KafkaClient> = {
    administer: (work) => work(admin as KafkaAdmin),
    setPositions: async (group, places) => {
      set.push(...places.map(({ partition, offset, note }) => `${group} ${partition}:${offset} ${note}`));
    },
  };
  const settings = settingsFrom({ brokers: ['a:1'], topology: 'none' });
  const topics = new Topics({
    client: client as KafkaClient,
    settings,
    names: new Names(settings, 'shop'),
    hasStore: true,
    setFirst: () => Promise.reject(new Error('none')),
  });
  return { topics, asked, set };
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
