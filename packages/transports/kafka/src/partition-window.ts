import { type DeadLetterReason, type HeldMessage, hfError, type Incoming } from '@holdfast/core';
import type { Place, ReceivedRecord } from './client.port.js';
import { bytesOf, fromRecord } from './wire.js';

/** With so many records in hand, or so many bytes, no more are fetched; with half of it they are again, so that work does not wait for the next fetch. */
const MOST_RECORDS = 1000;
const MOST_BYTES = 1024 * 1024;

/** What becomes of a message of a window. */
export interface WindowParts {
  /** Something was settled, or given back. */
  readonly changed: (window: PartitionWindow) => void;
  /** It is somebody else's. */
  readonly forgotten?: () => void;
  /** Rejects when it is not known to be there. */
  readonly putDeadLetter: (record: ReceivedRecord, reason: DeadLetterReason) => Promise<void>;
}

/** How a partition was left by who had it before. */
export interface WindowStart {
  readonly committed: bigint | undefined;
  /** Below this offset a message may have been handed over before, and have ended its process. */
  readonly suspectBelow: bigint;
}

/**
 * What was read of one partition and is not settled. Its position is where everything before is settled: what comes after it and is settled too is handled
 * again when the partition goes to somebody else before the position has moved on.
 */
export class PartitionWindow {
  readonly topic: string;
  readonly partition: number;
  /** Hand-overs in work. */
  inWork = 0;
  /** No more is fetched. */
  isPaused = false;
  /** What is committed, or about to be. */
  committed: bigint | undefined;
  private waiting: ReceivedRecord[] = [];
  /** By offset: what was read and is not settled. */
  private readonly unsettled = new Map<bigint, ReceivedRecord>();
  private bytes = 0;
  private next: bigint | undefined;
  /** From here on it may be read once more, since partitions were given anew; undefined when it has been. */
  private againFrom: bigint | undefined;
  /** Where it stood before the last commit of its own, which the group may not show yet although it was answered. */
  private stoodBefore: bigint | undefined;
  /** Undefined: not known yet, and nothing is handed over. */
  private suspectBelow: bigint | undefined;
  private isForgotten = false;

  constructor(
    place: Place,
    private readonly parts: WindowParts,
  ) {
    this.topic = place.topic;
    this.partition = place.partition;
  }

  /** The partition is somebody else's: nothing of it is ours any more. */
  forget(): void {
    this.isForgotten = true;
    this.waiting = [];
    this.parts.forgotten?.();
  }

  /** From now on messages are handed over. */
  open({ committed, suspectBelow }: WindowStart): void {
    this.committed = committed;
    this.suspectBelow = suspectBelow;
  }

  /**
   * Nobody else can move the group any more: what was read before where it stands is not ours to handle, and more of it may come, because the consumer may have
   * begun before that was settled.
   */
  begin(committed: bigint | undefined): void {
    this.suspectBelow = 0n;
    this.stand(committed);
    this.stoodBefore = undefined;
    if (committed === undefined || (this.next !== undefined && this.next >= committed)) return;
    this.next = committed;
    this.againFrom ??= 0n;
  }

  /** Everything before is settled, by a commit of its own. */
  stand(committed: bigint | undefined): void {
    this.stoodBefore = this.committed ?? 0n;
    this.committed = committed;
    if (committed === undefined) return;
    for (const [offset, record] of this.unsettled) {
      if (offset >= committed) break;
      this.bytes -= bytesOf(record);
      this.unsettled.delete(offset);
    }
    this.waiting = this.waiting.filter(({ offset }) => offset >= committed);
    this.parts.changed(this);
  }

  /** Where it stands when these are settled too: the first ones, in order. @throws HF_INVARIANT when others come before them */
  positionBehind(offsets: readonly bigint[]): bigint {
    const settled = new Set(offsets);
    const first = [...this.unsettled.keys()].find((offset) => !settled.has(offset)) ?? this.next ?? this.committed ?? 0n;
    if (offsets.some((offset) => offset >= first))
      throw hfError('HF_INVARIANT', { fact: `offset ${first} comes before what is committed` });
    return first;
  }

  /**
   * The partition has stayed ours while others were given anew: it is read from where the group stood then, which may be behind what is committed now.
   */
  joinedAgain(): void {
    this.againFrom = this.stoodBefore ?? this.committed ?? 0n;
  }

  /** Takes what was read; what is already here is not taken again. `isWanted`: others are passed over. */
  receive(records: readonly ReceivedRecord[], isWanted: (record: ReceivedRecord) => boolean): void {
    const [first] = records;
    if (first !== undefined && this.isSetBack(first.offset)) this.beginAnew();
    for (const record of records) {
      if (this.next !== undefined && record.offset < this.next) continue;
      this.next = record.offset + 1n;
      if (!isWanted(record)) continue;
      this.unsettled.set(record.offset, record);
      this.bytes += bytesOf(record);
      this.waiting.push(record);
    }
    const last = records.at(-1);
    if (last !== undefined && last.offset + 1n === this.next) this.againFrom = undefined;
  }

  /** The topic was deleted and made anew, or somebody has set the group back. */
  private isSetBack(offset: bigint): boolean {
    const isAgain = this.againFrom !== undefined && offset >= this.againFrom;
    return this.committed !== undefined && offset < this.committed && !isAgain;
  }

  get isOurs(): boolean {
    return !this.isForgotten;
  }

  get hasWaiting(): boolean {
    return this.isOpen && this.waiting.length > 0;
  }

  /** What is settled has not been committed. */
  get hasMoved(): boolean {
    return this.isOpen && this.position !== undefined && this.position !== this.committed;
  }

  get isFull(): boolean {
    return this.unsettled.size >= MOST_RECORDS || this.bytes >= MOST_BYTES;
  }

  get hasRoom(): boolean {
    return this.unsettled.size <= MOST_RECORDS / 2 && this.bytes <= MOST_BYTES / 2;
  }

  /** Everything before it is settled; undefined while it is not known. Offsets are in the order in which they were read. */
  get position(): bigint | undefined {
    const [first] = this.unsettled.keys();
    return first ?? this.next ?? this.committed;
  }

  /** The next ones, in order. */
  take(limit: number): readonly HeldRecord[] {
    return this.waiting.splice(0, limit).map((record) => new HeldRecord(record, this, record.offset < (this.suspectBelow ?? 0n)));
  }

  /** Not only one at this offset: where the topic was made anew that is another one. */
  has(record: ReceivedRecord): boolean {
    return !this.isForgotten && this.unsettled.get(record.offset) === record;
  }

  settle(record: ReceivedRecord): void {
    this.bytes -= bytesOf(record);
    this.unsettled.delete(record.offset);
    this.parts.changed(this);
  }

  /** Comes before what follows it. */
  giveBack(record: ReceivedRecord): void {
    const behind = this.waiting.findIndex(({ offset }) => offset > record.offset);
    this.waiting.splice(behind === -1 ? this.waiting.length : behind, 0, record);
    this.parts.changed(this);
  }

  private beginAnew(): void {
    this.waiting = [];
    this.unsettled.clear();
    this.bytes = 0;
    this.next = undefined;
    this.committed = undefined;
    this.againFrom = undefined;
  }

  private get isOpen(): boolean {
    return this.suspectBelow !== undefined;
  }

  putDeadLetter(record: ReceivedRecord, reason: DeadLetterReason): Promise<void> {
    return this.parts.putDeadLetter(record, reason);
  }
}

/** A message of a window that was taken. */
export class HeldRecord implements HeldMessage {
  incoming: Incoming;
  private isGivenBack = false;

  constructor(
    readonly record: ReceivedRecord,
    private readonly window: PartitionWindow,
    readonly isSuspect: boolean,
  ) {
    this.incoming = fromRecord(record, isSuspect);
  }

  get offset(): bigint {
    return this.record.offset;
  }

  /** It is handed over once more, after so many processes that had it in hand have ended. */
  hasComeBack(times: number): void {
    this.incoming = { ...this.incoming, timesReturned: times, isRedelivery: true };
  }

  get isOurs(): boolean {
    return !this.isGivenBack && this.window.has(this.record);
  }

  settle(outcome: 'ack' | 'requeue'): void {
    if (!this.isOurs) return;
    this.isGivenBack = outcome === 'requeue';
    if (outcome === 'ack') this.window.settle(this.record);
    else this.window.giveBack(this.record);
  }

  async putAway(reason: DeadLetterReason): Promise<void> {
    if (!this.isOurs) return;
    await this.window.putDeadLetter(this.record, reason);
    this.settle('ack');
  }
}
