import {
  atMost,
  type DeadLetterReason,
  emit,
  hfError,
  HeldIntake,
  Keeper,
  type Logger,
  type Sink,
  type StartTerms,
  type SubscriptionSpec,
  type TransportContext,
  type TransportHealth,
} from '@holdfast/core';
import type { KafkaClient, KafkaConsumer, Membership, Place, ReceivedRecord } from './client.port.js';
import { Commits } from './commits.js';
import { deadLetterOf, shortDeadLetterOf } from './dead-letter.js';
import type { Names } from './names.js';
import { PartitionTransactions, TransactionalIntake } from './partition-transactions.js';
import { PartitionWindow } from './partition-window.js';
import type { ProducerSlots } from './producer-slots.js';
import type { Publisher } from './publisher.js';
import { isTooLarge } from './refusal.js';
import type { Settings } from './settings.js';
import { NOTHING_IN_HAND, type Topics } from './topics.js';
import { typeOf } from './wire.js';

/** Before the broker is asked again how partitions were left. */
const AGAIN_MS = 300;
/** Before a partition is tried again that could not be taken over; the waits double until then. */
const LONGEST_AGAIN_MS = 5000;
/** Before an engine that took nothing is asked again. */
const IDLE_MS = 100;
/** For a word about what is still in hand at the end: whoever leaves has a second for all of it. */
const UNMARK_MS = 500;

/** What a consumer works with. */
export interface ConsumerParts {
  readonly context: TransportContext;
  readonly settings: Settings;
  readonly logger: Logger;
  readonly client: KafkaClient;
  readonly names: Names;
  readonly topics: Topics;
  /** Puts dead letters away, where there is no store for them. */
  readonly publisher: Publisher;
  readonly slots: ProducerSlots;
  readonly spec: SubscriptionSpec;
  readonly sink: Sink;
}

/** One membership of the group, until it is lost. */
interface Open {
  readonly windows: Map<string, PartitionWindow>;
  consumer: KafkaConsumer | undefined;
  commits: Commits | undefined;
  memberId: string | undefined;
  isLost: boolean;
}

/**
 * One subscription: a member of its group, opened again whenever it is lost, and as many hand-overs in work as its concurrency. Each partition has a window
 * of what was read and is not settled; its position is committed as it moves on. While the subscription is paused the windows fill and nothing is handed
 * over. With `ordering: 'key'` a partition has one hand-over in work.
 */
export class Consumer {
  private readonly keeper: Keeper;
  /** Is told of pauses no more. */
  private readonly forget: () => void;
  private readonly tasks = new Set<Promise<void>>();
  private readonly group: string;
  /** Where positions are committed by transactions, and by nothing else: somebody who was shut out must not move the group back. */
  private readonly transactions = new WeakMap<PartitionWindow, PartitionTransactions>();
  /** Those that could not be taken over yet, and why. */
  private readonly untaken = new Map<PartitionWindow, string>();
  private current: Open | undefined;
  private isStopped = false;
  /** Why it reads nothing. */
  private problem: string | undefined = 'it has not been opened yet';

  constructor(private readonly parts: ConsumerParts) {
    const { context, names, spec, sink } = parts;
    this.group = names.groupOf(spec);
    this.forget = sink.onPause(() => this.fill());
    this.keeper = new Keeper(context, {
      what: `a consumer of ${this.group}`,
      open: () => this.open(),
      failed: (error, delayMs) => this.failed(error, delayMs),
    });
  }

  get isBusy(): boolean {
    return this.tasks.size > 0 || this.windows().some((window) => window.hasWaiting);
  }

  get health(): TransportHealth {
    const { context, settings, spec } = this.parts;
    const silentMs = context.clock.monotonicMs() - (this.current?.consumer?.heardMs ?? 0);
    const isSilent = this.problem === undefined && silentMs > settings.sessionTimeoutMs;
    const problem = isSilent
      ? `the broker has not been heard of for ${Math.round(silentMs / 1000)} s`
      : (this.problem ?? this.untakenProblem);
    return problem === undefined ? { status: 'up', problem } : { status: 'down', problem: `the subscription ${spec.name}: ${problem}` };
  }

  private get untakenProblem(): string | undefined {
    const [window, reason] = [...this.untaken].find(([{ isOurs }]) => isOurs) ?? [];
    return window && `the partition ${nameOf(window)} could not be taken over: ${reason}`;
  }

  /** Resolves when the group has taken it in. @throws HF_BROKER_REFUSED and HF_BROKER_TOPOLOGY at once, else the last error at the time-out */
  start(terms: StartTerms): Promise<void> {
    return this.keeper.start(terms);
  }

  /** Takes nothing new from now on, waits for what is in work, and leaves word for who comes next how far it is. */
  async drain(): Promise<void> {
    this.isStopped = true;
    this.forget();
    await Promise.all(this.tasks);
    await this.unmark();
    await this.current?.commits?.last(NOTHING_IN_HAND);
  }

  /** Leaves the group: what is still in hand is handed over to somebody else. */
  async stop(): Promise<void> {
    this.isStopped = true;
    this.forget();
    await atMost(this.parts.context, UNMARK_MS, this.unmark());
    await this.keeper.stop();
  }

  /** What a handler still has, or what waits for its next try, has not ended this process. */
  private async unmark(): Promise<void> {
    await Promise.all(this.windows().map((window) => this.transactions.get(window)?.unmark()));
  }

  private async open(): Promise<KafkaConsumer> {
    const { client, names, topics, spec, context } = this.parts;
    // Where it begins was settled at the start; a topic that was made anew since then is read from its beginning.
    await topics.ensure([{ ...spec, from: 'earliest' }]);
    const open: Open = { windows: new Map(), consumer: undefined, commits: undefined, memberId: undefined, isLost: false };
    const consumer = await client.openConsumer({
      group: this.group,
      topics: names.topicsOf(spec),
      joined: (membership) => this.joined(open, membership),
      received: (records) => this.received(open, records),
    });
    open.consumer = consumer;
    if (spec.transaction === undefined)
      open.commits = new Commits({
        consumer,
        windows: open.windows,
        scheduler: context.scheduler,
        failed: (error) => this.uncommitted(error),
      });
    this.current = open;
    this.problem = undefined;
    void consumer.lost.then(() => {
      open.isLost = true;
      for (const window of open.windows.values()) window.forget();
      open.windows.clear();
    });
    emit('subscription:consuming', { subscription: spec.name, queue: this.group });
    void this.begin(consumer, [...open.windows.values()]);
    this.settled(open);
    return consumer;
  }

  /** A member that the group had forgotten begins anew: what it had may have been somebody else's meanwhile. */
  private joined(open: Open, { memberId, places }: Membership): void {
    if (open.isLost) return;
    const names = new Set(places.map(nameOf));
    const isKnown = open.memberId === memberId;
    open.memberId = memberId;
    for (const [name, window] of open.windows) {
      if (isKnown && names.has(name)) {
        window.joinedAgain();
        continue;
      }
      window.forget();
      open.windows.delete(name);
    }
    const windows = places.filter((place) => !open.windows.has(nameOf(place))).map((place) => this.windowOf(open, place));
    for (const window of windows) open.windows.set(nameOf(window), window);
    const { consumer } = open;
    if (consumer !== undefined) void this.begin(consumer, windows);
    this.settled(open);
    // kafkajs keeps what was paused, also of partitions that were somebody else's meanwhile.
    for (const window of open.windows.values()) consumer?.setPaused([window], window.isPaused);
  }

  private windowOf(open: Open, place: Place): PartitionWindow {
    const { transaction } = this.parts.spec;
    const window: PartitionWindow = new PartitionWindow(place, {
      changed: () => this.settled(open),
      forgotten: () => this.transactions.get(window)?.leave(),
      putDeadLetter: (record, reason) => this.putDeadLetter(record, reason),
    });
    if (transaction === undefined) return window;
    const { names, spec } = this.parts;
    const parts = { ...this.parts, group: this.group, deadLetters: names.deadLettersOf(spec), timeoutMs: transaction.timeoutMs };
    this.transactions.set(window, new PartitionTransactions(window, parts));
    return window;
  }

  /** Shuts out who had these partitions before, so that what they still have in work cannot be committed. */
  private async takeOver(windows: readonly PartitionWindow[]): Promise<void> {
    const { context, logger, spec } = this.parts;
    const take = async (window: PartitionWindow) => {
      for (let waitMs = AGAIN_MS; window.isOurs; waitMs = Math.min(LONGEST_AGAIN_MS, 2 * waitMs)) {
        try {
          await this.transactions.get(window)?.ready();
          this.untaken.delete(window);
          return this.fill();
        } catch (error) {
          if (!window.isOurs) break;
          this.untaken.set(window, reasonOf(error));
          logger.warn('a partition could not be taken over; it is tried again', { subscription: spec.name, place: nameOf(window), error });
          await context.scheduler.sleep(waitMs);
        }
      }
      this.untaken.delete(window);
    };
    await Promise.all(windows.map(take));
  }

  /**
   * Asks how the one before left these partitions. When it had something in hand, what comes first may be what ended it; nobody counts that but
   * the store, and to have everything counted would take long. Its word that it had nothing is taken away before anything is handed over.
   */
  private async begin(consumer: KafkaConsumer, windows: readonly PartitionWindow[]): Promise<void> {
    const { client, spec, context } = this.parts;
    if (spec.transaction !== undefined) return this.takeOver(windows);
    const suspects = BigInt(spec.concurrency * spec.batchSize);
    for (let begun = windows.filter(({ isOurs }) => isOurs); begun.length > 0; begun = windows.filter(({ isOurs }) => isOurs)) {
      try {
        const places = begun.map(({ topic, partition }) => ({ topic, partition }));
        const positions = await client.administer((admin) => admin.positions(this.group, places));
        const leftOf = (window: PartitionWindow) => positions.find((position) => nameOf(position) === nameOf(window));
        const clean = begun.flatMap((window) => leftOf(window) ?? []).filter(({ note }) => note === NOTHING_IN_HAND);
        if (clean.length > 0) await consumer.commit(clean.map(({ topic, partition, offset }) => ({ topic, partition, offset })));
        for (const window of begun) {
          const left = leftOf(window);
          const isSuspect = left !== undefined && !clean.includes(left);
          window.open({ committed: left?.offset, suspectBelow: isSuspect ? left.offset + suspects : 0n });
        }
        this.fill();
        return;
      } catch (error) {
        this.parts.logger.warn('how partitions were left could not be settled; it is tried again', { subscription: spec.name, error });
        await context.scheduler.sleep(AGAIN_MS);
      }
    }
  }

  private received(open: Open, records: readonly ReceivedRecord[]): void {
    const [first] = records;
    const window = first && open.windows.get(nameOf(first));
    if (first === undefined || window === undefined) return;
    const takes = this.parts.names.takes(this.parts.spec, first.topic);
    window.receive(records, (record) => takes === undefined || takes(typeOf(record)));
    this.settled(open);
    this.fill();
  }

  /** Windows have changed: what is settled is committed, and more is fetched or less. */
  private settled(open: Open): void {
    const { consumer } = open;
    if (consumer === undefined || open.isLost) return;
    for (const window of open.windows.values()) {
      if (window.isPaused ? !window.hasRoom : !window.isFull) continue;
      window.isPaused = !window.isPaused;
      consumer.setPaused([window], window.isPaused);
    }
    open.commits?.soon();
  }

  private fill(): void {
    const { spec } = this.parts;
    while (this.isTaking && this.tasks.size < spec.concurrency) {
      const window = this.nextWindow();
      if (window === undefined) return;
      const task = this.work(window).finally(() => {
        this.tasks.delete(task);
        this.fill();
      });
      this.tasks.add(task);
    }
  }

  /** Each in its turn. */
  private nextWindow(): PartitionWindow | undefined {
    const windows = this.current?.windows;
    const { ordering, transaction } = this.parts.spec;
    const isOrdered = ordering === 'key' || transaction !== undefined;
    for (const [name, window] of windows ?? []) {
      if (!window.hasWaiting || (isOrdered && window.inWork > 0)) continue;
      windows?.delete(name);
      windows?.set(name, window);
      return window;
    }
    return undefined;
  }

  private async work(window: PartitionWindow): Promise<void> {
    const { context, spec, sink } = this.parts;
    window.inWork += 1;
    const transactions = this.transactions.get(window);
    const held = window.take(spec.batchSize);
    const intake = transactions ? new TransactionalIntake(held, transactions, nameOf(window)) : new HeldIntake(held, nameOf(window));
    try {
      let outcome: string = 'worked';
      while (outcome !== 'idle' && intake.length > 0 && this.isTaking) outcome = await sink.handle(intake);
      // It takes nothing any more, and we are not told yet.
      if (outcome === 'idle' && intake.length > 0) await context.scheduler.sleep(IDLE_MS);
    } finally {
      window.inWork -= 1;
      intake.giveBack();
    }
  }

  private async putDeadLetter(record: ReceivedRecord, reason: DeadLetterReason): Promise<void> {
    const { names, publisher, spec } = this.parts;
    const topic = names.deadLettersOf(spec);
    let { outcome, error } = await publisher.put(deadLetterOf(record, reason, topic));
    if (outcome === 'rejected' && isTooLarge(error)) ({ outcome, error } = await publisher.put(shortDeadLetterOf(record, reason, topic)));
    if (outcome === 'confirmed') return;
    throw hfError('HF_BROKER_DEAD_LETTER', { subscription: reason.subscription, queue: topic, outcome }, { cause: error });
  }

  private get isTaking(): boolean {
    return !this.isStopped && !this.parts.sink.isPaused;
  }

  private windows(): readonly PartitionWindow[] {
    return [...(this.current?.windows.values() ?? [])];
  }

  private uncommitted(error: unknown): void {
    this.parts.logger.warn('how far a subscription is could not be committed; it is tried again', {
      subscription: this.parts.spec.name,
      error,
    });
  }

  private failed(error: unknown, delayMs: number): void {
    const { logger, spec } = this.parts;
    this.problem = reasonOf(error);
    const facts = { subscription: spec.name, queue: this.group, error, delayMs };
    emit('subscription:interrupted', () => facts);
    logger.warn('a subscription was interrupted; it is tried again', facts);
  }
}

function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

function nameOf({ topic, partition }: Place): string {
  return `${topic}/${partition}`;
}
