import { EmbeddedKafka, missingTools } from '@holdfast-internal/embedded-kafka';
import { connect } from 'amqplib';
import { Kafka, logLevel } from 'kafkajs';

const DEFAULT_URL = 'amqp://guest:guest@127.0.0.1:5672';
const CONNECT_MS = 5000;
/** Of this run alone, so that it meets nobody at brokers that others use. */
const RUN = `holdfast-sample-${process.pid}-${Date.now().toString(36)}`;

/** The two brokers of a run. */
export class Brokers {
  private constructor(
    private readonly url: string,
    private readonly brokers: readonly string[],
    /** Started for this run; undefined when KAFKA_BROKERS names one that is somebody's. */
    readonly kafka: EmbeddedKafka | undefined,
  ) {}

  /** A RabbitMQ that is there, and a Kafka: the one at KAFKA_BROKERS, else one that is started. @throws an Error that says what is missing, and what to do */
  static async open({ RABBITMQ_URL: url = DEFAULT_URL, KAFKA_BROKERS: brokers } = process.env): Promise<Brokers> {
    await connect(url, { timeout: CONNECT_MS }).then(
      (connection) => connection.close(),
      ({ message, code }: { readonly message?: string; readonly code?: string }) => {
        throw new Error(`There is no RabbitMQ at ${new URL(url).host} (${message || code}): start one, or name one with RABBITMQ_URL.`);
      },
    );
    if (brokers !== undefined) return new Brokers(url, brokers.split(','), undefined);
    const missing = missingTools();
    if (missing !== undefined)
      throw new Error(`No Kafka can be started: ${missing}. Install Java and Maven, or name one with KAFKA_BROKERS.`);
    const embedded = await EmbeddedKafka.start();
    return new Brokers(url, [embedded.address], embedded);
  }

  /** By which the service knows them. */
  get environment(): Readonly<Record<string, string>> {
    return { RABBITMQ_URL: this.url, RABBITMQ_EXCHANGE: RUN, KAFKA_BROKERS: this.brokers.join(','), KAFKA_PREFIX: `${RUN}.` };
  }

  /** Takes away what the run has made there. */
  async clean(): Promise<void> {
    const connection = await connect(this.url);
    const channel = await connection.createChannel();
    for (const part of ['shop', 'shop:dead']) await channel.deleteQueue(`${RUN}/${part}/payments.charge`);
    await channel.deleteExchange(RUN);
    await connection.close();
    if (this.kafka !== undefined) return this.kafka.remove();
    const admin = new Kafka({ brokers: [...this.brokers], logLevel: logLevel.NOTHING }).admin();
    const isOurs = (name: string) => name.startsWith(RUN);
    await admin.connect();
    await admin.deleteTopics({ topics: (await admin.listTopics()).filter(isOurs) });
    const { groups } = await admin.listGroups();
    await admin.deleteGroups(groups.map(({ groupId }) => groupId).filter(isOurs));
    await admin.disconnect();
  }
}
