import type { Clock, Logger } from '@holdfast/core';
import { type Admin, Kafka, type KafkaConfig, type RetryOptions } from 'kafkajs';
import { BaseDriver, type WaitingParts } from './base-driver.js';
import type {
  ConsumerOptions,
  KafkaAdmin,
  KafkaDriver,
  KafkaConsumer,
  KafkaProducer,
  KafkaTransactions,
  Place,
  TransactionOptions,
} from './client.port.js';
import { readCommittedOnly } from './committed-only.js';
import { leavingHungLeaders } from './hung-leaders.js';
import { KafkajsAdmin } from './kafkajs-admin.js';
import { KafkajsConsumer } from './kafkajs-consumer.js';
import { encodeQuickly, KafkajsProducer } from './kafkajs-producer.js';
import { checkKafkajs, withInside } from './kafkajs-inside.js';
import { KafkajsTransactions } from './kafkajs-transactions.js';
import { Members } from './members.js';
import { rejoining } from './rejoining.js';
import { Seeds } from './seeds.js';
import { settledPosition } from './settled-position.js';
import { Sockets } from './sockets.js';
import { whileEnding } from './while-ending.js';

/** Given everywhere: without it kafkajs retries for ever where it is idempotent, and otherwise under Jest than elsewhere. */
const RETRY: RetryOptions = { initialRetryTime: 100, maxRetryTime: 1000, retries: 3, factor: 0.2, multiplier: 2 };

/** After each commit the broker asks to wait for a moment, and kafkajs takes the first step of this for it. */
const TRANSACTION_RETRY: RetryOptions = { initialRetryTime: 5, maxRetryTime: 200, retries: 40, factor: 0.2, multiplier: 1.5 };

/** What the driver works with. */
export interface DriverParts extends WaitingParts {
  readonly clock: Clock;
  readonly logger: Logger;
  /** Shown by the broker's tools. */
  readonly clientId: string;
}

/**
 * Kafka through kafkajs 2.2.4. Whatever it does not do, or does otherwise than one would think, ends here: no error of a handler reaches it, it repairs
 * nothing by itself that it cannot repair, and every wait has an end.
 */
export class KafkajsClient extends BaseDriver<DriverParts> implements KafkaDriver {
  private readonly kafka: Kafka;
  private readonly sockets = new Sockets();
  private readonly withInside: ReturnType<typeof withInside>;
  private readonly seeds: Seeds;
  private readonly members: Members;

  constructor(parts: DriverParts) {
    // With the tries that kafkajs makes.
    super(parts, 2 * parts.settings.requestTimeoutMs + 2 * parts.settings.sessionTimeoutMs);
    checkKafkajs();
    this.seeds = new Seeds(parts.settings.brokers);
    const kafka = leavingHungLeaders(readCommittedOnly(this.kafkaWith(RETRY)));
    // Within what lets them come back: who leaves in vain is no other member for it.
    this.members = new Members(kafka);
    this.kafka = rejoining(kafka);
    this.withInside = withInside(this.kafka);
  }

  private kafkaWith(retry: RetryOptions): Kafka {
    const { settings, clientId, logger, clock } = this.parts;
    const { ssl, sasl, requestTimeoutMs } = settings;
    const kafka = new Kafka({
      clientId,
      brokers: () => this.seeds.list,
      ssl: ssl as KafkaConfig['ssl'],
      sasl,
      connectionTimeout: requestTimeoutMs,
      authenticationTimeout: requestTimeoutMs,
      requestTimeout: requestTimeoutMs,
      enforceRequestTimeout: true,
      retry,
      socketFactory: this.sockets.make,
      logCreator: () => told(logger),
    } as KafkaConfig);
    return encodeQuickly(kafka, clock);
  }

  drop(): void {
    this.sockets.drop();
  }

  async openProducer(): Promise<KafkaProducer> {
    const producer = new KafkajsProducer(this.kafka, this.parts);
    return this.seeds.trying(() => this.opened('a producer', producer, producer.connect()));
  }

  async openTransactions(options: TransactionOptions): Promise<KafkaTransactions> {
    const transactions = new KafkajsTransactions(this.kafkaWith(TRANSACTION_RETRY), options, this.parts);
    return this.seeds.trying(() => this.opened(`the transactional id ${options.transactionalId}`, transactions, transactions.connect()));
  }

  async openConsumer(options: ConsumerOptions): Promise<KafkaConsumer> {
    const consumer = new KafkajsConsumer(this.kafka, options, { ...this.parts, members: this.members });
    return this.seeds.trying(() => this.opened('a consumer', consumer, consumer.join()));
  }

  administer<T>(work: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
    return this.seeds.trying(() => this.withAdmin(work));
  }

  private async withAdmin<T>(work: (admin: KafkaAdmin) => Promise<T>): Promise<T> {
    const [admin, cluster] = this.withInside(() => this.kafka.admin());
    let isOver = false;
    const waiting = { ...this.parts, isOver: () => isOver };
    const askSettled = (group: string, place: Place) => whileEnding(waiting, () => settledPosition(cluster, group, place));
    try {
      await this.answer('an admin', admin.connect());
      return await work(new KafkajsAdmin(admin, (request, answer) => this.answer(request, answer), askSettled));
    } finally {
      isOver = true;
      await this.bye(admin);
    }
  }

  private async bye(admin: Admin): Promise<void> {
    await this.answer('the end of an admin', admin.disconnect()).catch(() => undefined);
  }
}

/** An entry of its log. */
interface Entry {
  readonly log: { readonly message: string; readonly topic?: string; readonly partition?: number };
}

/** Of its log only what it does by itself and tells nobody else; whatever else it calls an error reaches whoever asked, or is tried again. */
function told(logger: Logger): (entry: Entry) => void {
  return ({ log: { message, topic, partition } }) => {
    if (message.includes('resetting to default offset'))
      logger.warn('records were deleted before they were read; reading goes on with the oldest that is there', { topic, partition });
  };
}
