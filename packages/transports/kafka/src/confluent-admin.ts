import { hfError } from '@holdfast/core';
import type { KafkaAdmin, LeaderlessPartition, PartitionEnds, Place, Position, TopicPlan } from './client.port.js';
import { naming } from './confluent-errors.js';
import type { ConfluentHandles } from './confluent-handles.js';
import type { NativeAdmin } from './confluent-library.js';

/** Kafka's numbers for what another try may change: nobody answers yet, a leader is being found. */
const MAY_PASS = new Set([5, 6, 7, 9, 13, 14, 15, 16, 41, 42]);
/** Between two looks for a new topic. */
const LOOK_MS = 50;

/** What an admin works with. */
export interface ConfluentAdminParts {
  readonly timeoutMs: number;
  /** Of `IsolationLevel`: what is not committed counts. */
  readonly everything: number;
  readonly sleep: (ms: number) => Promise<void>;
  /** Where groups stand is asked by them. */
  readonly handles: Pick<ConfluentHandles, 'positions' | 'settledPosition'>;
  /** @throws HF_CAPABILITY_UNSUPPORTED when the brokers cannot say where a group stands once its transactions are settled */
  readonly check: () => Promise<void>;
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

  async ends(topic: string): Promise<readonly (PartitionEnds | LeaderlessPartition)[]> {
    const { timeoutMs, everything } = this.parts;
    const ends = await naming(this.admin.fetchTopicOffsets(topic, { timeout: timeoutMs, isolationLevel: everything }));
    return ends.map(({ partition, low, high }) => {
      const [first, next] = [BigInt(low), BigInt(high)];
      // A negative end is how it tells of a partition whose leader is not known.
      return first < 0n || next < 0n ? { topic, partition, first: undefined, next: undefined } : { topic, partition, first, next };
    });
  }

  positions(group: string, places: readonly Place[]): Promise<readonly Position[]> {
    return this.parts.handles.positions(group, places);
  }

  async settledPosition(group: string, place: Place): Promise<Position | undefined> {
    await this.parts.check();
    return this.parts.handles.settledPosition(group, place);
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
