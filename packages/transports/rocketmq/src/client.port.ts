import type { Opened } from '@holdfast/core';

/** A message to be sent. */
export interface OutgoingMessage {
  readonly topic: string;
  /** Messages of one group keep their order; undefined: the topic is one without order. */
  readonly group: string | undefined;
  /** Never empty. */
  readonly body: Buffer;
  readonly properties: ReadonlyMap<string, string>;
  /** What it can be looked up by at the broker. */
  readonly keys: readonly string[];
  readonly tag?: string;
}

/** A message as the broker gave it, which keeps it away from others for a time. */
export interface ReceivedMessage {
  readonly topic: string;
  /** Given by who sent it, the same each time it is received. */
  readonly id: string;
  readonly group: string | undefined;
  readonly body: Uint8Array;
  readonly properties: ReadonlyMap<string, string>;
  /** How often it was received, this time included. */
  readonly attempt: number;
  /** When it was made, on the clock of who sent it. */
  readonly at: Date;
}

/** What a consumer is to receive. */
export interface ConsumerOptions {
  readonly group: string;
  readonly topic: string;
  /** Only messages with this one; default: all. */
  readonly tag?: string;
}

/**
 * All that is asked of a RocketMQ client. Whatever hangs is given up after the request's time-out; what is lost is told by the promise `lost`, and is not
 * repaired in place.
 *
 * @throws HF_BROKER_UNREACHABLE, HF_BROKER_REFUSED, HF_BROKER_UNANSWERED
 */
export interface RocketmqClient {
  /** Resolves when the proxy has answered. */
  openProducer(): Promise<RocketmqProducer>;
  /** Resolves when the proxy has taken it in. @throws HF_BROKER_TOPOLOGY where topic or group is not there */
  openConsumer(options: ConsumerOptions): Promise<RocketmqConsumer>;
}

/** Sends to any topic. */
export interface RocketmqProducer extends Opened {
  /** Resolves when the broker has it; tried once. */
  send(message: OutgoingMessage): Promise<void>;
}

/** Receives for one group from one topic. */
export interface RocketmqConsumer extends Opened {
  /** Whether the group gives a queue's messages to one process at a time, in order. */
  readonly isOrdered: boolean;
  /** Waits for a message, and gives up to so many. What it rejects with may be what the consumer is lost with. */
  receive(limit: number): Promise<readonly ReceivedMessage[]>;
  /** It is done: nobody gets it again. Also one that an earlier consumer of the group received. */
  ack(message: ReceivedMessage): Promise<void>;
  /** Nobody else gets it for so long from now on. */
  keep(message: ReceivedMessage, ms: number): Promise<void>;
}

/** A topic or a group to be made. */
export interface TopicPlan {
  readonly topic: string;
  readonly kind: TopicKind;
  readonly queues: number;
}

/** What a topic takes, as RocketMQ's `message.type` says it. */
export type TopicKind = 'NORMAL' | 'FIFO';

/** A broker that has a topic. */
export interface TopicPlace {
  readonly broker: string;
  /** Those that are read. */
  readonly queues: number;
  /** Those that messages are written to. */
  readonly written: number;
}

/** A group as it is on a broker. */
export interface GroupFacts {
  readonly isOrdered: boolean;
  /** After so many deliveries the broker puts a message away, whatever became of it here; undefined: it does not say. */
  readonly mostDeliveries: number | undefined;
}

/** A group as it is to be. */
export interface GroupPlan {
  readonly isOrdered: boolean;
  /** Names of the brokers where it is made; default: all. */
  readonly brokers?: readonly string[];
}

/** A queue of a topic. */
export interface Queue {
  readonly topic: string;
  readonly broker: string;
  readonly queue: number;
}

/** How far a group has come in a queue: the offset of what it gets next. */
export interface Position extends Queue {
  readonly offset: number;
}

/** What a queue has. */
export interface QueueEnds extends Queue {
  readonly first: number;
  readonly next: number;
}

/** Topics, on all brokers. @throws HF_BROKER_UNREACHABLE, HF_BROKER_UNANSWERED, HF_BROKER_TOPOLOGY where a broker refuses */
export interface RocketmqTopics {
  /** Those of these topics that are there, each on one broker or several. Only the name server is asked: whoever publishes has no need of brokers that do not answer. */
  topics(names: readonly string[]): Promise<ReadonlyMap<string, readonly TopicPlace[]>>;
  /** What a topic takes, as a broker that has it says; undefined: it says nothing. */
  kindOn(broker: string, topic: string): Promise<string | undefined>;
  /** Makes it, or sets it to that. */
  makeTopic(plan: TopicPlan): Promise<void>;
}

/** Groups, on all brokers. @throws as `RocketmqTopics` */
export interface RocketmqGroups {
  /** All groups by their names, of each broker by its name. A group that one broker has another one need not have. */
  groups(): Promise<ReadonlyMap<string, ReadonlyMap<string, GroupFacts>>>;
  /** Makes it there, or sets it to that. */
  makeGroup(group: string, plan: GroupPlan): Promise<void>;
  removeGroup(group: string): Promise<void>;
}

/** Where groups stand. @throws as `RocketmqTopics` */
export interface RocketmqOffsets {
  /** The first and the next offset of each queue. */
  ends(topic: string): Promise<readonly QueueEnds[]>;
  /** Where a group stands; not in the answer: nowhere. */
  positions(group: string, queues: readonly Queue[]): Promise<readonly Position[]>;
  setPositions(group: string, positions: readonly Position[]): Promise<void>;
}

/** Does something with an admin, which is closed behind it. */
export type Administer = <T>(work: (admin: RocketmqTopics & RocketmqGroups & RocketmqOffsets) => Promise<T>) => Promise<T>;
