import { failpoint, within } from '@holdfast/core';
import type { Kafka, Offsets, Producer, Transaction } from 'kafkajs';
import type { KafkaTransactions, OutgoingRecord, Position, TransactionOptions } from './client.port.js';
import { Coordinators } from './coordinators.js';
import { writtenNote } from './kafkajs-admin.js';
import type { DriverParts } from './kafkajs-client.js';
import { produce, remembering } from './kafkajs-producer.js';
import { whileEnding } from './while-ending.js';

/** Transactions of kafkajs. After the first that fails it is of no use any more: kafkajs stays in the midst of it, and begins no other one. */
export class KafkajsTransactions implements KafkaTransactions {
  readonly lost: Promise<unknown>;
  private readonly producer: Producer;
  private readonly coordinators: Coordinators;
  private lose: (reason: unknown) => void = () => undefined;

  /** @param kafka of its own */
  constructor(
    kafka: Kafka,
    { transactionalId, timeoutMs }: TransactionOptions,
    private readonly parts: DriverParts,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    this.coordinators = new Coordinators(kafka);
    this.producer = kafka.producer({
      transactionalId,
      transactionTimeout: timeoutMs,
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: remembering,
    });
  }

  /** kafkajs asks for the id with its first transaction; an empty one is none for the broker. */
  async connect(): Promise<void> {
    await this.producer.connect();
    await (await this.producer.transaction()).abort();
  }

  async transact(requests: readonly (readonly OutgoingRecord[])[], group: string, position: Position): Promise<void> {
    this.coordinators.begin();
    try {
      const transaction = await this.answer('a transaction', this.producer.transaction());
      await this.fill(transaction, requests, () => this.sendOffsets(transaction, group, position));
      await this.answer('a commit', transaction.commit());
      failpoint('broker:after-commit');
    } catch (error) {
      this.lose(error);
      throw error;
    }
  }

  async end(): Promise<void> {
    this.lose(new Error('the producer was ended'));
    await this.answer('the end of a producer', this.producer.disconnect()).catch(() => undefined);
  }

  /** What is not whole is undone at once: until then nobody reads on behind it. */
  private async fill(transaction: Transaction, requests: readonly (readonly OutgoingRecord[])[], end: () => Promise<void>): Promise<void> {
    try {
      // Before the offsets: kafkajs waits for the end of the transaction before only when it sends.
      for (const records of requests) await produce(transaction, records, this.parts);
      failpoint('broker:after-send');
      await end();
      failpoint('broker:after-offsets');
    } catch (error) {
      await this.answer('an abort', transaction.abort()).catch(() => undefined);
      throw error;
    }
  }

  private async sendOffsets(transaction: Transaction, group: string, { topic, partition, offset, note }: Position): Promise<void> {
    // kafkajs passes the note on, though its types do not know it.
    const written = { partition, offset: String(offset), metadata: writtenNote(note) };
    const sent: Offsets & { readonly consumerGroupId: string } = { consumerGroupId: group, topics: [{ topic, partitions: [written] }] };
    await whileEnding(this.parts, () => this.answer('offsets', transaction.sendOffsets(sent)));
  }

  private answer<T>(request: string, answer: Promise<T>): Promise<T> {
    const { scheduler, settings } = this.parts;
    return within(scheduler, { request, timeoutMs: settings.confirmTimeoutMs }, answer);
  }
}
