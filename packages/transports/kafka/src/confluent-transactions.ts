import { failpoint, within } from '@holdfast/core';
import type { KafkaTransactions, OutgoingRecord, Position } from './client.port.js';
import { calledOn, type ConfluentParts, connected, disconnected, waited } from './confluent-connection.js';
import { called } from './confluent-errors.js';
import type { Done, NativeConsumer, NativeProducer } from './confluent-library.js';
import { listen, produce } from './confluent-producer.js';

/** Who knows the group for whose offsets they are; it reads nothing, and is no member. */
export type WithGroup = (group: string, work: (handle: NativeConsumer) => Promise<unknown>) => Promise<unknown>;

/** Transactions of librdkafka. After the first that fails it is given up, as with every driver. */
export class ConfluentTransactions implements KafkaTransactions {
  readonly lost: Promise<unknown>;
  private lose: (reason: unknown) => void = () => undefined;
  private ending: Promise<void> | undefined;

  constructor(
    private readonly producer: NativeProducer,
    private readonly withGroup: WithGroup,
    private readonly parts: ConfluentParts,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
  }

  async connect(): Promise<void> {
    await connected(this.producer, this.parts);
    listen(this.producer);
    await this.answer('a transactional id', (timeoutMs, done) => this.producer.initTransactions(timeoutMs, done));
  }

  async transact(requests: readonly (readonly OutgoingRecord[])[], group: string, position: Position): Promise<void> {
    const { producer } = this;
    try {
      await called((done) => producer.beginTransaction(done));
      await this.fill(requests, group, position);
      await this.answer('a commit', (timeoutMs, done) => producer.commitTransaction(timeoutMs, done));
      failpoint('broker:after-commit');
    } catch (error) {
      this.lose(error);
      throw error;
    }
  }

  end(): Promise<void> {
    this.lose(new Error('the producer was ended'));
    this.ending ??= disconnected(this.producer, this.parts);
    return this.ending;
  }

  /** What is not whole is undone at once: until then nobody reads on behind it. */
  private async fill(requests: readonly (readonly OutgoingRecord[])[], group: string, position: Position): Promise<void> {
    const { topic, partition, offset, note } = position;
    const places = [{ topic, partition, offset: Number(offset), ...(note === undefined ? {} : { metadata: note }) }];
    const { producer } = this;
    try {
      for (const records of requests) await produce(producer, records, this.parts);
      failpoint('broker:after-send');
      await this.withGroup(group, (handle) =>
        this.answer('offsets', (timeoutMs, done) => producer.sendOffsetsToTransaction(places, handle, timeoutMs, done), handle),
      );
      failpoint('broker:after-offsets');
    } catch (error) {
      await this.answer('an abort', (timeoutMs, done) => producer.abortTransaction(timeoutMs, done)).catch(() => undefined);
      throw error;
    }
  }

  /** It gives up by itself in time; that it does is not relied upon. @param handle looked into for it, beside the producer */
  private answer(request: string, call: (timeoutMs: number, done: Done) => void, handle?: NativeConsumer): Promise<unknown> {
    const { scheduler, settings } = this.parts;
    const { confirmTimeoutMs, requestTimeoutMs } = settings;
    const timeoutMs = confirmTimeoutMs + requestTimeoutMs;
    return waited(() =>
      within(
        scheduler,
        { request, timeoutMs },
        calledOn(handle === undefined ? [this.producer] : [this.producer, handle], (done) => call(confirmTimeoutMs, done)),
      ),
    );
  }
}
