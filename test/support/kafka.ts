import { createRequire } from 'node:module';
import { missingTools } from '@holdfast-internal/embedded-kafka';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { type FoundBroker, describeUnless, describeUnlessMissing, foundBroker, startedBroker } from './started-broker.js';

/** Where it is. */
interface Place {
  readonly address: string;
}

/** A part of a Kafka that belongs to one file of tests. */
export interface KafkaArea {
  /** Of the broker. */
  readonly address: string;
  /** The shortest session it allows. */
  readonly sessionMs: number;
  /** A client with nothing set, for what a test does behind the transport's back. */
  readonly client: Kafka;
  /** A prefix for topics and groups that nobody else has. */
  name(): string;
  /** Something done with an admin of its own. */
  as<T>(work: (admin: Admin) => Promise<T>): Promise<T>;
  /** Deletes the topics whose names begin so; by default all that are under a name of this area. */
  clear(prefix?: string): Promise<void>;
}

/** What an `EmbeddedKafka` allows, and others if they are not told otherwise. */
const SESSION_MS = 1000;
const SESSION_BY_DEFAULT_MS = 6000;

let made = 0;

/** A suite that needs a Kafka. Where there is none it is skipped with the reason, and with `CI=true` it fails with it. */
export function describeWithKafka(title: string, suite: () => void): void {
  const { reason } = foundKafka();
  describeUnless(reason, { broker: 'Kafka', title, suite });
}

/** A suite that breaks a Kafka of its own (`EmbeddedKafka`). Where the environment names one, which nobody may break, it may also be missing with `CI=true`. */
export function describeWithOwnKafka(title: string, suite: () => void): void {
  describeUnlessMissing(missingTools(), { broker: 'Kafka', title, suite, others: foundKafka() });
}

/**
 * A suite that needs a Kafka and `@confluentinc/kafka-javascript`, which nobody has to have: where it is not installed the suite is skipped, also with `CI=true`. It fails where
 * the run asks for that driver.
 */
export function describeWithConfluent(title: string, suite: () => void): void {
  const problem = confluentProblem();
  if (problem === undefined) describeWithKafka(title, suite);
  else if (kafkaDriver() === 'confluent')
    it(`${title}: has the driver`, () => {
      throw new Error(`${problem}, and HOLDFAST_TEST_KAFKA_DRIVER asks for it; name the node_modules that has it in NODE_PATH`);
    });
  // One line, not one for each test: most runs are without it.
  else it.skip(`${title} (${problem})`, () => undefined);
}

/** Looked for as the transport does it. */
function confluentProblem(): string | undefined {
  try {
    createRequire(__filename)('@confluentinc/kafka-javascript');
    return undefined;
  } catch (error) {
    return `@confluentinc/kafka-javascript cannot be loaded: ${(error as Error).message.split('\n')[0]}`;
  }
}

/** The driver with which suites of Kafka run: `HOLDFAST_TEST_KAFKA_DRIVER` names another one than the default. @throws when it names none */
export function kafkaDriver(named: string | undefined = process.env.HOLDFAST_TEST_KAFKA_DRIVER): 'kafkajs' | 'confluent' {
  if (!named || named === 'kafkajs') return 'kafkajs';
  if (named === 'confluent') return named;
  throw new Error(`HOLDFAST_TEST_KAFKA_DRIVER is ${named}; use 'kafkajs' or 'confluent'`);
}

/** Makes an area of the Kafka of this run, which the first one starts. */
export async function openKafka(): Promise<KafkaArea> {
  const found = foundKafka();
  const { address } = await startedBroker(found);
  return kafkaAreaAt(address, found.address === undefined ? SESSION_MS : SESSION_BY_DEFAULT_MS);
}

/** Makes an area of any Kafka. */
export function kafkaAreaAt(address: string, sessionMs = SESSION_MS): KafkaArea {
  const client = new Kafka({ brokers: [address], logLevel: logLevel.NOTHING });
  made += 1;
  const ours = `test-${Date.now().toString(36)}-${process.pid}-${made}.`;
  let names = 0;
  const as = async <T>(work: (admin: Admin) => Promise<T>): Promise<T> => {
    const admin = client.admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  };
  return {
    address,
    sessionMs,
    client,
    name: () => {
      names += 1;
      return `${ours}${names}.`;
    },
    as,
    clear: (prefix = ours) =>
      as(async (admin) => {
        const topics = (await admin.listTopics()).filter((topic) => topic.startsWith(prefix));
        if (topics.length === 0) return;
        // A request that took too long is made again by kafkajs, and finds those that are gone by then.
        await admin.deleteTopics({ topics }).catch((error: Error) => {
          if (!/does not host this topic-partition/.test(String((error.cause as Error | undefined)?.message ?? error.message))) throw error;
        });
      }),
  };
}

function foundKafka(): FoundBroker<Place> {
  return foundBroker<Place>('kafka');
}
