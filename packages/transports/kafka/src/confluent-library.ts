import { createRequire } from 'node:module';
import { hfError } from '@holdfast/core';

const NAME = '@confluentinc/kafka-javascript';

/** What is used of the library, which is there only where somebody has installed it. Its callbacks give an error first. */
export interface ConfluentLibrary {
  readonly Producer: new (config: Config, ofTopics: Config) => NativeProducer;
  readonly KafkaConsumer: new (config: Config, ofTopics: Config) => NativeConsumer;
  readonly KafkaJS: { readonly Kafka: new (config: Config) => { admin(): NativeAdmin } };
  readonly IsolationLevel: { readonly READ_UNCOMMITTED: number };
}

/** Settings of librdkafka by their names, and functions that it calls. */
export type Config = Readonly<Record<string, unknown>>;

/** An error of librdkafka. */
export interface NativeError extends Error {
  /** Kafka's own where it is positive, librdkafka's where it is negative. */
  readonly code: number;
}

/** Called when something is done. */
export type Done<T = unknown> = (error: NativeError | null | undefined, result: T) => void;

/** A place in a log, as the library takes and gives it. */
export interface NativePlace {
  readonly topic: string;
  readonly partition: number;
  readonly offset?: number;
  readonly metadata?: string;
}

/** Has threads and connections of its own. */
export interface NativeClient {
  on(name: string, listener: (...told: never[]) => void): this;
  off(name: string, listener: (...told: never[]) => void): this;
  connect(metadata: { readonly allTopics: boolean; readonly timeout: number }, done: Done): void;
  disconnect(done: Done): void;
  isConnected(): boolean;
}

/** Tells of each record with the event `delivery-report`. */
export interface NativeProducer extends NativeClient {
  setPollInBackground(isSet: boolean): void;
  produce(...args: readonly unknown[]): void;
  flush(timeoutMs: number, done: Done): void;
  initTransactions(timeoutMs: number, done: Done): void;
  beginTransaction(done: Done): void;
  sendOffsetsToTransaction(...args: readonly [readonly NativePlace[], NativeConsumer, number, Done]): void;
  commitTransaction(timeoutMs: number, done: Done): void;
  abortTransaction(timeoutMs: number, done: Done): void;
}

/** A record as it was read. */
export interface NativeRecord extends NativePlace {
  readonly offset: number;
  readonly key: Buffer | string | null;
  readonly value: Buffer | null;
  readonly timestamp: number;
  readonly headers?: readonly Readonly<Record<string, Buffer>>[];
}

/** Reads what is assigned to it. */
export interface NativeConsumer extends NativeClient {
  setDefaultConsumeTimeout(timeoutMs: number): void;
  subscribe(topics: readonly string[]): void;
  consume(most: number, done: Done<readonly NativeRecord[]>): void;
  incrementalAssign(places: readonly NativePlace[]): void;
  incrementalUnassign(places: readonly NativePlace[]): void;
  assignmentLost(): boolean;
  pause(places: readonly NativePlace[]): void;
  resume(places: readonly NativePlace[]): void;
  /** Calls back when the broker is about to be asked. What it says is told with the event `offset.commit`, where the option `offset_commit_cb` is set. */
  commitCb(places: readonly NativePlace[], done: Done): void;
  /** In the answer a partition that has an error is only that. */
  committed(places: readonly NativePlace[], timeoutMs: number, done: Done<readonly (NativePlace | Error)[]>): void;
}

/** Answers with promises. */
export interface NativeAdmin {
  connect(): Promise<void>;
  disconnect(): Promise<void>;
  listTopics(options: { readonly timeout: number }): Promise<readonly string[]>;
  fetchTopicMetadata(options: {
    readonly topics: readonly string[];
    readonly timeout: number;
  }): Promise<readonly { readonly name: string; readonly partitions: readonly unknown[] }[]>;
  createTopics(options: { readonly topics: readonly object[]; readonly timeout: number }): Promise<unknown>;
  deleteGroups(groups: readonly string[], options: { readonly timeout: number }): Promise<unknown>;
  fetchTopicOffsets(
    topic: string,
    options: { readonly timeout: number; readonly isolationLevel: number },
  ): Promise<readonly { readonly partition: number; readonly low: string; readonly high: string }[]>;
}

/** @throws HF_CONFIG_INVALID when it is not there, was not built for this Node, or is a version that was not tried */
export function confluentLibrary(load: (name: string) => unknown = createRequire(__filename)): ConfluentLibrary {
  const { version } = loaded(load, `${NAME}/package.json`) as { readonly version: string };
  const [major = 0, minor = 0, patch = 0] = version.split('.').map((part) => Number.parseInt(part, 10));
  const isKnown = major === 1 && (minor > 10 || (minor === 10 && patch >= 1));
  if (isKnown) return loaded(load, NAME) as ConfluentLibrary;
  const problem = `kafka({ driver: 'confluent' }) needs ${NAME} from 1.10.1 on and below 2, and ${version} is installed; install one of those, or use 'kafkajs'`;
  throw hfError('HF_CONFIG_INVALID', { problems: [problem] });
}

function loaded(load: (name: string) => unknown, name: string): unknown {
  try {
    return load(name);
  } catch (error) {
    const [reason] = (error as Error).message.split('\n');
    const problem = `kafka({ driver: 'confluent' }) needs ${NAME}, which cannot be loaded (${reason}); install it, or use 'kafkajs'`;
    throw hfError('HF_CONFIG_INVALID', { problems: [problem] }, { cause: error });
  }
}
