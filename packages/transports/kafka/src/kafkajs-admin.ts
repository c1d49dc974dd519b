import { hfError } from '@holdfast/core';
import { type Admin, type ITopicConfig, KafkaJSAggregateError } from 'kafkajs';
import type { KafkaAdmin, PartitionEnds, Place, Position, TopicPlan } from './client.port.js';
import type { GroupOffset } from './settled-position.js';
import { standingAt } from './standing.js';

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

  /** kafkajs asks for the partitions that it has heard of, which need not be all. */
  async positions(group: string, places: readonly Place[]): Promise<readonly Position[]> {
    const topics = [...new Set(places.map(({ topic }) => topic))];
    const found = await this.answer('the place of a group', this.admin.fetchOffsets({ groupId: group, topics }));
    return places.flatMap(({ topic, partition }) => {
      const told = found.find((each) => each.topic === topic)?.partitions.find((each) => each.partition === partition);
      if (told === undefined) throw new Error(`the broker has not told where ${group} stands in ${topic}/${partition}`);
      return positionIn(topic, told) ?? [];
    });
  }

  async settledPosition(group: string, place: Place): Promise<Position | undefined> {
    const found = await this.answer('the place of a group', this.askSettled(group, place));
    return found && positionIn(place.topic, found);
  }
}

function positionIn(topic: string, { partition, offset, metadata }: Omit<GroupOffset, 'errorCode'>): Position | undefined {
  const standing = standingAt(BigInt(offset));
  return standing === undefined ? undefined : { topic, partition, offset: standing, note: noteIn(metadata) };
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

/** As librdkafka ends a note, which takes the last sign off when it reads one. */
const END = '\0';

/** A note as it is written beside an offset. */
export function writtenNote(note: string | undefined): string | null {
  return note === undefined ? null : `${note}${END}`;
}

function noteIn(metadata: string | null): string | undefined {
  return metadata?.endsWith(END) ? metadata.slice(0, -END.length) : (metadata ?? undefined);
}
