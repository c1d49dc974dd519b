import { hfError } from '@holdfast/core';
import { type Admin, type ITopicConfig, KafkaJSAggregateError } from 'kafkajs';
import type { KafkaAdmin, PartitionEnds, Place, Position, TopicPlan } from './client.port.js';
import type { GroupOffset } from './settled-position.js';

/** Waits for an answer, but not for ever. */
type Answer = <T>(request: string, answer: Promise<T>) => Promise<T>;

/** Asks where a group stands, when that is settled. */
type AskSettled = (group: string, place: Place) => Promise<GroupOffset | undefined>;

/** An admin of kafkajs, which does not know how to ask for what is settled. */
export class KafkajsAdmin implements KafkaAdmin {
  constructor(
    private readonly admin: Admin,
    private readonly answer: Answer,
    private readonly askSettled: AskSettled,
  ) {}

  async topics(): Promise<ReadonlySet<string>> {
    return new Set(await this.answer('the list of topics', this.admin.listTopics()));
  }

  async partitions(topics: readonly string[]): Promise<ReadonlyMap<string, number>> {
    if (topics.length === 0) return new Map();
    const { topics: found } = await this.answer('topics', this.admin.fetchTopicMetadata({ topics: [...topics] }));
    return new Map(found.map(({ name, partitions }) => [name, partitions.length]));
  }

  async create(plans: readonly TopicPlan[]): Promise<void> {
    const topics = plans.map(
      ({ topic, partitions, replicationFactor, retentionMs }): ITopicConfig => ({
        topic,
        numPartitions: partitions,
        replicationFactor,
        configEntries: retentionMs === undefined ? [] : [{ name: 'retention.ms', value: String(retentionMs) }],
      }),
    );
    const made = this.admin.createTopics({ topics, waitForLeaders: true }).catch((error: unknown) => {
      const problems = refusedIn(error).map(({ topic, message }) => `the topic ${topic} cannot be made: ${message}`);
      throw problems.length > 0 ? hfError('HF_BROKER_TOPOLOGY', { problems }, { cause: error }) : error;
    });
    await this.answer('new topics', made);
  }

  async ends(topic: string): Promise<readonly PartitionEnds[]> {
    const ends = await this.answer('the ends of a topic', this.admin.fetchTopicOffsets(topic));
    return ends.map(({ partition, low, high }) => ({ topic, partition, first: BigInt(low), next: BigInt(high) }));
  }

  async forget(group: string): Promise<void> {
    await this.answer('the end of a group', this.admin.deleteGroups([group]));
  }

  /** A negative offset is nowhere: none was committed, or a consumer was about to begin anew (it commits `-2` for a moment). */
  async positions(group: string, topics: readonly string[]): Promise<readonly Position[]> {
    const found = await this.answer('the place of a group', this.admin.fetchOffsets({ groupId: group, topics: [...topics] }));
    return found.flatMap(({ topic, partitions }) => partitions.flatMap((each) => positionIn(topic, each) ?? []));
  }

  async settledPosition(group: string, place: Place): Promise<Position | undefined> {
    const found = await this.answer('the place of a group', this.askSettled(group, place));
    return found && positionIn(place.topic, found);
  }
}

function positionIn(topic: string, { partition, offset, metadata }: Omit<GroupOffset, 'errorCode'>): Position | undefined {
  return offset.startsWith('-') ? undefined : { topic, partition, offset: BigInt(offset), note: noteIn(metadata) };
}

/** What kafkajs says of one topic; its types do not know it. */
interface NotMade {
  readonly topic: string;
  readonly message: string;
  readonly type: string;
  readonly retriable: boolean;
}

/** What asking again does not change. */
function refusedIn(error: unknown): readonly NotMade[] {
  if (!(error instanceof KafkaJSAggregateError)) return [];
  const notMade: readonly unknown[] = error.errors;
  return (notMade as readonly NotMade[]).filter(({ retriable, type }) => !retriable && type !== 'TOPIC_ALREADY_EXISTS');
}

/** librdkafka ends a note with a zero. */
function noteIn(metadata: string | null): string | undefined {
  return metadata?.replace(/\0$/, '') ?? undefined;
}
