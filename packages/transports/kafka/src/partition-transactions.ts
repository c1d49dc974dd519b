import {
  type BrokerTransaction,
  type Envelope,
  hfError,
  HeldIntake,
  type Incoming,
  type Lease,
  type TransportContext,
} from '@holdfast/core';
import type { KafkaClient, KafkaTransactions, OutgoingRecord, Place, Position, ReceivedRecord } from './client.port.js';
import { deadLetterOf, shortDeadLetterOf } from './dead-letter.js';
import { knownEnds } from './known-ends.js';
import type { Names } from './names.js';
import type { HeldRecord, PartitionWindow } from './partition-window.js';
import type { Closable, ProducerSlots } from './producer-slots.js';
import { requestsOf } from './publisher.js';
import { isFenced, isTooLarge, produceFailureOf } from './refusal.js';
import type { Settings } from './settings.js';
import { handOf, inHandNote, isInHandNote, notInHandNote, type Suspects, suspectsBehind, suspectsIn } from './suspects.js';
import type { Topics } from './topics.js';
import { toRecord } from './wire.js';

/** Before the broker is asked again what has become of a transaction. */
const AGAIN_MS = 300;
/** Who was shut out has most likely lost the partition, and hears of it with one of his next heartbeats. */
const HEARTBEATS_MS = 2000;

/** What transactions of a partition work with. */
export interface PartitionTransactionsParts {
  readonly context: TransportContext;
  readonly settings: Settings;
  readonly client: KafkaClient;
  readonly names: Names;
  readonly topics: Topics;
  readonly slots: ProducerSlots;
  readonly group: string;
  readonly deadLetters: string;
  readonly timeoutMs: number;
}

/** A transaction that failed. */
interface Tried {
  readonly published: readonly Envelope[];
  readonly position: Position;
}

/** One that is to be made. */
interface Content extends Tried {
  /** They must be ours yet. */
  readonly records: readonly HeldRecord[];
  readonly outgoing: readonly OutgoingRecord[];
}

let transactions = 0;

/**
 * The Kafka transactions of one partition, with a transactional id of its own.
 *
 * Whoever opens the id shuts out who had it before, and only then looks where the group stands. So whatever somebody else may still have in work, and whoever the group
 * thinks the owner is: one after another has the partition, each begins where the one before has committed, and nobody commits behind his back. That is also how
 * a commit is found out about whose answer was lost.
 */
export class PartitionTransactions implements Closable {
  private producer: KafkaTransactions | undefined;
  private opening: Promise<KafkaTransactions> | undefined;
  /** Where the group stood when it was opened. */
  private found: Position | undefined;
  /** What may end its process, of what comes first: known once it is opened. */
  private suspects: Suspects | undefined;
  /** What the group has been told to be in hand here. */
  private marked: bigint | undefined;
  private hasOpened = false;
  /** Nothing has been committed here yet, or not all that may have ended a process: what comes first may be it. */
  isUntried = true;
  private uses = 0;

  constructor(
    private readonly window: PartitionWindow,
    private readonly parts: PartitionTransactionsParts,
  ) {}

  /**
   * Writes beside the offset which messages are in hand, so that a process that ends with them has left word: nobody else counts it. Of those with which processes have ended
   * half are taken in hand. A process that goes on, and has only lost its place in the group, does not count.
   *
   * @param held what comes next, and at most so many of them
   * @returns how many were taken in hand
   */
  async mark(held: readonly HeldRecord[], limit: number): Promise<number> {
    const [first] = held;
    if (first === undefined) return 0;
    let count = 0;
    let suspects: Suspects | undefined;
    await this.inUse(async () => {
      const producer = await this.opened();
      suspects = suspectsBehind(this.suspects, first.offset);
      const offsets = held.map(({ offset }) => offset);
      count = handOf(suspects, offsets, limit);
      const note = inHandNote({ suspects, until: (offsets[count - 1] as bigint) + 1n }, this.nextName());
      await this.commit(producer, {
        records: [first],
        published: [],
        outgoing: [],
        position: { ...this.place, offset: first.offset, note },
      });
      this.marked = first.offset;
    });
    if (suspects !== undefined) first.hasComeBack(suspects.returned);
    return count;
  }

  /** This process ends in order: what it has in hand has not ended it. In vain it is counted once more, and nothing else comes of it. */
  async unmark(): Promise<void> {
    const { marked: offset, producer } = this;
    // What is being committed takes the mark away by itself.
    if (offset === undefined || producer === undefined || this.uses > 0 || !this.window.isOurs) return;
    this.marked = undefined;
    const position = { ...this.place, offset, note: notInHandNote(suspectsBehind(this.suspects, offset), this.nextName()) };
    await this.inUse(() => producer.transact([], this.parts.group, position)).catch(() => undefined);
  }

  /** Resolves when nobody else can commit, and the window begins where the group stands. */
  async ready(): Promise<void> {
    if (this.producer === undefined) await this.inUse(() => this.opened());
  }

  /** Messages of the window are consumed, or given up, and others published, all or nothing. @throws as `Intake.transact` */
  async transact(records: readonly HeldRecord[], content: Omit<BrokerTransaction, 'consumed'>): Promise<void> {
    try {
      await this.attempt(records, content, deadLetterOf);
    } catch (error) {
      // Several may be too large together, and each by itself is not: they are tried one by one by whoever calls.
      if (content.dead.length !== 1 || !isTooLarge(error)) throw error;
      // It may be the dead letter, and nothing behind it would ever be handled.
      await this.attempt(records, content, shortDeadLetterOf);
    }
  }

  private async attempt(
    records: readonly HeldRecord[],
    { published, dead }: Omit<BrokerTransaction, 'consumed'>,
    letterOf: typeof deadLetterOf,
  ): Promise<void> {
    const letters = dead.map(({ message, reason }) => letterOf(this.recordOf(records, message), reason, this.parts.deadLetters));
    const outgoing = [...(await this.withTopic(published)), ...letters];
    await this.inUse(async () => {
      const producer = await this.opened();
      const offset = this.window.positionBehind(records.map((each) => each.offset));
      const suspects = suspectsBehind(this.suspects, offset);
      const note = notInHandNote(suspects, this.nextName());
      await this.commit(producer, { records, published, outgoing, position: { ...this.place, offset, note } });
      this.suspects = suspects;
    });
    this.isUntried = this.suspects !== undefined;
    this.marked = undefined;
  }

  private async commit(producer: KafkaTransactions, { records, published, outgoing, position }: Content): Promise<void> {
    if (!records.every(({ isOurs }) => isOurs)) throw hfError('HF_LEASE_LOST', { resource: this.name });
    try {
      await producer.transact(requestsOf(outgoing), this.parts.group, position);
    } catch (error) {
      await this.close();
      await this.failed({ published, position }, error);
    }
    this.window.stand(position.offset);
  }

  /** The partition is somebody else's: what is being committed may be committed yet. */
  leave(): void {
    if (this.uses === 0) void this.close();
  }

  async close(): Promise<void> {
    const { producer } = this;
    this.producer = undefined;
    this.parts.slots.closed(this);
    await producer?.end();
  }

  private async inUse(work: () => Promise<unknown>): Promise<void> {
    this.uses += 1;
    try {
      await this.parts.slots.use(this, work);
    } finally {
      this.uses -= 1;
      if (!this.window.isOurs) this.leave();
    }
  }

  /** Resolves when it was committed after all. */
  private async failed({ published, position }: Tried, error: unknown): Promise<void> {
    const { context, topics, names } = this.parts;
    const { scheduler, logger } = context;
    const failure = produceFailureOf(error);
    if (failure === 'refused') {
      const [type, id] = [published.map((each) => each.type), published.map((each) => each.id)];
      throw hfError('HF_PUBLISH_FAILED', { type, id, outcome: 'rejected' }, { cause: error });
    }
    if (failure === 'no-topic') topics.forget(published.map((envelope) => names.topicFor(envelope)));
    const reason = error instanceof Error ? error.message : String(error);
    const undone = hfError('HF_BROKER_TRANSACTION', { place: this.name, reason }, { cause: error });
    if (isFenced(error)) {
      await scheduler.sleep(HEARTBEATS_MS, undefined, { keepsProcessAlive: true });
      throw undone;
    }
    while (this.window.isOurs) {
      try {
        await this.opened();
        if (this.found?.note === position.note) return;
        // Somebody else has gone on from here, or has handled these messages himself: which of it is not to be seen. A mark leaves the group where it is.
        const passed = isInHandNote(position.note) ? position.offset + 1n : position.offset;
        if (this.found !== undefined && this.found.offset >= passed) break;
        throw undone;
      } catch (failed) {
        if (failed === undone) throw undone;
        if (!this.window.isOurs) break;
        logger.warn('what became of a Kafka transaction is not known yet; it is asked for again', { place: this.name, error: failed });
        await scheduler.sleep(AGAIN_MS, undefined, { keepsProcessAlive: true });
      }
    }
    throw hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: this.name }, { cause: error });
  }

  /** The producer, where there is none a new one. */
  private opened(): Promise<KafkaTransactions> {
    if (this.producer !== undefined) return Promise.resolve(this.producer);
    this.opening ??= this.open().finally(() => {
      this.opening = undefined;
    });
    return this.opening;
  }

  private async open(): Promise<KafkaTransactions> {
    const { client, names, group, timeoutMs, slots } = this.parts;
    const transactionalId = names.transactionalIdOf(group, this.place);
    const producer = await client.openTransactions({ transactionalId, timeoutMs });
    try {
      this.found = await this.positionOfGroup();
      if (!this.window.isOurs) throw hfError('HF_LEASE_LOST', { resource: this.name });
    } catch (error) {
      await producer.end();
      throw error;
    }
    this.window.begin(this.found?.offset);
    // Somebody else has gone on from there meanwhile.
    if (this.found?.offset !== this.marked) this.marked = undefined;
    if (!this.hasOpened) this.suspects = suspectsIn(this.found, this.parts.context.nodeId);
    this.hasOpened = true;
    this.producer = producer;
    await slots.opened(this);
    return producer;
  }

  /** Nowhere, too, when it stands behind the end: the topic was made anew. */
  private positionOfGroup(): Promise<Position | undefined> {
    const { topic, partition } = this.place;
    return this.parts.client.administer(async (admin) => {
      const position = await admin.settledPosition(this.parts.group, this.place);
      const end = (await admin.ends(topic)).find((each) => each.partition === partition);
      return position !== undefined && end !== undefined && position.offset <= knownEnds(end).next ? position : undefined;
    });
  }

  /** Of what is published: a command that nobody takes has nowhere to go, and of an event then nobody wants to hear. */
  private async withTopic(published: readonly Envelope[]): Promise<readonly OutgoingRecord[]> {
    const { names, topics } = this.parts;
    const wanted = new Map<string, boolean>();
    for (const envelope of published) {
      const topic = names.topicFor(envelope);
      wanted.set(topic, envelope.kind === 'event' || wanted.get(topic) === true);
    }
    const missing = wanted.size === 0 ? new Set() : await topics.missing(wanted);
    const there = published.filter((envelope) => !missing.has(names.topicFor(envelope)));
    const lost = published.find((envelope) => envelope.kind === 'command' && !there.includes(envelope));
    if (lost !== undefined) throw hfError('HF_COMMAND_UNROUTABLE', { type: lost.type, id: lost.id });
    return there.map((envelope) => toRecord(envelope, names.topicFor(envelope)));
  }

  private recordOf(records: readonly HeldRecord[], message: Incoming): ReceivedRecord {
    const held = records.find(({ incoming }) => incoming === message);
    if (held === undefined) throw hfError('HF_LEASE_LOST', { resource: this.name });
    return held.record;
  }

  private nextName(): string {
    transactions += 1;
    return `${this.parts.context.nodeId}/${transactions}`;
  }

  private get place(): Place {
    const { topic, partition } = this.window;
    return { topic, partition };
  }

  private get name(): string {
    return `${this.parts.group} in ${this.window.topic}/${this.window.partition}`;
  }
}

/** Messages of a partition that are handled in transactions. */
export class TransactionalIntake extends HeldIntake {
  constructor(
    private readonly records: readonly HeldRecord[],
    private readonly transactions: PartitionTransactions,
    resource: string,
  ) {
    super(records, resource);
  }

  /** Those whose transaction has committed after all are not there any more. */
  override async lease(limit: number): Promise<Lease | undefined> {
    if (this.length === 0) return undefined;
    await this.transactions.ready();
    const ours = this.records.filter(({ isOurs }) => isOurs);
    if (ours.length === 0 || !this.transactions.isUntried) return super.lease(limit);
    // What ends processes may be any one of a batch: it is looked for in halves.
    return super.lease(await this.transactions.mark(ours, limit));
  }

  async transact({ consumed, ...rest }: BrokerTransaction): Promise<void> {
    const records = this.records.filter(({ incoming }) => consumed.includes(incoming));
    await this.transactions.transact(records, rest);
  }
}
