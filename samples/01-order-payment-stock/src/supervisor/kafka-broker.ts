import { EmbeddedKafka, missingTools } from '@holdfast-internal/embedded-kafka';
import { Kafka, logLevel } from 'kafkajs';
import type { Broker } from './broker.js';

/** The Kafka of a run: the one at KAFKA_BROKERS, with topics of this run, which are removed at its end; else one that is started for it. */
export class KafkaBroker implements Broker {
  readonly environment;

  private constructor(
    private readonly brokers: readonly string[],
    private readonly embedded: EmbeddedKafka | undefined,
  ) {
    this.environment = { KAFKA_BROKERS: brokers.join(','), KAFKA_PREFIX: `holdfast-sample-${process.pid}-${Date.now().toString(36)}.` };
  }

  /** @throws an Error that says what to do when there is none */
  static async open(brokers = process.env.KAFKA_BROKERS): Promise<KafkaBroker> {
    if (brokers !== undefined) return new KafkaBroker(brokers.split(','), undefined);
    const missing = missingTools();
    if (missing !== undefined) throw new Error(`no Kafka can be started: ${missing}. Install Java and Maven, or set KAFKA_BROKERS`);
    const embedded = await EmbeddedKafka.start();
    return new KafkaBroker([embedded.address], embedded);
  }

  async remove(): Promise<void> {
    if (this.embedded !== undefined) return this.embedded.remove();
    const admin = new Kafka({ brokers: [...this.brokers], logLevel: logLevel.NOTHING }).admin();
    const isOurs = (name: string) => name.startsWith(this.environment.KAFKA_PREFIX);
    await admin.connect();
    await admin.deleteTopics({ topics: (await admin.listTopics()).filter(isOurs) });
    const { groups } = await admin.listGroups();
    await admin.deleteGroups(groups.map(({ groupId }) => groupId).filter(isOurs));
    await admin.disconnect();
  }
}
