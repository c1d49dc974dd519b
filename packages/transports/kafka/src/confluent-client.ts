import { BaseDriver } from './base-driver.js';
import { checkThatItSettles } from './broker-versions.js';
import type {
  ConsumerOptions,
  KafkaAdmin,
  KafkaConsumer,
  KafkaDriver,
  KafkaProducer,
  KafkaTransactions,
  Position,
  TransactionOptions,
} from './client.port.js';
import { ConfluentAdmin } from './confluent-admin.js';
import { clientConfig, producerConfig } from './confluent-config.js';
import type { ConfluentParts } from './confluent-connection.js';
import { ConfluentConsumer } from './confluent-consumer.js';
import { FROM_THE_OLDEST, memberConfig } from './confluent-group.js';
import { ConfluentHandles } from './confluent-handles.js';
import type { Config } from './confluent-library.js';
import { ConfluentProducer } from './confluent-producer.js';
import { ConfluentTransactions } from './confluent-transactions.js';

/**
 * Kafka through librdkafka, by the listeners that @confluentinc/kafka-javascript has for it: what it puts on top to look like kafkajs has queues of its own, which are
 * known to stop, and time-outs that cannot be set.
 */
export class ConfluentClient extends BaseDriver<ConfluentParts> implements KafkaDriver {
  private readonly config: Config;
  private readonly handles: ConfluentHandles;
  /** Whether the brokers were asked how old they are, and are not too old. */
  private checking: Promise<void> | undefined;

  constructor(parts: ConfluentParts) {
    const { requestTimeoutMs, sessionTimeoutMs, confirmTimeoutMs } = parts.settings;
    super(parts, Math.max(confirmTimeoutMs, 2 * requestTimeoutMs + 2 * sessionTimeoutMs));
    this.config = clientConfig(parts.settings, parts.clientId);
    const { library } = parts;
    const ofHandle = (group: string, isolation: string) => ({
      'group.id': group,
      'enable.auto.commit': false,
      offset_commit_cb: true,
      'isolation.level': isolation,
    });
    this.handles = new ConfluentHandles(
      (group, isolation) => new library.KafkaConsumer({ ...this.config, ...ofHandle(group, isolation) }, {}),
      parts,
    );
  }

  /** Lets go of everything, as far as librdkafka does so without an answer. */
  drop(): void {
    this.handles.drop();
  }

  /**
   * A group without members takes that from anybody. One that stays for a moment would keep the next one waiting for its partitions: with `groupProtocol: 'consumer'`
   * until its second heartbeat, for five seconds.
   */
  override async setPositions(group: string, positions: readonly Position[]): Promise<void> {
    try {
      await this.handles.setPositions(group, positions);
    } catch {
      this.handles.assertKept();
      await super.setPositions(group, positions);
    }
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
    const transactions = new ConfluentTransactions(native, (group, work) => this.handles.use(group, work), this.parts);
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
    this.handles.assertKept();
    return this.handles.untilDropped(this.withAdmin(work));
  }

  /** What is asked when it is let go of is answered, or has timed out, before the admin is: it must not go while a thread looks into it. */
  private async withAdmin<T>(work: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
    const { library, settings, scheduler } = this.parts;
    const admin = new library.KafkaJS.Kafka({ ...this.config, log_level: 0 }).admin();
    const parts = {
      timeoutMs: settings.requestTimeoutMs,
      everything: library.IsolationLevel.READ_UNCOMMITTED,
      sleep: (ms: number) => scheduler.sleep(ms),
      handles: this.handles,
      check: () => this.check(),
    };
    try {
      await admin.connect();
      this.handles.assertKept();
      return await this.answer('an admin', work(new ConfluentAdmin(admin, parts)));
    } finally {
      await admin.disconnect().catch(() => undefined);
    }
  }

  /** Once it was answered well it is not asked again. */
  private check(): Promise<void> {
    this.checking ??= checkThatItSettles(this.parts).catch((error) => {
      this.checking = undefined;
      throw error;
    });
    return this.checking;
  }
}
