import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import { missingTools } from '@holdfast-internal/embedded-kafka';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { mayBeMissing } from './rabbit.js';

/** What the run found: one that was named, one that is started when it is asked for, or why there is none. */
interface Found {
  readonly address?: string;
  /** Port of the `KafkaStarter`. */
  readonly starter?: number;
  readonly reason?: string;
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

/** How long a start may take: the first one on a machine fetches Kafka with Maven. */
export const KAFKA_START_MS = 600_000;

let made = 0;

/** A suite that needs a Kafka. Where there is none it is skipped with the reason, and with `CI=true` it fails with it. */
export function describeWithKafka(title: string, suite: () => void): void {
  const { reason } = foundKafka();
  describeUnless(reason, title, suite);
}

/** A suite that breaks a Kafka of its own (`EmbeddedKafka`). Where one is named that nobody may break, it may also be missing with `CI=true`. */
export function describeWithOwnKafka(title: string, suite: () => void): void {
  const missing = missingTools();
  const reason = missing && `no Kafka can be started here: ${missing}`;
  if (reason !== undefined && foundKafka().address !== undefined) describe.skip(`${title} (${reason})`, suite);
  else describeUnless(reason, title, suite);
}

/** Makes an area of the Kafka of this run, which the first one starts. */
export async function openKafka(): Promise<KafkaArea> {
  const found = foundKafka();
  return kafkaAreaAt(await startedKafka(found), found.address === undefined ? SESSION_MS : SESSION_BY_DEFAULT_MS);
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
        if (topics.length > 0) await admin.deleteTopics({ topics });
      }),
  };
}

function describeUnless(reason: string | undefined, title: string, suite: () => void): void {
  if (reason === undefined) describe(title, suite);
  else if (mayBeMissing(process.env.CI)) describe.skip(`${title} (${reason})`, suite);
  else
    it(`${title}: has a Kafka`, () => {
      throw new Error(`${reason}. Without CI=true it would be skipped.`);
    });
}

function foundKafka(): Found {
  const found = process.env.HOLDFAST_TEST_BROKERS;
  if (!found) throw new Error('No brokers: name the file .int.spec.ts, .e2e.spec.ts or .crash.spec.ts, so that Jest looks for them');
  return (JSON.parse(found) as { readonly kafka: Found }).kafka;
}

async function startedKafka({ address, starter, reason }: Found): Promise<string> {
  if (address !== undefined) return address;
  if (starter === undefined) throw new Error(reason);
  const answer = JSON.parse(await text(connect(starter, '127.0.0.1'))) as Found;
  if (answer.address === undefined) throw new Error(answer.reason);
  return answer.address;
}
