import type { Opened } from '@holdfast/core';

/** A partition of a topic. */
export interface Place {
  readonly topic: string;
  readonly partition: number;
}

/** How far a group has come in a partition: the offset of what it reads next. */
export interface Position extends Place {
  readonly offset: bigint;
  /** Kept beside the offset, for whoever has the partition next. */
  readonly note?: string;
}

/** A record to be appended. */
export interface OutgoingRecord {
  readonly topic: string;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: Readonly<Record<string, Buffer | readonly Buffer[]>>;
}

/** A record as it is in the log. */
export interface ReceivedRecord extends OutgoingRecord, Place {
  readonly offset: bigint;
  /** When it was made or appended, as the topic is configured. */
  readonly at: Date;
}

/** A topic to be made. */
export interface TopicPlan {
  readonly topic: string;
  readonly partitions: number;
  /** -1: as many as the broker does by itself. */
  readonly replicationFactor: number;
  /** How long records stay; undefined: as the broker does by itself. */
  readonly retentionMs?: number;
}

/** What a consumer is to do. */
export interface ConsumerOptions {
  readonly group: string;
  readonly topics: readonly string[];
  /** The group has given this member partitions: instead of those it had. Must not throw. */
  readonly joined: (membership: Membership) => void;
  /** Records of one partition, in order. Must not throw. */
  readonly received: (records: readonly ReceivedRecord[]) => void;
}

/** What a member of a group has. */
export interface Membership {
  /** New when the group had forgotten this member, and what it had may have been somebody else's meanwhile. */
  readonly memberId: string;
  readonly places: readonly Place[];
}

/**
 * All that is asked of a Kafka client. Whatever hangs is given up after the request's time-out; what is lost is told by the promise `lost`, and is not
 * repaired in place.
 *
 * @throws HF_BROKER_UNREACHABLE, HF_BROKER_REFUSED, HF_BROKER_UNANSWERED
 */
export interface KafkaClient {
  openProducer(): Promise<KafkaProducer>;
  /** Whoever had this id before cannot commit any more, and what it had begun is ended, when this resolves. */
  openTransactions(options: TransactionOptions): Promise<KafkaTransactions>;
  /** Resolves when the group has given it partitions, or none. */
  openConsumer(options: ConsumerOptions): Promise<KafkaConsumer>;
  /** Does something with an admin, which is closed behind it. */
  administer<T>(work: (admin: KafkaAdmin) => Promise<T>): Promise<T>;
  /** Sets where a group stands, where it has members as one that stays for a moment. */
  setPositions(group: string, positions: readonly Position[]): Promise<void>;
}

/** A client with all that it has opened. */
export interface KafkaDriver extends KafkaClient {
  /** Lets go of everything: a broker that does not answer must not keep the process. */
  drop(): void;
}

/** Appends records, idempotently. */
export interface KafkaProducer extends Opened {
  /**
   * Resolves when all records are on all replicas that are in sync. When it rejects, each of them may be there or not, and the producer must be ended: it
   * would number the next records like those that may be there, and the broker would drop them as repeats.
   */
  send(records: readonly OutgoingRecord[]): Promise<void>;
}

/** Who makes transactions. */
export interface TransactionOptions {
  readonly transactionalId: string;
  /** After this time the broker ends one that nobody ends. */
  readonly timeoutMs: number;
}

/** Makes transactions, one after another. */
export interface KafkaTransactions extends Opened {
  /**
   * Appends records, request by request, and moves a group to where it stands then: all or nothing. When it rejects it must be ended; nothing is kept,
   * unless the answer to its commit was lost: that only shows where the group stands, once somebody has opened the same id.
   */
  transact(requests: readonly (readonly OutgoingRecord[])[], group: string, position: Position): Promise<void>;
}

/** Reads the partitions that its group gives it, each from where the group stands, or from its beginning where it stands nowhere. */
export interface KafkaConsumer extends Opened {
  commit(positions: readonly Position[]): Promise<void>;
  /** Reads no more of these, or again, also when the group has given partitions anew; does nothing when it is lost. */
  setPaused(places: readonly Place[], isPaused: boolean): void;
  /** When the broker last answered it, on the monotonic clock. */
  readonly heardMs: number;
}

/** Topics and groups. */
export interface KafkaAdmin {
  /** Names of all topics that may be seen. */
  topics(): Promise<ReadonlySet<string>>;
  /** How many partitions topics that are there have. */
  partitions(topics: readonly string[]): Promise<ReadonlyMap<string, number>>;
  /** Makes topics; one that is there already stays as it is. */
  create(plans: readonly TopicPlan[]): Promise<void>;
  /**
   * The first and the next offset of each partition. Of one without a leader librdkafka tells that, with those of the others; kafkajs learns nothing of its topic then, and
   * this rejects.
   */
  ends(topic: string): Promise<readonly (PartitionEnds | LeaderlessPartition)[]>;
  /** Where a group stands in these; not in the answer: nowhere. Rejects when that is not known of one of them. */
  positions(group: string, places: readonly Place[]): Promise<readonly Position[]>;
  /** Where it stands in one partition when no transaction is under way there any more, for which this waits; undefined: nowhere. */
  settledPosition(group: string, place: Place): Promise<Position | undefined>;
  /** A group that has no members any more. */
  forget(group: string): Promise<void>;
}

/** What a partition has. */
export interface PartitionEnds extends Place {
  readonly first: bigint;
  readonly next: bigint;
}

/** A partition of which nobody knows what it has, as long as it has no leader. */
export interface LeaderlessPartition extends Place {
  readonly first: undefined;
  readonly next: undefined;
}
