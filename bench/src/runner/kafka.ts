import { EmbeddedKafka, missingTools } from '@holdfast-internal/embedded-kafka';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { Skipped } from './rabbit.js';

/** Partitions of each topic. */
export const PARTITIONS = 8;

/** Where a part of a run is on a Kafka: the begin of the names of its topics and groups. */
export interface KafkaPlace {
  readonly brokers: readonly [string];
  readonly prefix: string;
}

/** What a run has on a Kafka. */
export interface KafkaArea {
  place(): KafkaPlace;
  close(): Promise<void>;
}

/** The Kafka that HOLDFAST_TEST_KAFKA names, or one that is started for the run. @throws Skipped when there is none */
export async function openKafka(): Promise<KafkaArea> {
  const named = process.env.HOLDFAST_TEST_KAFKA;
  const missing = named === undefined ? missingTools() : undefined;
  if (missing !== undefined) throw new Skipped(`no Kafka can be started (${missing}); name one with HOLDFAST_TEST_KAFKA`);
  const embedded = named === undefined ? await EmbeddedKafka.start() : undefined;
  const brokers = [named ?? embedded?.address ?? ''] as const;
  const ours = `holdfast-bench-${process.pid}-`;
  let places = 0;
  return {
    place: () => {
      places += 1;
      return { brokers, prefix: `${ours}${places}.` };
    },
    close: async () => {
      if (embedded !== undefined) return embedded.remove();
      await asAdmin({ brokers, prefix: ours }, async (admin) => {
        await admin.deleteTopics({ topics: (await admin.listTopics()).filter((topic) => topic.startsWith(ours)) });
      });
    },
  };
}

/** A client by hand; `initialRetryTime` as a careful developer sets it for transactions. */
export function clientOf({ brokers }: KafkaPlace, initialRetryTime = 100): Kafka {
  return new Kafka({ brokers: [...brokers], logLevel: logLevel.NOTHING, retry: { initialRetryTime, retries: 40, maxRetryTime: 1000 } });
}

/** Something done with an admin of its own. */
export async function asAdmin<T>(place: KafkaPlace, work: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = clientOf(place).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}

export async function makeTopics(place: KafkaPlace, ...topics: readonly string[]): Promise<void> {
  await asAdmin(place, (admin) =>
    admin.createTopics({ topics: topics.map((topic) => ({ topic, numPartitions: PARTITIONS })), waitForLeaders: true }),
  );
}

/** Records that a topic has had so far. */
export async function recordsIn(admin: Admin, topic: string): Promise<number> {
  const ends = await admin.fetchTopicOffsets(topic);
  return ends.reduce((sum, { high }) => sum + Number(high), 0);
}
