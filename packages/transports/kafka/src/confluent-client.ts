import { BaseDriver } from './base-driver.js';
import type {
  ConsumerOptions,
  KafkaAdmin,
  KafkaConsumer,
  KafkaDriver,
  KafkaProducer,
  KafkaTransactions,
  TransactionOptions,
} from './client.port.js';
import { ConfluentAdmin } from './confluent-admin.js';
import { clientConfig, producerConfig } from './confluent-config.js';
import { type ConfluentParts, connected, disconnected } from './confluent-connection.js';
import { ConfluentConsumer } from './confluent-consumer.js';
import { FROM_THE_OLDEST, memberConfig } from './confluent-group.js';
import type { Config, NativeConsumer } from './confluent-library.js';
import { ConfluentProducer } from './confluent-producer.js';
import { ConfluentTransactions } from './confluent-transactions.js';
import { whileEnding } from './while-ending.js';

/**
 * Kafka through librdkafka, by the listeners that @confluentinc/kafka-javascript has for it: what it puts on top to look like kafkajs has queues of its own, which are
 * known to stop, and time-outs that cannot be set.
 */
export class ConfluentClient extends BaseDriver<ConfluentParts> implements KafkaDriver {
  private readonly config: Config;
  /** Of groups whose offsets go into transactions. */
  private readonly handles = new Map<string, Promise<NativeConsumer>>();
  /** Of handles: the library looks into them from a thread, without asking whether they are still there. */
  private readonly uses = new Set<Promise<unknown>>();
  private isDropped = false;

  constructor(parts: ConfluentParts) {
    const { requestTimeoutMs, sessionTimeoutMs, confirmTimeoutMs } = parts.settings;
    super(parts, Math.max(confirmTimeoutMs, 2 * requestTimeoutMs + 2 * sessionTimeoutMs));
    this.config = clientConfig(parts.settings, parts.clientId);
  }

  /** Lets go of everything, as far as librdkafka does so without an answer. */
  drop(): void {
    this.isDropped = true;
    const unused = Promise.allSettled(this.uses);
    for (const handle of this.handles.values())
      void Promise.all([handle, unused])
        .then(([consumer]) => disconnected(consumer, this.parts))
        .catch(() => undefined);
    this.handles.clear();
  }

  async openProducer(): Promise<KafkaProducer> {
    const { library, settings } = this.parts;
    const native = new library.Producer({ ...this.config, ...producerConfig(settings) }, {});
    const producer = new ConfluentProducer(native, this.parts);
    return this.opened('a producer', producer, producer.connect());
  }

  async openTransactions({ transactionalId, timeoutMs }: TransactionOptions): Promise<KafkaTransactions> {
    const { library, settings } = this.parts;
    const ofTransactions = { 'transactional.id': transactionalId, 'transaction.timeout.ms': timeoutMs };
    const config = { ...this.config, ...producerConfig(settings), ...ofTransactions };
    // Nothing of one that fails is kept, and after a fatal error it could not be undone at once.
    const also = { 'message.timeout.ms': Math.min(settings.confirmTimeoutMs, timeoutMs), 'enable.gapless.guarantee': false };
    const native = new library.Producer({ ...config, ...also }, {});
    const transactions = new ConfluentTransactions(native, (group, use) => this.withHandle(group, use), this.parts);
    return this.opened(`the transactional id ${transactionalId}`, transactions, transactions.connect());
  }

  async openConsumer(options: ConsumerOptions): Promise<KafkaConsumer> {
    const { library, settings } = this.parts;
    const make = (listeners: object) =>
      new library.KafkaConsumer({ ...this.config, ...memberConfig(settings, options.group), ...listeners }, FROM_THE_OLDEST);
    const consumer = new ConfluentConsumer(make, options, this.parts);
    return this.opened('a consumer', consumer, consumer.join());
  }

  async administer<T>(work: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
    const { library, settings, scheduler } = this.parts;
    const admin = new library.KafkaJS.Kafka({ ...this.config, log_level: 0 }).admin();
    const parts = {
      timeoutMs: settings.requestTimeoutMs,
      everything: library.IsolationLevel.READ_UNCOMMITTED,
      sleep: (ms: number) => scheduler.sleep(ms),
      whileEnding: <T>(ask: () => Promise<T>) => whileEnding(this.parts, ask),
    };
    try {
      await admin.connect();
      return await this.answer('an admin', work(new ConfluentAdmin(admin, parts)));
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  private async withHandle(group: string, work: (handle: NativeConsumer) => Promise<unknown>): Promise<void> {
    const handle = this.isDropped ? undefined : await this.handleOf(group);
    if (handle === undefined || this.isDropped) throw new Error('the client was let go of');
    const use = work(handle);
    this.uses.add(use);
    await use.finally(() => this.uses.delete(use));
  }

  private handleOf(group: string): Promise<NativeConsumer> {
    const known = this.handles.get(group) ?? this.openHandle(group);
    this.handles.set(group, known);
    known.catch(() => this.handles.delete(group));
    return known;
  }

  private async openHandle(group: string): Promise<NativeConsumer> {
    const { library } = this.parts;
    const consumer = new library.KafkaConsumer({ ...this.config, 'group.id': group, 'enable.auto.commit': false }, {});
    await connected(consumer, this.parts);
    return consumer;
  }
}
