import { type Clock, hfError, within } from '@holdfast/core';
import { type IHeaders, type Kafka, type Message, Partitioners, type Producer, type TopicMessages } from 'kafkajs';
import type { KafkaProducer, OutgoingRecord } from './client.port.js';
import type { DriverParts } from './kafkajs-client.js';
import { type Broker, eachBroker, type MadeRequest } from './kafkajs-inside.js';
import { encodeProduce, type ProduceRequest } from './record-batch.js';

/** All replicas that are in sync. */
const ALL = -1;

/** Number of the request in Kafka's protocol, and the first version that is encoded here. */
const PRODUCE = 0;
const FIRST_VERSION = 3;

/** Partitions that records have been given. */
const chosen = new WeakMap<Message, number>();

/** A producer of kafkajs: idempotent, one request at a time for each broker. */
export class KafkajsProducer implements KafkaProducer {
  readonly lost: Promise<unknown>;
  private readonly producer: Producer;
  private lose: (reason: unknown) => void = () => undefined;

  constructor(
    kafka: Kafka,
    private readonly parts: DriverParts,
  ) {
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    this.producer = kafka.producer({
      idempotent: true,
      maxInFlightRequests: 1,
      allowAutoTopicCreation: false,
      createPartitioner: remembering,
    });
  }

  connect(): Promise<void> {
    return this.producer.connect();
  }

  async send(records: readonly OutgoingRecord[]): Promise<void> {
    try {
      await produce(this.producer, records, this.parts);
    } catch (error) {
      this.lose(error);
      throw error;
    }
  }

  async end(): Promise<void> {
    this.lose(new Error('the producer was ended'));
    const { scheduler, settings } = this.parts;
    await within(scheduler, { request: 'the end of a producer', timeoutMs: settings.requestTimeoutMs }, this.producer.disconnect()).catch(
      () => undefined,
    );
  }
}

/** Resolves when all replicas in sync have all of them. */
export async function produce(
  sender: Pick<Producer, 'sendBatch'>,
  records: readonly OutgoingRecord[],
  { scheduler, settings }: Pick<DriverParts, 'scheduler' | 'settings'>,
): Promise<void> {
  const byTopic = new Map<string, Message[]>();
  for (const { topic, key, value, headers } of records) {
    const messages = byTopic.get(topic) ?? [];
    byTopic.set(topic, messages);
    messages.push({ key, value, headers: headers as IHeaders });
  }
  const topicMessages = [...byTopic].map(([topic, messages]) => ({ topic, messages }));
  const answer = sender.sendBatch({ acks: ALL, timeout: settings.requestTimeoutMs, topicMessages });
  const asked = { request: 'a produce request', timeoutMs: settings.confirmTimeoutMs };
  const answered = new Set((await within(scheduler, asked, answer)).map(({ topicName, partition }) => `${topicName}/${partition}`));
  // When the leader of a partition moves to a broker that has already answered, kafkajs sends nothing more and calls it done.
  const isAnswered = ({ topic, messages }: TopicMessages) => messages.every((each) => answered.has(`${topic}/${chosen.get(each)}`));
  if (!topicMessages.every(isAnswered)) throw hfError('HF_BROKER_UNANSWERED', asked);
}

/** Lets producers of this client encode what they send with less work. */
export function encodeQuickly(kafka: Kafka, clock: Pick<Clock, 'now'>): Kafka {
  const known = new WeakSet<Broker['lookupRequest']>();
  eachBroker(kafka, (broker) => {
    const make = broker.lookupRequest;
    if (known.has(make)) return;
    const quick: typeof make = (apiKey, definition) => {
      const made = make(apiKey, definition);
      return apiKey === PRODUCE ? (content) => quickly(made(content), content, clock.now().getTime()) : made;
    };
    known.add(quick);
    broker.lookupRequest = quick;
  });
  return kafka;
}

function quickly(made: MadeRequest, content: ProduceRequest, atMs: number): MadeRequest {
  if (made.request.apiVersion < FIRST_VERSION) return made;
  made.request.encode = async () => {
    const buffer = encodeProduce(content, atMs);
    return { buf: buffer, buffer };
  };
  return made;
}

/**
 * The partitioner that Java's clients have too, except that a record stays where it was first: kafkajs asks again for each try, and a record without a
 * key would go to another partition, while the broker counts it in the first one.
 */
export const remembering: typeof Partitioners.DefaultPartitioner = () => {
  const choose = Partitioners.DefaultPartitioner();
  return (args) => {
    const known = chosen.get(args.message);
    if (known !== undefined) return known;
    const partition = choose(args);
    chosen.set(args.message, partition);
    return partition;
  };
};
