import { hfError, type Timer, within } from '@holdfast/core';
import type { ConsumerOptions, KafkaConsumer, Place, Position, ReceivedRecord } from './client.port.js';
import { committed, type ConfluentParts, connected, disconnected, type LogEntry } from './confluent-connection.js';
import { called, named } from './confluent-errors.js';
import type { NativeConsumer, NativeError, NativePlace, NativeRecord } from './confluent-library.js';
import { GIVEN, SILENT_SESSIONS, TAKEN } from './confluent-group.js';

/** Records of one look into what was fetched. */
const MOST_RECORDS = 500;
/** Between two looks when nothing has called for one: the group is answered in time. */
const LOOK_MS = 100;

/** What librdkafka says of itself, of all that it says. */
interface Statistics {
  readonly cgrp?: { readonly join_state: string };
  readonly brokers: Readonly<Record<string, { readonly name: string; readonly rxidle: number }>>;
}

/**
 * A consumer of librdkafka. It is looked into for what it has fetched, and never waited for: a wait would hold one of the few threads that Node has for all its work with
 * files and names. It says by itself that it is alive. What its group gives it, and takes, it is given and relieved of here; when it fails for good, or is silent for too
 * long, it is lost.
 */
export class ConfluentConsumer implements KafkaConsumer {
  readonly lost: Promise<unknown>;
  heardMs: number;
  private readonly consumer: NativeConsumer;
  private lose: (reason: unknown) => void = () => undefined;
  /** Told when it is lost: whoever waits for an answer meanwhile. A reaction to `lost` for each commit would be kept until then. */
  private readonly waiting = new Set<(reason: unknown) => void>();
  private lostWith: { readonly reason: unknown } | undefined;
  private joined: () => void = () => undefined;
  private timer: Timer | undefined;
  private watch: Timer | undefined;
  private looking: Promise<void> | undefined;
  private hasMore = false;
  private ending: Promise<void> | undefined;
  private places: readonly Place[] = [];
  private memberships = 0;

  constructor(
    /** @param listeners to be called by librdkafka */
    make: (listeners: ConsumerListeners) => NativeConsumer,
    private readonly options: ConsumerOptions,
    private readonly parts: ConfluentParts,
  ) {
    this.heardMs = parts.clock.monotonicMs();
    this.lost = new Promise((resolve) => {
      this.lose = (reason) => {
        this.lostWith ??= { reason };
        for (const tell of this.waiting) tell(reason);
        resolve(reason);
      };
    });
    this.consumer = make({
      rebalance_cb: (told, places) => this.rebalanced(told, places),
      queue_non_empty_cb: () => this.look(),
    });
  }

  /** Resolves when the group has given us partitions, or none. */
  async join(): Promise<void> {
    const { consumer, options, lost } = this;
    const isGiven = new Promise<void>((resolve) => {
      this.joined = resolve;
    });
    consumer.on('event.log', ((entry: LogEntry) => this.noted(entry)) as (...told: never[]) => void);
    await connected(consumer, this.parts);
    if (this.ending !== undefined) {
      await disconnected(consumer, this.parts);
      throw new Error('the consumer was ended');
    }
    consumer.on('event.error', ((error: NativeError) => this.failed(error)) as (...told: never[]) => void);
    consumer.on('event.stats', (({ message }: { readonly message: string }) => this.told(message)) as (...told: never[]) => void);
    consumer.setDefaultConsumeTimeout(0);
    consumer.subscribe(options.topics);
    this.look();
    await Promise.race([isGiven, lost.then((reason) => Promise.reject(reason))]);
    this.watchOver();
  }

  async commit(positions: readonly Position[]): Promise<void> {
    if (this.lostWith !== undefined) throw this.lostWith.reason;
    let tell: (reason: unknown) => void = () => undefined;
    const lost = new Promise<never>((_, reject) => {
      tell = reject;
    });
    this.waiting.add(tell);
    try {
      await Promise.race([committed(this.consumer, positions, this.parts), lost]);
    } finally {
      this.waiting.delete(tell);
    }
  }

  setPaused(places: readonly Place[], isPaused: boolean): void {
    try {
      if (isPaused) this.consumer.pause(places);
      else this.consumer.resume(places);
    } catch {
      // It is leaving, or one of them has been taken from it: it reads nothing of it any more, and will tell.
    }
  }

  end(): Promise<void> {
    this.ending ??= this.leave();
    return this.ending;
  }

  private async leave(): Promise<void> {
    this.timer?.cancel();
    this.watch?.cancel();
    this.lose(new Error('the consumer was ended'));
    const { scheduler, settings } = this.parts;
    if (this.looking !== undefined)
      await within(scheduler, { request: 'a look', timeoutMs: settings.requestTimeoutMs }, this.looking).catch(() => undefined);
    await disconnected(this.consumer, this.parts);
  }

  /** Looks at what was fetched until there is nothing more, and again after a while. */
  private look(): void {
    if (this.ending !== undefined) return;
    this.hasMore = true;
    this.looking ??= this.lookAll().finally(() => {
      this.looking = undefined;
      if (this.ending !== undefined) return;
      this.timer?.cancel();
      this.timer = this.parts.scheduler.after(LOOK_MS, () => this.look());
    });
  }

  private async lookAll(): Promise<void> {
    while (this.hasMore && this.ending === undefined) {
      this.hasMore = false;
      try {
        const records = await called<readonly NativeRecord[]>((done) => this.consumer.consume(MOST_RECORDS, done));
        this.hasMore ||= records.length > 0;
        this.received(records);
      } catch (error) {
        return this.lose(error);
      }
    }
  }

  /** Records of several partitions, each of them in order. */
  private received(records: readonly NativeRecord[]): void {
    const byPlace = new Map<string, ReceivedRecord[]>();
    for (const record of records) {
      const name = `${record.topic}/${record.partition}`;
      const known = byPlace.get(name);
      if (known === undefined) byPlace.set(name, [recordOf(record)]);
      else known.push(recordOf(record));
    }
    for (const ofPlace of byPlace.values()) this.options.received(ofPlace);
  }

  /** Called by librdkafka, which waits for the answer. */
  private rebalanced({ code }: NativeError, changed: readonly NativePlace[]): void {
    try {
      if (code === GIVEN) {
        this.consumer.incrementalAssign(changed);
        this.have([...this.without(changed), ...changed.map(placeOf)]);
      } else if (code === TAKEN) {
        if (this.consumer.assignmentLost()) this.memberships += 1;
        this.have(this.without(changed));
        this.consumer.incrementalUnassign(changed);
      } else this.lose(new Error(`the group could not be joined (${code})`));
    } catch (error) {
      this.lose(error);
    }
  }

  private have(places: readonly Place[]): void {
    this.places = places;
    if (this.ending === undefined) this.options.joined({ memberId: String(this.memberships), places });
    this.joined();
  }

  private without(taken: readonly NativePlace[]): readonly Place[] {
    return this.places.filter(({ topic, partition }) => !taken.some((each) => each.topic === topic && each.partition === partition));
  }

  /** What it repairs by itself is no matter. */
  private failed(error: NativeError): void {
    const { isFatal } = error as { readonly isFatal?: boolean };
    if (isFatal || FATAL.has(error.code)) this.lose(named(error));
  }

  /** Its log is the only place where it says so. */
  private noted({ message }: LogEntry): void {
    const [, topic, partition] = RESET.exec(message) ?? [];
    if (topic === undefined) return;
    const place = { topic, partition: Number(partition) };
    this.parts.logger.warn('records were deleted before they were read; reading goes on with the oldest that is there', place);
  }

  private told(text: string): void {
    const { cgrp, brokers } = JSON.parse(text) as Statistics;
    const coordinator = Object.values(brokers).find(({ name }) => name === 'GroupCoordinator');
    const nowMs = this.parts.clock.monotonicMs();
    if (coordinator !== undefined && coordinator.rxidle >= 0) this.heardMs = Math.max(this.heardMs, nowMs - coordinator.rxidle / 1000);
    // The group has more members than partitions, and nothing for this one.
    if (cgrp?.join_state === 'steady') this.joined();
  }

  /** What librdkafka says of itself comes with its records only: a look that does not end would say nothing either. */
  private watchOver(): void {
    if (this.ending !== undefined) return;
    const { scheduler, clock, settings } = this.parts;
    const timeoutMs = SILENT_SESSIONS * settings.sessionTimeoutMs + settings.requestTimeoutMs;
    this.watch = scheduler.after(settings.sessionTimeoutMs, () => {
      if (clock.monotonicMs() - this.heardMs > timeoutMs) this.lose(hfError('HF_BROKER_UNANSWERED', { request: 'a heartbeat', timeoutMs }));
      else this.watchOver();
    });
  }
}

/** What it writes when records are gone that were to be read next. */
const RESET = /([\w.-]+) \[(\d+)\]: offset reset .*out of range/i;

/** What librdkafka calls. */
export interface ConsumerListeners {
  readonly rebalance_cb: (told: NativeError, places: readonly NativePlace[]) => void;
  readonly queue_non_empty_cb: () => void;
}

/** Numbers of librdkafka: it is of no use any more, or has not been looked into for too long and has left the group. */
const FATAL = new Set([-150, -147]);

function placeOf({ topic, partition }: NativePlace): Place {
  return { topic, partition };
}

function recordOf({ topic, partition, offset, key, value, timestamp, headers }: NativeRecord): ReceivedRecord {
  return {
    topic,
    partition,
    offset: BigInt(offset),
    key: typeof key === 'string' ? Buffer.from(key) : key,
    value,
    headers: headersOf(headers ?? []),
    at: new Date(Math.max(0, timestamp)),
  };
}

function headersOf(listed: readonly Readonly<Record<string, Buffer>>[]): ReceivedRecord['headers'] {
  const headers: Record<string, Buffer[]> = Object.create(null);
  for (const one of listed)
    for (const name in one) {
      const each = one[name] as Buffer;
      const known = headers[name];
      if (known === undefined) headers[name] = [each];
      else known.push(each);
    }
  return headers;
}
