import { hfError, type Timer, within } from '@holdfast/core';
import type { Batch, Consumer, IHeaders, Kafka } from 'kafkajs';
import { assignEvenly } from './assigner.js';
import type { ConsumerOptions, KafkaConsumer, Place, Position, ReceivedRecord } from './client.port.js';
import { writtenNote } from './kafkajs-admin.js';
import type { DriverParts } from './kafkajs-client.js';
import type { Member, Members } from './members.js';
import { isTakenOut } from './refusal.js';

/** A new record is there after this at most; pausing, resuming and leaving wait for a fetch that is on its way. */
const MAX_WAIT_MS = 200;
/** Of one partition in one fetch, and of all. */
const PARTITION_BYTES = 512 * 1024;
const FETCH_BYTES = 4 * 1024 * 1024;
/** Heartbeats in the time after which the group takes us for dead. */
const HEARTBEATS = 5;
/** Longest wait for members that still have to be heard of when partitions are given anew, in sessions. */
const REBALANCE_SESSIONS = 3;
/** Sessions without a word of the broker after which a consumer is given up: longer than partitions may take to be given anew. */
const SILENT_SESSIONS = REBALANCE_SESSIONS + 1;
/** While the broker is away for less than a session, its group still knows us, and trying again is sooner than coming anew. */
const RETRY = { initialRetryTime: 100, maxRetryTime: 1000, retries: 12, factor: 0.2, multiplier: 2, restartOnFailure: async () => false };

/** What a consumer works with. */
export interface ConsumerParts extends DriverParts {
  readonly members: Pick<Members, 'of'>;
}

/**
 * A consumer of kafkajs. Its loop is never kept waiting and never sees an error: records are handed over, and what becomes of them is told by `commit`. So
 * it goes on saying that it is alive, however long handlers take. When it crashes, or is silent for too long, it is lost.
 */
export class KafkajsConsumer implements KafkaConsumer {
  readonly lost: Promise<unknown>;
  heardMs: number;
  private readonly consumer: Consumer;
  private lose: (reason: unknown) => void = () => undefined;
  private watch: Timer | undefined;
  private ending: Promise<void> | undefined;
  /** Who we are since the group has given partitions for the last time. */
  private member: Member | undefined;
  /** What the group has given us. */
  private places: readonly Place[] = [];

  constructor(
    kafka: Kafka,
    private readonly options: ConsumerOptions,
    private readonly parts: ConsumerParts,
  ) {
    const { sessionTimeoutMs } = parts.settings;
    this.heardMs = parts.clock.monotonicMs();
    this.lost = new Promise((resolve) => {
      this.lose = resolve;
    });
    this.consumer = kafka.consumer({
      groupId: options.group,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: REBALANCE_SESSIONS * sessionTimeoutMs,
      heartbeatInterval: Math.ceil(sessionTimeoutMs / HEARTBEATS),
      maxWaitTimeInMs: MAX_WAIT_MS,
      maxBytesPerPartition: PARTITION_BYTES,
      maxBytes: FETCH_BYTES,
      allowAutoTopicCreation: false,
      partitionAssigners: [assignEvenly(() => this.places)],
      retry: RETRY,
    });
  }

  /** Resolves when the group has given us partitions, or none. */
  async join(): Promise<void> {
    const { consumer, options, lost } = this;
    const { GROUP_JOIN, HEARTBEAT, CRASH } = consumer.events;
    const joined = new Promise<void>((resolve) => {
      consumer.on(GROUP_JOIN, ({ payload: { memberId, memberAssignment } }) => {
        // It was given up while it tried: nobody else would let go of what it has now.
        if (this.ending !== undefined) return void this.disconnect();
        this.heard();
        this.member = this.parts.members.of(options.group, memberId);
        this.places = Object.entries(memberAssignment).flatMap(([topic, partitions]) =>
          partitions.map((partition) => ({ topic, partition })),
        );
        options.joined({ memberId, places: this.places });
        resolve();
      });
    });
    consumer.on(HEARTBEAT, () => this.heard());
    consumer.on(CRASH, ({ payload: { error } }) => this.lose(error));
    await consumer.connect();
    await this.leaveAgain();
    // Where the group stands nowhere, and where it stands before what is left, the oldest record is next: the newest would skip some.
    await consumer.subscribe({ topics: [...options.topics], fromBeginning: true });
    await this.leaveAgain();
    const run = consumer.run({ autoCommit: false, eachBatchAutoResolve: true, eachBatch: async ({ batch }) => this.received(batch) });
    await Promise.race([Promise.all([run, joined]), lost.then((reason) => Promise.reject(reason))]);
    this.look();
  }

  /** Not by kafkajs, which tries again for whoever it is by then: what goes wrong is tried again by those who know what is ours. */
  async commit(positions: readonly Position[]): Promise<void> {
    const { member } = this;
    if (member === undefined) throw hfError('HF_INVARIANT', { fact: `a consumer of ${this.options.group} commits and is no member` });
    const written = [...new Set(positions.map(({ topic }) => topic))].map((topic) => ({
      topic,
      partitions: positions
        .filter((each) => each.topic === topic)
        .map(({ partition, offset, note }) => ({ partition, offset: String(offset), metadata: writtenNote(note) })),
    }));
    const { scheduler, settings } = this.parts;
    const timeoutMs = settings.requestTimeoutMs + settings.sessionTimeoutMs;
    try {
      await within(scheduler, { request: 'a commit of offsets', timeoutMs }, member.commit(written));
    } catch (error) {
      // kafkajs would find out with its next heartbeat, which does not come for as long as a clock was set back.
      if (isTakenOut(error)) this.lose(error);
      throw error;
    }
  }

  setPaused(places: readonly Place[], isPaused: boolean): void {
    const topics = places.map(({ topic, partition }) => ({ topic, partitions: [partition] }));
    try {
      if (isPaused) this.consumer.pause(topics);
      else this.consumer.resume(topics);
    } catch {
      // It is crashing: it reads nothing any more, and will tell.
    }
  }

  end(): Promise<void> {
    this.ending ??= this.leave();
    return this.ending;
  }

  /** Never throws: kafkajs would deliver again and again, to everybody, or for some errors never again. */
  private received(batch: Batch): void {
    try {
      this.options.received(recordsOf(batch));
    } catch (error) {
      this.lose(error);
    }
  }

  private async leave(): Promise<void> {
    this.watch?.cancel();
    this.lose(new Error('the consumer was ended'));
    const { scheduler, settings } = this.parts;
    // A broker that does not answer must not keep us; what goes on behind our back ends by itself.
    await within(scheduler, { request: 'the end of a consumer', timeoutMs: settings.requestTimeoutMs }, this.disconnect()).catch(
      () => undefined,
    );
  }

  /** What was given up while it was opened is open now, and is let go of once more. */
  private async leaveAgain(): Promise<void> {
    if (this.ending === undefined) return;
    await this.disconnect();
    throw new Error('the consumer was ended');
  }

  private async disconnect(): Promise<void> {
    await this.consumer.disconnect().catch(() => undefined);
  }

  private heard(): void {
    this.heardMs = this.parts.clock.monotonicMs();
  }

  /** kafkajs has ways to stop reading of which it says nothing. */
  private look(): void {
    const { scheduler, clock, settings } = this.parts;
    const timeoutMs = SILENT_SESSIONS * settings.sessionTimeoutMs + settings.requestTimeoutMs;
    this.watch = scheduler.after(settings.sessionTimeoutMs, () => {
      if (clock.monotonicMs() - this.heardMs > timeoutMs) this.lose(hfError('HF_BROKER_UNANSWERED', { request: 'a heartbeat', timeoutMs }));
      else this.look();
    });
  }
}

function recordsOf({ topic, partition, messages }: Batch): readonly ReceivedRecord[] {
  return messages.map(({ offset, key, value, headers, timestamp }) => ({
    topic,
    partition,
    offset: BigInt(offset),
    key,
    value,
    headers: headersOf(headers),
    at: new Date(Number(timestamp)),
  }));
}

/** Of names that no object could have, too, and of those that kafkajs takes for there twice, as every object has them. One without a value, which other clients can send, is none. */
function headersOf(headers: IHeaders | undefined): ReceivedRecord['headers'] {
  const read: Record<string, Buffer | readonly Buffer[]> = Object.create(null);
  for (const name in headers) {
    const each = headers[name];
    if (Buffer.isBuffer(each)) read[name] = each;
    else if (each) read[name] = [each].flat().filter((part) => Buffer.isBuffer(part));
  }
  return read;
}
