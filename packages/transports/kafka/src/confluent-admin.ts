import { hfError } from '@holdfast/core';
import type { KafkaAdmin, PartitionEnds, Place, Position, TopicPlan } from './client.port.js';
import { named, naming } from './confluent-errors.js';
import type { NativeAdmin, NativeError, NativeOffset } from './confluent-library.js';

/** Kafka's numbers for what another try may change: nobody answers yet, a leader is being found. */
const MAY_PASS = new Set([5, 6, 7, 9, 13, 14, 15, 16, 41, 42]);
/** Kafka's number for a group that it does not know. */
const NO_GROUP = 69;
/** Between two looks for a new topic. */
const LOOK_MS = 50;

/** What an admin works with. */
export interface ConfluentAdminParts {
  readonly timeoutMs: number;
  /** Of `IsolationLevel`: what is not committed counts. */
  readonly everything: number;
  readonly sleep: (ms: number) => Promise<void>;
  /** As the function of that name. */
  readonly whileEnding: <T>(ask: () => Promise<T>) => Promise<T>;
}

/** An admin of librdkafka. */
export class ConfluentAdmin implements KafkaAdmin {
  constructor(
    private readonly admin: NativeAdmin,
    private readonly parts: ConfluentAdminParts,
  ) {}

  async topics(): Promise<ReadonlySet<string>> {
    return new Set(await naming(this.admin.listTopics({ timeout: this.parts.timeoutMs })));
  }

  async partitions(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    if (topics.length === 0) return new Map();
    const found = await naming(this.admin.fetchTopicMetadata({ topics: [...topics], timeout: this.parts.timeoutMs }));
    return new Map(found.map(({ name, partitions }) => [name, partitions.length]));
  }

  async create(plans: readonly TopicPlan[]): Promise<void> {
    const topics = plans.map(({ topic, partitions, replicationFactor, retentionMs }) => ({
      topic,
      numPartitions: partitions,
      replicationFactor,
      configEntries: retentionMs === undefined ? [] : [{ name: 'retention.ms', value: String(retentionMs) }],
    }));
    try {
      await this.admin.createTopics({ topics, timeout: this.parts.timeoutMs });
    } catch (error) {
      const problems = refusedIn(error).map(({ topic, message }) => `the topic ${topic} cannot be made: ${message}`);
      throw problems.length > 0 ? hfError('HF_BROKER_TOPOLOGY', { problems }, { cause: error }) : error;
    }
    await this.seen(plans.map(({ topic }) => topic));
  }

  async ends(topic: string): Promise<readonly PartitionEnds[]> {
    const { timeoutMs, everything } = this.parts;
    const ends = await naming(this.admin.fetchTopicOffsets(topic, { timeout: timeoutMs, isolationLevel: everything }));
    return ends.map(({ partition, low, high }) => ({ topic, partition, first: BigInt(low), next: BigInt(high) }));
  }

  async positions(group: string, topics: readonly string[]): Promise<readonly Position[]> {
    return this.offsets({ groupId: group, topics: [...topics] }, topics);
  }

  async settledPosition(group: string, { topic, partition }: Place): Promise<Position | undefined> {
    const asked = { groupId: group, topics: [{ topic, partitions: [partition] }], requireStableOffsets: true };
    const [position] = await this.parts.whileEnding(() => this.offsets(asked, [topic]));
    return position;
  }

  /** The answer may be about other topics too, and what is wrong with those is nothing to us. */
  private async offsets(
    asked: Omit<Parameters<NativeAdmin['fetchOffsets']>[0], 'timeout'>,
    topics: readonly string[],
  ): Promise<readonly Position[]> {
    const found = await naming(this.admin.fetchOffsets({ ...asked, timeout: this.parts.timeoutMs })).catch((error) => {
      if ((error as Partial<NativeError>).code === NO_GROUP) return [];
      throw error;
    });
    const wanted = found.filter(({ topic }) => topics.includes(topic));
    return wanted.flatMap(({ topic, partitions }) => partitions.flatMap((each) => positionIn(topic, each) ?? []));
  }

  async forget(group: string): Promise<void> {
    await naming(this.admin.deleteGroups([group], { timeout: this.parts.timeoutMs }));
  }

  /** A topic is there before each broker knows it. */
  private async seen(topics: readonly string[]): Promise<void> {
    const { timeoutMs, sleep } = this.parts;
    for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += LOOK_MS) {
      const there = await this.topics();
      if (topics.every((topic) => there.has(topic))) return;
      await sleep(LOOK_MS);
    }
  }
}

function positionIn(topic: string, { partition, offset, metadata, error }: NativeOffset): Position | undefined {
  if (error) throw named(error);
  return Number(offset) < 0 ? undefined : { topic, partition, offset: BigInt(offset), note: metadata || undefined };
}

interface NotMade {
  readonly topic: string;
  readonly message: string;
  readonly code: number;
}

/** What asking again does not change. What librdkafka itself says, with negative numbers, is of connections. */
function refusedIn(error: unknown): readonly NotMade[] {
  const errors = (error as { readonly errors?: unknown }).errors;
  if (!Array.isArray(errors)) return [];
  return (errors as readonly NotMade[]).filter(({ code }) => code > 0 && !MAY_PASS.has(code));
}
