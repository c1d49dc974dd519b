import { EmbeddedRocketmq, invoke, missingTools } from '@holdfast-internal/embedded-rocketmq';
import { describeUnless, describeUnlessMissing, type FoundBroker, foundBroker, startedBroker } from './started-broker.js';

/** Where one is. */
export interface RocketmqPlace {
  readonly endpoint: string;
  readonly nameServer: string;
  readonly broker: string;
}

/** A part of a RocketMQ that belongs to one file of tests. */
export interface RocketmqArea extends RocketmqPlace {
  /** Options for the transport: where it is, waits as short as the broker allows, and a prefix that nobody else has. */
  options(): { endpoint: string; nameServer: string; prefix: string; awaitDuration: number; invisibleDuration: number };
  /** All topics or groups whose names begin so. */
  topics(prefix: string): Promise<readonly string[]>;
  groups(prefix: string): Promise<readonly string[]>;
  /** Deletes the topics and groups whose names begin so; by default all that are under a name of this area. */
  clear(prefix?: string): Promise<void>;
}

/** Of RocketMQ's `RequestCode`. */
const CODES = { topics: 21, groups: 201, removeGroup: 207, removeTopic: 215, forgetTopic: 216 } as const;
/** What an `EmbeddedRocketmq` allows, and others if they are not told otherwise. */
const SHORT = { awaitDuration: 200, invisibleDuration: 3000 };
const BY_DEFAULT = { awaitDuration: 5000, invisibleDuration: 10_000 };

let made = 0;

/** A suite that needs a RocketMQ. Where there is none it is skipped with the reason, and with `CI=true` it fails with it. */
export function describeWithRocketmq(title: string, suite: () => void): void {
  describeUnless(foundRocketmq().reason, { broker: 'RocketMQ', title, suite });
}

/** A suite that breaks a RocketMQ of its own (`EmbeddedRocketmq`). Where the environment names one, which nobody may break, it may also be missing with `CI=true`. */
export function describeWithOwnRocketmq(title: string, suite: () => void): void {
  describeUnlessMissing(missingTools(), { broker: 'RocketMQ', title, suite, others: foundRocketmq() });
}

/** Makes an area of the RocketMQ of this run, which the first one starts. */
export async function openRocketmq(): Promise<RocketmqArea> {
  const found = foundRocketmq();
  return rocketmqAreaAt(await startedBroker(found), found.starter === undefined ? BY_DEFAULT : SHORT);
}

/** Makes an area of any RocketMQ. */
export function rocketmqAreaAt({ endpoint, nameServer, broker }: RocketmqPlace, waits = SHORT): RocketmqArea {
  made += 1;
  const ours = `t${(Date.now() % 1e9).toString(36)}-${process.pid}-${made}_`;
  let names = 0;
  const ask = async (address: string, code: number, fields: Readonly<Record<string, string>> = {}) =>
    JSON.parse((await invoke(address, { code, fields })).body || '{}');
  const topics = async (prefix: string) => {
    const { topicConfigTable } = (await ask(broker, CODES.topics)) as { readonly topicConfigTable: Readonly<Record<string, unknown>> };
    return Object.keys(topicConfigTable)
      .filter((topic) => topic.startsWith(prefix))
      .sort();
  };
  const groups = async (prefix: string) => {
    const { subscriptionGroupTable } = await ask(broker, CODES.groups);
    return Object.keys(subscriptionGroupTable)
      .filter((group) => group.startsWith(prefix))
      .sort();
  };
  return {
    endpoint,
    nameServer,
    broker,
    options: () => {
      names += 1;
      return { endpoint, nameServer, prefix: `${ours}${names}_`, ...waits };
    },
    topics,
    groups,
    clear: async (prefix = ours) => {
      for (const group of await groups(prefix))
        await invoke(broker, { code: CODES.removeGroup, fields: { groupName: group, cleanOffset: 'true' } });
      for (const topic of await topics(prefix)) {
        await invoke(broker, { code: CODES.removeTopic, fields: { topic } });
        await invoke(nameServer, { code: CODES.forgetTopic, fields: { topic } });
      }
    },
  };
}

function foundRocketmq(): FoundBroker<RocketmqPlace> {
  return foundBroker<RocketmqPlace>('rocketmq');
}

export { EmbeddedRocketmq };
