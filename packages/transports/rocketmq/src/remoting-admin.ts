import { hfError } from '@holdfast/core';
import type {
  Administer,
  GroupFacts,
  GroupPlan,
  Position,
  Queue,
  QueueEnds,
  RocketmqGroups,
  RocketmqOffsets,
  RocketmqTopics,
  TopicPlace,
  TopicPlan,
} from './client.port.js';
import { parsed, type RemotingAnswer, RemotingConnection, type RemotingRequest } from './remoting.js';
import type { Settings } from './settings.js';

/** Of RocketMQ's `RequestCode`. */
const CODES = {
  queryPosition: 14,
  setPosition: 15,
  makeTopic: 17,
  nextOffset: 30,
  firstOffset: 31,
  route: 105,
  cluster: 106,
  makeGroup: 200,
  groups: 201,
  removeGroup: 207,
  topic: 351,
} as const;
/** Of its `ResponseCode`. */
const DONE = 0;
const TOPIC_NOT_THERE = 17;
const NO_POSITION = 22;
/** Where messages are written, of the brokers of one name. */
const MASTER = '0';
/** What a group is made with. */
const MOST_DELIVERIES = 1_000_000;
/** To be read and written. */
const READ_WRITE = '6';

interface Brokers {
  readonly brokerAddrTable: Readonly<Record<string, { readonly brokerAddrs: Readonly<Record<string, string>> }>>;
}

interface ToldGroup {
  readonly consumeMessageOrderly?: boolean;
  readonly retryMaxTimes?: number;
}

interface Route {
  readonly queueDatas: readonly { readonly brokerName: string; readonly readQueueNums: number; readonly writeQueueNums: number }[];
}

/** Topics and groups of all brokers that the name server knows, over connections of one session. */
export class RemotingAdmin implements RocketmqTopics, RocketmqGroups, RocketmqOffsets {
  private readonly connections = new Map<string, RemotingConnection>();
  private masters: ReadonlyMap<string, string> | undefined;

  constructor(private readonly settings: Pick<Settings, 'nameServers' | 'requestTimeoutMs'>) {}

  async topics(names: readonly string[]): Promise<ReadonlyMap<string, readonly TopicPlace[]>> {
    const found = new Map<string, readonly TopicPlace[]>();
    for (const topic of names) {
      const places = (await this.routeOf(topic))?.queueDatas ?? [];
      if (places.length > 0)
        found.set(
          topic,
          places.map(({ brokerName: broker, readQueueNums: queues, writeQueueNums: written }) => ({ broker, queues, written })),
        );
    }
    return found;
  }

  async kindOn(broker: string, topic: string): Promise<string | undefined> {
    const { body } = await this.askBroker(broker, { code: CODES.topic, fields: { topic } });
    const { attributes } = parsed(body) as { readonly attributes?: Readonly<Record<string, string>> };
    return attributes?.['message.type'];
  }

  async makeTopic({ topic, kind, queues }: TopicPlan): Promise<void> {
    const numbers = { readQueueNums: String(queues), writeQueueNums: String(queues), perm: READ_WRITE, topicSysFlag: '0' };
    const fields = { topic, defaultTopic: 'TBW102', topicFilterType: 'SINGLE_TAG', order: 'false', ...numbers };
    await this.askAll(`the topic ${topic} cannot be made`, {
      code: CODES.makeTopic,
      fields: { ...fields, attributes: `+message.type=${kind}` },
    });
  }

  async groups(): Promise<ReadonlyMap<string, ReadonlyMap<string, GroupFacts>>> {
    const found = new Map<string, ReadonlyMap<string, GroupFacts>>();
    for (const broker of (await this.brokers()).keys()) {
      const { body } = await this.askBroker(broker, { code: CODES.groups });
      const { subscriptionGroupTable } = parsed(body) as {
        readonly subscriptionGroupTable: Readonly<Record<string, ToldGroup>>;
      };
      const facts = Object.entries(subscriptionGroupTable).map(([group, told]) => [group, factsIn(told)] as const);
      found.set(broker, new Map(facts));
    }
    return found;
  }

  async makeGroup(group: string, { isOrdered, brokers }: GroupPlan): Promise<void> {
    const body = {
      groupName: group,
      consumeEnable: true,
      consumeFromMinEnable: true,
      consumeBroadcastEnable: false,
      consumeMessageOrderly: isOrdered,
      retryQueueNums: 1,
      retryMaxTimes: MOST_DELIVERIES,
      brokerId: 0,
      whichBrokerWhenConsumeSlowly: 1,
      notifyConsumerIdsChangedEnable: true,
      groupSysFlag: 0,
      consumeTimeoutMinute: 15,
    };
    await this.askAll(`the group ${group} cannot be made`, { code: CODES.makeGroup, body }, brokers);
  }

  async removeGroup(group: string): Promise<void> {
    const fields = { groupName: group, cleanOffset: 'true' };
    await this.askAll(`the group ${group} cannot be removed`, { code: CODES.removeGroup, fields });
  }

  async ends(topic: string): Promise<readonly QueueEnds[]> {
    const route = await this.routeOf(topic);
    const queues = (route?.queueDatas ?? []).flatMap(({ brokerName, readQueueNums }) =>
      Array.from({ length: readQueueNums }, (_, queue): Queue => ({ topic, broker: brokerName, queue })),
    );
    return Promise.all(
      queues.map(async (each) => ({
        ...each,
        next: await this.offsetOf(each, CODES.nextOffset),
        first: await this.offsetOf(each, CODES.firstOffset),
      })),
    );
  }

  async positions(group: string, queues: readonly Queue[]): Promise<readonly Position[]> {
    const found = await Promise.all(
      queues.map(async (each): Promise<readonly Position[]> => {
        const fields = { ...fieldsOf(each), consumerGroup: group, setZeroIfNotFound: 'false' };
        const answer = await this.askBroker(each.broker, { code: CODES.queryPosition, fields }, NO_POSITION);
        return answer.code === NO_POSITION ? [] : [{ ...each, offset: Number(answer.fields.offset) }];
      }),
    );
    return found.flat();
  }

  async setPositions(group: string, positions: readonly Position[]): Promise<void> {
    await Promise.all(
      positions.map((each) => {
        const fields = { ...fieldsOf(each), consumerGroup: group, commitOffset: String(each.offset) };
        return this.askBroker(each.broker, { code: CODES.setPosition, fields });
      }),
    );
  }

  end(): void {
    for (const connection of this.connections.values()) connection.end();
  }

  private async offsetOf(queue: Queue, code: number): Promise<number> {
    const { fields } = await this.askBroker(queue.broker, { code, fields: fieldsOf(queue) });
    return Number(fields.offset);
  }

  private async routeOf(topic: string): Promise<Route | undefined> {
    const answer = await this.askNames({ code: CODES.route, fields: { topic } });
    if (answer.code === TOPIC_NOT_THERE) return undefined;
    return parsed(assertDone(answer, `the topic ${topic} cannot be looked up`).body) as Route;
  }

  /** Addresses by name, of those that are written to. */
  private async brokers(): Promise<ReadonlyMap<string, string>> {
    if (this.masters !== undefined) return this.masters;
    const { body } = assertDone(await this.askNames({ code: CODES.cluster }), 'the name server does not tell of the brokers');
    const { brokerAddrTable } = parsed(body) as Brokers;
    const masters = Object.entries(brokerAddrTable).flatMap(([name, { brokerAddrs }]) => {
      const address = brokerAddrs[MASTER];
      return address === undefined ? [] : [[name, address] as const];
    });
    if (masters.length === 0)
      throw hfError('HF_BROKER_UNREACHABLE', { address: this.settings.nameServers.join(';'), reason: 'it knows of no broker' });
    this.masters = new Map(masters);
    return this.masters;
  }

  /** One after the other. @param problem what it means when one does not do it; @param names default: all brokers */
  private async askAll(problem: string, request: RemotingRequest, names?: readonly string[]): Promise<void> {
    for (const [name, address] of await this.brokers())
      if (names === undefined || names.includes(name)) assertDone(await this.connectionTo(address).ask(request), problem);
  }

  /** @param also an answer that is no failure */
  private async askBroker(name: string, request: RemotingRequest, also = DONE): Promise<RemotingAnswer> {
    const address = (await this.brokers()).get(name);
    if (address === undefined)
      throw hfError('HF_BROKER_UNREACHABLE', { address: name, reason: 'the name server does not know the broker' });
    const answer = await this.connectionTo(address).ask(request);
    return answer.code === also ? answer : assertDone(answer, `the broker ${name} does not answer what it is asked (${request.code})`);
  }

  /** The first name server that answers. */
  private async askNames(request: RemotingRequest): Promise<RemotingAnswer> {
    let last: unknown;
    for (const address of this.settings.nameServers) {
      try {
        return await this.connectionTo(address).ask(request);
      } catch (error) {
        last = error;
      }
    }
    throw last;
  }

  private connectionTo(address: string): RemotingConnection {
    let connection = this.connections.get(address);
    if (connection === undefined) {
      connection = new RemotingConnection(address, this.settings.requestTimeoutMs);
      this.connections.set(address, connection);
    }
    return connection;
  }
}

/** Sessions with admins. */
export function administerWith(settings: Pick<Settings, 'nameServers' | 'requestTimeoutMs'>): Administer {
  return async (work) => {
    const admin = new RemotingAdmin(settings);
    try {
      return await work(admin);
    } finally {
      admin.end();
    }
  };
}

function factsIn({ consumeMessageOrderly, retryMaxTimes }: ToldGroup): GroupFacts {
  return { isOrdered: consumeMessageOrderly === true, mostDeliveries: retryMaxTimes };
}

function assertDone(answer: RemotingAnswer, problem: string): RemotingAnswer {
  if (answer.code !== DONE) throw hfError('HF_BROKER_TOPOLOGY', { problems: [`${problem}: ${answer.remark} (code ${answer.code})`] });
  return answer;
}

function fieldsOf({ topic, queue }: Queue): Readonly<Record<string, string>> {
  return { topic, queueId: String(queue) };
}
