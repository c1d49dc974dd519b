import { type Consumer, type KafkaMessage, Partitioners, type Producer } from 'kafkajs';
import { clientOf, type KafkaPlace, makeTopics, PARTITIONS } from '../runner/kafka.js';
import { HANDLERS } from '../shop/shop.js';
import { HandShop, type OutboxRow, POLL_LIMIT, SQL, type Sql } from './hand-shop.js';

/**
 * The same over Kafka, on plain pg and kafkajs: the poller appends what it claimed with an idempotent producer and deletes it then; the consumer writes inbox rows and
 * payments, as many transactions at once as the other side has, and commits the offsets of a fetch behind them.
 */
export class HandKafkaShop extends HandShop {
  /** Where it is on the broker, once it is connected. */
  at: KafkaPlace | undefined;
  private producer: Producer | undefined;
  private consumer: Consumer | undefined;

  /** @param batchSize messages a transaction, at most; 0 for no consumer */
  async connect(place: KafkaPlace, batchSize: number): Promise<void> {
    this.at = place;
    await makeTopics(place, this.topic);
    const client = clientOf(place);
    this.producer = client.producer({ idempotent: true, maxInFlightRequests: 1, createPartitioner: Partitioners.DefaultPartitioner });
    await this.producer.connect();
    if (batchSize === 0) return;
    const consumer = client.consumer({ groupId: `${place.prefix}hand`, maxWaitTimeInMs: 200 });
    this.consumer = consumer;
    const joined = new Promise((resolve) => consumer.on('consumer.group_join', resolve));
    await consumer.connect();
    await consumer.subscribe({ topic: this.topic, fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachBatchAutoResolve: false,
      partitionsConsumedConcurrently: PARTITIONS,
      eachBatch: async ({ batch: { topic, partition, messages }, resolveOffset, heartbeat }) => {
        const share = batchSize * Math.ceil(HANDLERS / PARTITIONS);
        for (let at = 0; at < messages.length; at += share) {
          await this.payFetched(messages.slice(at, at + share), batchSize);
          await heartbeat();
        }
        const last = BigInt(messages.at(-1)?.offset ?? -1);
        resolveOffset(String(last));
        await consumer.commitOffsets([{ topic, partition, offset: String(last + 1n) }]);
      },
    });
    await joined;
  }

  get topic(): string {
    return `${this.at?.prefix}hand.order.placed`;
  }

  override async close(): Promise<void> {
    await super.close();
    await this.consumer?.disconnect();
    await this.producer?.disconnect();
  }

  protected override async pollOnce(client: Sql): Promise<number> {
    const { rows } = await client.query<OutboxRow>({ ...SQL.claim, values: [POLL_LIMIT] });
    if (rows.length === 0) return 0;
    const messages = rows.map(({ body, message_id: id }) => ({
      key: id,
      value: body,
      headers: { id, 'content-type': 'application/json' },
    }));
    await this.producer?.send({ topic: this.topic, acks: -1, messages });
    await client.query({ ...SQL.delete, values: [rows.map(({ id }) => id)] });
    return rows.length;
  }

  private async payFetched(messages: readonly KafkaMessage[], batchSize: number): Promise<void> {
    const transactions: Promise<void>[] = [];
    for (let at = 0; at < messages.length; at += batchSize)
      transactions.push(this.payAll(new Map(messages.slice(at, at + batchSize).map(({ key, value }) => [String(key), String(value)]))));
    await Promise.all(transactions);
  }
}
