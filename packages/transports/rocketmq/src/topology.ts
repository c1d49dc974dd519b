import { hfError, type Logger, type SubscriptionSpec } from '@holdfast/core';
import type {
  Administer,
  GroupFacts,
  Position,
  Queue,
  RocketmqGroups,
  RocketmqOffsets,
  RocketmqTopics,
  TopicKind,
  TopicPlan,
} from './client.port.js';
import type { Names } from './names.js';
import type { Settings } from './settings.js';

/** A dead letter waits for a person, and there is no order to keep. */
const OF_DEAD_LETTERS = { kind: 'NORMAL', queues: 1 } as const;

/**
 * The broker puts a message away (`%DLQ%`) after as many deliveries as its group says. That is a net that must not be met: a message that ends processes is
 * given up by the engine long before, and one that was given back in good order counts too.
 */
const FEWEST_DELIVERIES = 10_000;

/** What is looked after here. */
export interface TopologyParts {
  readonly administer: Administer;
  readonly settings: Settings;
  readonly names: Names;
  readonly logger: Logger;
  /** Without a store the dead letters are at the broker. */
  readonly hasStore: boolean;
}

/** Where a group is to begin in a topic. */
interface Beginning {
  readonly group: string;
  readonly topic: string;
  readonly from: SubscriptionSpec['from'];
}

/** The topics and groups of one service, and where its groups begin. */
export class RocketmqTopology {
  /** Topics that were seen to be there. */
  private readonly known = new Set<string>();

  constructor(private readonly parts: TopologyParts) {}

  /**
   * Makes or checks what subscriptions need, as the option says, and settles where those begin that are new: `from: 'now'` is the end that each queue has
   * now, not what the broker takes for it when the first process comes.
   *
   * @throws HF_BROKER_TOPOLOGY naming everything that is wrong
   */
  async ensure(subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    const { administer, settings, names, logger } = this.parts;
    if (subscriptions.length === 0) return;
    if (settings.topology === 'none')
      return logger.info('groups that are new begin where the broker lets them begin', { transport: 'rocketmq', topology: 'none' });
    await administer(async (admin) => {
      const problems = [...(await this.haveTopics(admin, subscriptions)), ...(await this.haveGroups(admin, subscriptions))];
      if (problems.length > 0) throw hfError('HF_BROKER_TOPOLOGY', { problems });
      for (const spec of subscriptions)
        for (const topic of names.topicsOf(spec)) await this.beginIn(admin, { group: names.groupOf(spec), topic, from: spec.from });
    });
  }

  /** Whether it is there, as far as is known here. */
  isKnown(topic: string): boolean {
    return this.known.has(topic);
  }

  /**
   * Which of these topics are not there. Those that may be made are made, where that is ours to do. The proxy is not asked: what it does not find it
   * remembers for twenty seconds. Nor are the
   * brokers, of which one that hangs must not keep what the others take.
   *
   * @param wanted by name: whether it may be made
   */
  async missing(wanted: ReadonlyMap<string, boolean>): Promise<ReadonlySet<string>> {
    const { administer, settings } = this.parts;
    const unknown = [...wanted.keys()].filter((topic) => !this.known.has(topic));
    if (unknown.length === 0 || settings.topology === 'none') return new Set();
    return administer(async (admin) => {
      const there = await admin.topics(unknown);
      // Before anything is made: what cannot be must not take them along.
      for (const topic of unknown) if (there.has(topic)) this.known.add(topic);
      const absent = unknown.filter((topic) => !there.has(topic));
      const made = settings.topology === 'assert' ? absent.filter((topic) => wanted.get(topic)) : [];
      for (const topic of made) {
        await admin.makeTopic(this.planOf(topic));
        this.known.add(topic);
      }
      return new Set(absent.filter((topic) => !made.includes(topic)));
    });
  }

  /** Makes the topic of replies and the group of a process, whatever `topology` says, and lets it begin with what comes from now on. */
  async haveReplies(topic: string, group: string): Promise<void> {
    await this.parts.administer(async (admin) => {
      if (!(await admin.topics([topic])).has(topic)) await admin.makeTopic(this.planOf(topic));
      await admin.makeGroup(group, { isOrdered: false });
      await this.beginIn(admin, { group, topic, from: 'now' });
    });
  }

  async removeGroup(group: string): Promise<void> {
    await this.parts.administer((admin) => admin.removeGroup(group));
  }

  /** They may not be there any more. */
  forget(topics: Iterable<string>): void {
    for (const topic of topics) this.known.delete(topic);
  }

  private async haveTopics(admin: RocketmqTopics, subscriptions: readonly SubscriptionSpec[]): Promise<readonly string[]> {
    const { names, hasStore, settings } = this.parts;
    const ofTypes = subscriptions.flatMap((spec) => names.topicsOf(spec)).map((topic) => this.planOf(topic));
    const ofDeadLetters = hasStore ? [] : subscriptions.map((spec) => ({ topic: names.deadLettersOf(spec), ...OF_DEAD_LETTERS }));
    const plans = new Map([...ofDeadLetters, ...ofTypes].map((plan): [string, TopicPlan] => [plan.topic, plan]));
    const there = await admin.topics([...plans.keys()]);
    const problems: string[] = [];
    const absent: TopicPlan[] = [];
    for (const [topic, plan] of plans) {
      const places = there.get(topic);
      if (places === undefined) absent.push(plan);
      else {
        const kinds = await Promise.all(places.map(({ broker }) => admin.kindOn(broker, topic)));
        // One that says nothing takes what has no order.
        const kind = kinds.map((each) => each ?? 'NORMAL').find((each) => each !== plan.kind);
        if (kind !== undefined) problems.push(`the topic ${topic} is of the kind ${kind}, and has to be ${plan.kind}`);
        const unread = places.find(({ queues, written }) => queues < written);
        if (unread !== undefined)
          problems.push(
            `the topic ${topic} has ${unread.queues} queues to be read and ${unread.written} to be written on ${unread.broker} (readQueueNums, writeQueueNums): nobody gets what is in the others; let as many be read`,
          );
        const isCounted = settings.areQueuesGiven && plan.kind === 'FIFO';
        const other = isCounted ? places.find(({ queues }) => queues !== plan.queues) : undefined;
        if (other !== undefined)
          problems.push(`the topic ${topic} has ${other.queues} queues, and rocketmq({ queues }) says ${plan.queues}`);
      }
    }
    if (settings.topology === 'check') return [...problems, ...absent.map(({ topic }) => `the topic ${topic} is not there`)];
    if (problems.length === 0) for (const plan of absent) await admin.makeTopic(plan);
    return problems;
  }

  private async haveGroups(admin: RocketmqGroups & RocketmqTopics, subscriptions: readonly SubscriptionSpec[]): Promise<readonly string[]> {
    const { names, settings } = this.parts;
    const there = [...(await admin.groups())];
    const problems: string[] = [];
    for (const spec of subscriptions) {
      const group = names.groupOf(spec);
      const isOrdered = spec.ordering === 'key';
      const ofGroup = new Set(there.flatMap(([, groups]) => groupProblemsOf(group, groups.get(group), isOrdered)));
      problems.push(...ofGroup);
      // A broker may make one by itself that it does not have, and that one keeps no order.
      const brokers = there.filter(([, groups]) => !groups.has(group)).map(([broker]) => broker);
      if (settings.topology === 'assert' && ofGroup.size === 0 && brokers.length > 0) await admin.makeGroup(group, { isOrdered, brokers });
      if (settings.topology === 'check' && brokers.length === there.length) problems.push(`the group ${group} is not there`);
      else if (settings.topology === 'check') problems.push(...(await this.lackProblems(admin, spec, brokers)));
    }
    return problems;
  }

  /** @param brokers where the group is not, which matters to those that have one of its topics */
  private async lackProblems(admin: RocketmqTopics, spec: SubscriptionSpec, brokers: readonly string[]): Promise<readonly string[]> {
    const { names } = this.parts;
    const places = [...(await admin.topics(names.topicsOf(spec))).values()].flat();
    const lacking = brokers.filter((name) => places.some(({ broker }) => broker === name));
    return lacking.map((broker) => `the group ${names.groupOf(spec)} is not on the broker ${broker}`);
  }

  /**
   * Several processes may do that at once, and each may write what it has found. The ends are looked at before it is known that the group stands nowhere:
   * so they are older than the start of any process that was done before, and nothing is skipped that such a one was to get.
   */
  private async beginIn(admin: RocketmqOffsets, { group, topic, from }: Beginning): Promise<void> {
    const ends = await admin.ends(topic);
    const positions = await admin.positions(group, ends);
    // The first queues are written last, so a process that dies halfway leaves none of them. A queue that was added since has to be read from its beginning.
    const isNew = !positions.some(isInFirst);
    const standsIn = (broker: string, queue: number) => positions.some((each) => each.broker === broker && each.queue === queue);
    const beginnings = ends
      .filter(({ broker, queue }) => !standsIn(broker, queue))
      .map(({ first, next, ...queue }): Position => ({ ...queue, offset: isNew && from === 'now' ? next : first }));
    await admin.setPositions(
      group,
      beginnings.filter((each) => !isInFirst(each)),
    );
    await admin.setPositions(group, beginnings.filter(isInFirst));
  }

  private planOf(topic: string): TopicPlan {
    return { topic, kind: 'FIFO' satisfies TopicKind, queues: this.parts.settings.queues };
  }
}

/** @param facts undefined: it is not there */
function groupProblemsOf(group: string, facts: GroupFacts | undefined, isOrderWanted: boolean): readonly string[] {
  if (facts === undefined) return [];
  const { isOrdered, mostDeliveries } = facts;
  const problems = isOrdered === isOrderWanted ? [] : [orderProblemOf(group, isOrderWanted)];
  if (mostDeliveries !== undefined && mostDeliveries < FEWEST_DELIVERIES)
    problems.push(
      `the group ${group} puts a message away in %DLQ%${group} after ${mostDeliveries} deliveries (retryMaxTimes), and those that were given back count; set it to ${FEWEST_DELIVERIES} or more`,
    );
  return problems;
}

/** Whether it is in the queue that every broker has of a topic. */
function isInFirst({ queue }: Queue): boolean {
  return queue === 0;
}

/** What is wrong with a group of the other kind, and what to do. */
export function orderProblemOf(group: string, isOrdered: boolean): string {
  const [is, wanted] = isOrdered ? ['keeps no order', `ordering: 'key'`] : ['keeps an order', `ordering: 'none'`];
  return `the group ${group} ${is} (consumeMessageOrderly), and its subscription has ${wanted}; give the subscription a new name`;
}
