import { emit, Keeper, type Logger, type ReceivedReply, type StartTerms, type TransportContext } from '@holdfast/core';
import type { KafkaClient, KafkaConsumer, ReceivedRecord } from './client.port.js';
import type { Names } from './names.js';
import type { Topics } from './topics.js';
import { attributeOf, fromRecord } from './wire.js';

/** What a place for replies works with. */
export interface RepliesParts {
  readonly context: TransportContext;
  readonly logger: Logger;
  readonly client: KafkaClient;
  readonly names: Names;
  readonly topics: Topics;
  readonly receive: (reply: ReceivedReply) => void;
}

/**
 * The replies to one process: the processes of a service share a topic, and each reads all of it as a group of its own, so that what comes while its
 * connection is away is there when it is back. A topic for each process would have to be deleted by somebody when the process was killed.
 */
export class Replies {
  /** The address of this process. */
  readonly address: string;
  private readonly keeper: Keeper;
  private readonly topic: string;
  private readonly group: string;
  private consumer: KafkaConsumer | undefined;
  private next: { readonly partition: number; readonly offset: bigint } | undefined;
  private committing: Promise<void> | undefined;

  constructor(private readonly parts: RepliesParts) {
    const { context, names, logger } = parts;
    this.topic = names.replies();
    this.address = `${this.topic}/${context.nodeId}`;
    this.group = names.groupOfReplies(context.nodeId);
    this.keeper = new Keeper(context, {
      what: `the topic ${this.topic}`,
      open: () => this.open(),
      failed: (error, delayMs) => {
        emit('poll:failed', { loop: 'replies', error, delayMs });
        logger.warn('replies cannot be received just now; it is tried again', { topic: this.topic, error, delayMs });
      },
    });
  }

  /** Resolves when replies that are sent from now on will be read. @throws HF_BROKER_TOPOLOGY at once, else the last error at the time-out */
  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  /** Nobody waits any more. */
  async stop(): Promise<void> {
    await this.keeper.stop();
    await this.parts.client.administer((admin) => admin.forget(this.group)).catch(() => undefined);
  }

  private async open(): Promise<KafkaConsumer> {
    const { client, topics } = this.parts;
    await topics.haveReplies(this.topic, this.group);
    const received = (records: readonly ReceivedRecord[]) => this.received(records);
    const consumer = await client.openConsumer({ group: this.group, topics: [this.topic], joined: () => undefined, received });
    this.consumer = consumer;
    return consumer;
  }

  private received(records: readonly ReceivedRecord[]): void {
    for (const record of records) {
      this.next = { partition: record.partition, offset: record.offset + 1n };
      if (attributeOf(record, 'destination') !== this.address) continue;
      const { attributes, body } = fromRecord(record, false);
      this.parts.receive({ attributes, body });
    }
    this.commit();
  }

  /** One at a time; where the last one is lost, some replies are read again, and nobody waits for them. */
  private commit(): void {
    const { consumer, next, topic } = this;
    if (consumer === undefined || next === undefined) return;
    this.committing ??= consumer
      .commit([{ topic, ...next }])
      .catch(() => undefined)
      .finally(() => {
        this.committing = undefined;
        if (this.next !== next) this.commit();
      });
  }
}
