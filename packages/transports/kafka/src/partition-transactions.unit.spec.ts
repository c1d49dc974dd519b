import { type DeadLetterReason, silentLogger, type TransportContext, VirtualTime } from '@holdfast/core';
import type { KafkaAdmin, KafkaClient, KafkaTransactions, OutgoingRecord, Position, ReceivedRecord } from './client.port.js';
import { Names } from './names.js';
import { PartitionTransactions } from './partition-transactions.js';
import { type HeldRecord, PartitionWindow } from './partition-window.js';
import { ProducerSlots } from './producer-slots.js';
import { settingsFrom } from './settings.js';
import type { Topics } from './topics.js';

const place = { topic: 't', partition: 0 };
const REASON: DeadLetterReason = {
  subscription: 's',
  attempts: 1,
  failure: { code: 'X', message: 'no', fingerprint: 'f' } as DeadLetterReason['failure'],
  at: new Date(0),
};

/** A group at a broker whose partition processes take over, one after another. */
class Partition {
  position: Position = { ...place, offset: 0n };
  readonly appended: (readonly OutgoingRecord[])[] = [];
  /** What the broker says to a request. */
  refusal: (records: readonly OutgoingRecord[]) => string | undefined = () => undefined;
  /** Of the partitions of its topic, those that have no leader. */
  leaderless: readonly number[] = [];
  private readonly time = new VirtualTime();

  /** A process takes it over. */
  taken(nodeId: string, count = 1): { readonly transactions: PartitionTransactions; readonly held: readonly HeldRecord[] } {
    const window: PartitionWindow = new PartitionWindow(place, { changed: () => undefined, putDeadLetter: async () => undefined });
    const transactions = new PartitionTransactions(window, {
      context: { nodeId, scheduler: this.time, logger: silentLogger } as Partial<TransportContext> as TransportContext,
      settings: settingsFrom({ brokers: ['a:1'] }),
      client: this.client(),
      names: new Names({ prefix: 'holdfast.', topics: {}, transactionalId: 'tx' } as ConstructorParameters<typeof Names>[0], 'scene'),
      topics: { missing: async () => new Set() } as Partial<Topics> as Topics,
      slots: new ProducerSlots(1),
      group: 'g',
      deadLetters: 'dead',
      timeoutMs: 1000,
    });
    const records = Array.from({ length: count }, (_, n): ReceivedRecord => {
      return { ...place, offset: this.position.offset + BigInt(n), key: null, value: Buffer.alloc(60), headers: {}, at: new Date(0) };
    });
    window.receive(records, () => true);
    return { transactions, held: window.take(count) };
  }

  /** How often its first message has come back, for a process that takes it over now. */
  async returned(nodeId: string): Promise<number> {
    const { transactions, held } = this.taken(nodeId);
    await transactions.mark(held, 1);
    return held[0]?.incoming.timesReturned ?? 0;
  }

  private client(): KafkaClient {
    const producer: KafkaTransactions = {
      lost: new Promise(() => undefined),
      end: async () => undefined,
      transact: async (requests, _, position) => {
        const type = this.refusal(requests.flat());
        if (type !== undefined) throw Object.assign(new Error(type), { type });
        this.position = position;
        this.appended.push(...requests);
      },
    };
    const ends: KafkaAdmin['ends'] = async (topic) =>
      [0, 1].map((partition) => {
        const found = this.leaderless.includes(partition) ? { first: undefined, next: undefined } : { first: 0n, next: 100n };
        return { topic, partition, ...found };
      });
    const admin = { settledPosition: async () => this.position, ends };
    return {
      openTransactions: async () => producer,
      administer: (work: (admin: KafkaAdmin) => Promise<unknown>) => work(admin as Partial<KafkaAdmin> as KafkaAdmin),
    } as Partial<KafkaClient> as KafkaClient;
  }
}

describe('a message that is in hand in Kafka transactions', () => {
  it('is counted for each process that has ended with it, and not for one that has only taken it once more', async () => {
    const partition = new Partition();
    expect(await partition.returned('a')).toBe(0);
    expect(await partition.returned('a')).toBe(0);
    expect(await partition.returned('b')).toBe(1);
    expect(await partition.returned('b')).toBe(1);
    expect(await partition.returned('c')).toBe(2);
  });

  it('is not counted when its process has ended in order, and the group stays where it was', async () => {
    const partition = new Partition();
    const { transactions, held } = partition.taken('a');
    await transactions.mark(held, 1);
    await transactions.unmark();
    expect(partition.position).toMatchObject({ offset: 0n, note: expect.stringMatching(/^a\/\d+$/) });
    expect(await partition.returned('b')).toBe(0);
  });

  it('leaves no word at the end when it was consumed: somebody else may have gone on', async () => {
    const partition = new Partition();
    const { transactions, held } = partition.taken('a');
    await transactions.mark(held, 1);
    await transactions.transact(held, { published: [], dead: [] });
    const { position } = partition;
    await transactions.unmark();
    expect(partition.position).toBe(position);
  });

  it('leaves no word at the end when somebody else has gone on from there while the id was closed here', async () => {
    const partition = new Partition();
    const { transactions, held } = partition.taken('a');
    await transactions.mark(held, 1);
    await transactions.close();
    partition.position = { ...place, offset: 5n, note: 'b/1' };
    await transactions.ready();
    await transactions.unmark();
    expect(partition.position).toMatchObject({ offset: 5n, note: 'b/1' });
  });
});

describe('a partition that is taken over', () => {
  it('has no need of a leader of another one, and waits for its own', async () => {
    const partition = new Partition();
    partition.leaderless = [1];
    await partition.taken('a').transactions.ready();
    partition.leaderless = [0];
    await expect(partition.taken('b').transactions.ready()).rejects.toThrow('the broker has not told the ends of t/0');
  });
});

describe('a message of a batch that ends its processes', () => {
  const BATCH = 64;

  /** A process handles what there is, until the poison has ended it, or it is stopped with something in hand after so many batches. */
  async function process(
    partition: Partition,
    nodeId: string,
    { poison, most = BATCH }: { readonly poison: bigint; readonly most?: number },
  ) {
    const { transactions, held } = partition.taken(nodeId, Number(BigInt(BATCH) - partition.position.offset));
    let left = held;
    for (let batches = 0; left.length > 0; batches += 1) {
      const count = transactions.isUntried ? await transactions.mark(left, BATCH) : left.length;
      const inHand = left.slice(0, count);
      if (inHand.some(({ offset }) => offset === poison)) return { isAlone: count === 1 };
      if (batches === most) {
        await transactions.unmark();
        break;
      }
      await transactions.transact(inHand, { published: [], dead: [] });
      left = left.slice(count);
    }
    return { isAlone: false };
  }

  it.each([0n, 1n, 31n, 32n, 50n, 63n])(
    'is alone after no more ends than it takes to halve the batch, wherever it is in it (%s)',
    async (poison) => {
      const partition = new Partition();
      let ends = 0;
      while (!(await process(partition, `p${ends}`, { poison })).isAlone) ends += 1;
      expect(ends).toBeLessThanOrEqual(Math.log2(BATCH));
    },
  );

  it('is looked for further where processes end in order in between', async () => {
    const partition = new Partition();
    let ends = 0;
    while (!(await process(partition, `p${ends}`, { poison: 20n })).isAlone) {
      ends += 1;
      // The next one is stopped with something in hand.
      await process(partition, `q${ends}`, { poison: -1n, most: 0 });
      if (ends > BATCH) break;
    }
    expect(ends).toBeLessThanOrEqual(Math.log2(BATCH));
  });

  it('is forgotten once all that were in hand with it are handled: what comes behind is handled in whole batches', async () => {
    const partition = new Partition();
    await process(partition, 'a', { poison: 0n });
    await process(partition, 'b', { poison: -1n });
    expect(partition.position).toMatchObject({ offset: BigInt(BATCH), note: expect.stringMatching(/^b\/\d+$/) });
  });
});

describe('dead letters in Kafka transactions', () => {
  const dataOf = (partition: Partition) => partition.appended.flat().map(({ value }) => value?.byteLength ?? 0);
  const putAway = async (partition: Partition, count: number) => {
    const { transactions, held } = partition.taken('a', count);
    await transactions.transact(held, { published: [], dead: held.map(({ incoming }) => ({ message: incoming, reason: REASON })) });
  };

  it('that are too large together are left to be tried one by one, and keep their data', async () => {
    const partition = new Partition();
    const bytes = (records: readonly OutgoingRecord[]) => records.reduce((sum, { value }) => sum + (value?.byteLength ?? 0), 0);
    partition.refusal = (records) => (bytes(records) > 500 ? 'RECORD_LIST_TOO_LARGE' : undefined);
    await expect(putAway(partition, 10)).rejects.toMatchObject({ code: 'HF_PUBLISH_FAILED' });
    await putAway(partition, 1);
    expect(dataOf(partition)).toEqual([60]);
  });

  it('lose their data for their size, and for nothing else that is said of them', async () => {
    const partition = new Partition();
    const isWhole = (records: readonly OutgoingRecord[]) => records.some(({ value }) => value !== null);
    partition.refusal = (records) => (isWhole(records) ? 'TOPIC_AUTHORIZATION_FAILED' : undefined);
    await expect(putAway(partition, 1)).rejects.toMatchObject({ code: 'HF_PUBLISH_FAILED' });
    partition.refusal = (records) => (isWhole(records) ? 'MESSAGE_TOO_LARGE' : undefined);
    await putAway(partition, 1);
    expect(dataOf(partition)).toEqual([0]);
  });
});
