import { specOf } from '@holdfast-internal/test-support';
import type { KafkaAdmin, KafkaClient, Place, Position } from './client.port.js';
import { setFirst } from './first-positions.js';
import { Names } from './names.js';
import { settingsFrom } from './settings.js';
import { Topics } from './topics.js';

const SPEC = specOf('reader', { from: 'now', transaction: { timeoutMs: 1000 } });

/** Topics over a broker with one topic of three partitions, which have the offsets 5 to 9 and in which the group stands here. */
class Bench {
  readonly standing = new Map<number, bigint>();
  /** Another process, or an outage, comes in between: called before each transaction. */
  before: (place: Place) => void = () => undefined;
  readonly topics: Topics;

  constructor() {
    const settings = settingsFrom({ brokers: ['a:1'], topology: 'none' });
    const names = new Names(settings, 'shop');
    const client = this.client();
    this.topics = new Topics({
      client,
      settings,
      names,
      hasStore: true,
      setFirst: (spec, positions) => setFirst(client, names, { spec, positions }),
    });
  }

  get stands(): readonly string[] {
    return [...this.standing].sort().map(([partition, offset]) => `${partition}:${offset}`);
  }

  private client(): KafkaClient {
    const positionIn = ({ topic, partition }: Place): readonly Position[] => {
      const offset = this.standing.get(partition);
      return offset === undefined ? [] : [{ topic, partition, offset }];
    };
    const admin: Partial<KafkaAdmin> = {
      ends: async (topic) => [0, 1, 2].map((partition) => ({ topic, partition, first: 5n, next: 10n })),
      positions: async (_, places) => places.flatMap(positionIn),
      settledPosition: async (_, place) => positionIn(place)[0],
    };
    const client: Partial<KafkaClient> = {
      administer: (work) => work(admin as KafkaAdmin),
      openTransactions: async () => ({
        lost: new Promise(() => undefined),
        end: async () => undefined,
        transact: async (_requests, _group, position) => {
          this.before(position);
          this.standing.set(position.partition, position.offset);
        },
      }),
    };
    return client as KafkaClient;
  }
}

describe("where a subscription with transactions begins (from: 'now')", () => {
  it('is the end of each partition also when the start was broken off between two of them', async () => {
    const bench = new Bench();
    let count = 0;
    bench.before = () => {
      count += 1;
      if (count === 2) throw new Error('shut out');
    };
    await expect(bench.topics.ensure([SPEC])).rejects.toThrow('shut out');
    expect(bench.standing.size).toBe(1);
    await bench.topics.ensure([SPEC]);
    expect(bench.stands).toEqual(['0:10', '1:10', '2:10']);
  });

  it('is the beginning of a partition that was added since', async () => {
    const bench = new Bench();
    bench.standing.set(0, 7n).set(1, 7n);
    await bench.topics.ensure([SPEC]);
    expect(bench.stands).toEqual(['0:7', '1:7', '2:5']);
  });
});
