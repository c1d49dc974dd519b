import { hfError, type SubscriptionSpec } from '@holdfast/core';
import type { KafkaAdmin, KafkaClient, Position, TopicPlan } from './client.port.js';
import { isInFirst } from './first-positions.js';
import { knownEnds } from './known-ends.js';
import type { Names } from './names.js';
import type { Settings } from './settings.js';

/** Beside the offset of a group in a partition: nobody had anything in hand when it was written. */
export const NOTHING_IN_HAND = 'nothing in hand';

/** A dead letter waits for a person, and there is no order to keep. */
const OF_DEAD_LETTERS = 1;
/** Each of its readers reads all of it. */
const OF_REPLIES = 1;
/** Nobody waits for longer. */
const REPLIES_STAY_MS = 3_600_000;

/** What is looked after here. */
export interface TopicsParts {
  readonly client: KafkaClient;
  readonly settings: Settings;
  readonly names: Names;
  /** Without a store the dead letters are at the broker. */
  readonly hasStore: boolean;
  /** As `KafkaClient.setPositions`, for a group whose members make transactions: only where it stands nowhere. */
  readonly setFirst: (spec: SubscriptionSpec, positions: readonly Position[]) => Promise<void>;
}

/** The topics of one service, and where its groups begin. */
export class Topics {
  /** That were seen to be there. */
  private readonly known = new Set<string>();

  constructor(private readonly parts: TopicsParts) {}

  /**
   * Makes or checks the topics that subscriptions need, as the option says, and settles where those begin that are new: `from: 'now'` is the end that
   * each partition has now, not the one it has when the first process comes to read it.
   *
   * @throws HF_BROKER_TOPOLOGY naming everything that is wrong, HF_CAPABILITY_UNSUPPORTED when the broker is too old for transactions of consumers
   */
  async ensure(subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    if (subscriptions.length === 0) return;
    const { client, settings } = this.parts;
    if (settings.topology !== 'none') await client.administer((admin) => this.have(admin, subscriptions));
    for (const spec of subscriptions) await this.begin(spec);
  }

  /** Whether it is there, as far as is known here. */
  isKnown(topic: string): boolean {
    return this.known.has(topic);
  }

  /**
   * Which of these topics are not there. Those that may be made are made, where that is ours to do.
   *
   * @param wanted by name: whether it may be made
   */
  async missing(wanted: ReadonlyMap<string, boolean>): Promise<ReadonlySet<string>> {
    const unknown = [...wanted.keys()].filter((topic) => !this.known.has(topic));
    if (unknown.length === 0) return new Set();
    return this.parts.client.administer(async (admin) => {
      const there = await admin.topics();
      // Before anything is made: what cannot be must not take them along.
      for (const topic of unknown) if (there.has(topic)) this.known.add(topic);
      const absent = unknown.filter((topic) => !there.has(topic));
      const made = this.parts.settings.topology === 'assert' ? absent.filter((topic) => wanted.get(topic)) : [];
      if (made.length > 0) await admin.create(made.map((topic) => this.planOf(topic)));
      for (const topic of made) this.known.add(topic);
      return new Set(absent.filter((topic) => !made.includes(topic)));
    });
  }

  /** Makes the topic of replies, whatever `topology` says, and lets a group begin with what comes from now on. */
  async haveReplies(topic: string, group: string): Promise<void> {
    const { client } = this.parts;
    const ends = await client.administer(async (admin) => {
      if (!(await admin.topics()).has(topic)) await admin.create([{ ...this.planOf(topic, OF_REPLIES), retentionMs: REPLIES_STAY_MS }]);
      const found = await admin.ends(topic);
      return (await admin.positions(group, found)).length > 0 ? [] : found.map(knownEnds);
    });
    if (ends.length > 0)
      await client.setPositions(
        group,
        ends.map(({ partition, next }) => ({ topic, partition, offset: next })),
      );
  }

  /** They may not be there any more. */
  forget(topics: Iterable<string>): void {
    for (const topic of topics) this.known.delete(topic);
  }

  private async have(admin: KafkaAdmin, subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    const { settings, names, hasStore } = this.parts;
    const ofTypes = new Set(subscriptions.flatMap((spec) => names.topicsOf(spec)));
    const ofDeadLetters = subscriptions
      .filter(({ transaction }) => !hasStore || transaction !== undefined)
      .map((spec) => names.deadLettersOf(spec));
    const there = await admin.topics();
    const absent = [...ofTypes, ...ofDeadLetters].filter((topic) => !there.has(topic));
    const problems = settings.topology === 'check' ? absent.map((topic) => `the topic ${topic} is not there`) : [];
    if (settings.arePartitionsGiven) {
      const counts = await admin.partitions([...ofTypes].filter((topic) => there.has(topic)));
      for (const [topic, count] of counts)
        if (count !== settings.partitions)
          problems.push(`the topic ${topic} has ${count} partitions, and kafka({ partitions }) says ${settings.partitions}`);
    }
    if (problems.length > 0) throw hfError('HF_BROKER_TOPOLOGY', { problems });
    if (absent.length > 0)
      await admin.create(absent.map((topic) => (ofDeadLetters.includes(topic) ? this.planOf(topic, OF_DEAD_LETTERS) : this.planOf(topic))));
  }

  /**
   * Several processes may do that at once, and each may write what it has found. The ends are looked at before it is known that the group stands nowhere:
   * so they are older than the start of any process that was done before, and nothing is skipped that such a one was to get.
   */
  private async begin(spec: SubscriptionSpec): Promise<void> {
    const { client, names } = this.parts;
    const group = names.groupOf(spec);
    const topics = names.topicsOf(spec);
    const beginnings = await client.administer(async (admin) => {
      // Only whether it can be asked is wanted. Nothing moves the group where it puts its dead letters, so there is nothing to wait for.
      if (spec.transaction !== undefined) await admin.settledPosition(group, { topic: names.deadLettersOf(spec), partition: 0 });
      const ends = (await Promise.all(topics.map((topic) => admin.ends(topic)))).flat();
      const positions = await admin.positions(group, ends);
      return ends.flatMap((found): Position[] => {
        const { topic, partition } = found;
        const ofTopic = positions.filter((position) => position.topic === topic);
        if (ofTopic.some((position) => position.partition === partition)) return [];
        const { first, next } = knownEnds(found);
        // A partition that was added since has to be read from its beginning. Transactions are one for each partition, and that of the first is the last.
        const isNew = spec.transaction === undefined ? ofTopic.length === 0 : !ofTopic.some(isInFirst);
        return [{ topic, partition, offset: isNew && spec.from === 'now' ? next : first, note: NOTHING_IN_HAND }];
      });
    });
    if (beginnings.length === 0) return;
    if (spec.transaction === undefined) await client.setPositions(group, beginnings);
    else await this.parts.setFirst(spec, beginnings);
  }

  private planOf(topic: string, partitions = this.parts.settings.partitions): TopicPlan {
    return { topic, partitions, replicationFactor: this.parts.settings.replicationFactor };
  }
}
