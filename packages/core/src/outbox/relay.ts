import type { MessageLimits } from '../message/limits.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { failpoint } from '../testing/failpoints.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';
import type { Transport } from '../transport/transport.port.js';
import { Loop } from './loop.js';
import { parkingOf, Sender } from './relay-sender.js';
import {
  type ParkedBatch,
  type ParkedStore,
  type Parking,
  type RelayBatch,
  type RelayRow,
  relayScopeOf,
  type RelayStore,
} from './relay.store.port.js';
import { Stalls } from './stalls.js';

/** Rows read at a time, over all lanes, and the least of each: every lane gets its turn. */
const BATCH = 500;
const LEAST = 16;
/** The same in bytes, of which each lane has its share, also while others wait for the broker: it may take nothing for a long time. */
const BATCH_BYTES = 4 * 2 ** 20;
/** Longest wait between two looks. */
const POLL_MS = 1000;
/** How long lanes wait for each other before the next look; a slower one goes on by itself. */
const TOGETHER_MS = 50;
/**
 * Between two looks at what is parked: so many times as long as the last one took, but at least, and at most, so long. How long a look took also counts what
 * the process slept in it, and a lane must not wait for minutes for that.
 */
const PARKED_LOOK_MS = 1000;
const MAX_PARKED_LOOK_MS = 5000;
const PARKED_LOOK_SHARE = 20;
const PARKED_BATCH = 200;

const UNCONFIRMED = { reason: 'unconfirmed', error: 'the broker did not confirm it' } as const;

/** The lanes that are this process's to send. */
export interface LaneOwnership {
  mine(): readonly number[];
  /** What proves it in a write; undefined when the lane is not ours, or may not be any more. */
  ownerToken(lane: number): string | undefined;
}

/** What a relay works with. */
export interface RelayContext {
  readonly store: RelayStore;
  readonly parked: ParkedStore;
  readonly lanes: LaneOwnership;
  readonly transport: Transport;
  /** Its name in the options. */
  readonly name: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  readonly limits: MessageLimits;
}

/**
 * Carries rows of the log to a transport: reads a batch of its own lanes, publishes it, moves each lane to the end of what is dealt with,
 * compare-and-set. What the broker refuses is parked together with what follows in its key, and sent again later; the others go on.
 *
 * It keeps nothing between two batches but hints, so a crash at any point costs a repeat and never a message. One that was frozen and wakes finds out by
 * its own watch before it publishes, and by its token before it moves anything.
 */
export class Relay {
  private readonly loop: Loop;
  private readonly sender: Sender;
  private readonly stalls: Stalls;
  /** Lanes in work: one thing at a time is done in each. */
  private readonly working = new Map<number, Promise<boolean>>();
  /** A look that is under way, for lanes that it has not given anything to do yet. */
  private reading: Promise<unknown> = Promise.resolve();
  private parkedLookMs = Number.NEGATIVE_INFINITY;
  /** The last turn was that of a lane that stands still. */
  private isTrying = false;
  private isStopped = false;

  constructor(private readonly context: RelayContext) {
    this.sender = new Sender(context);
    this.stalls = new Stalls(context.clock);
    this.loop = new Loop({
      scheduler: context.scheduler,
      pollMs: POLL_MS,
      work: () => this.once(),
      failed: (error) => this.failed(error),
    });
  }

  start(): void {
    if (!this.isStopped) this.loop.start();
  }

  /** Something was committed. */
  nudge(): void {
    this.loop.nudge();
  }

  /** An operator wants parked messages to be sent now. */
  resume(): void {
    this.parkedLookMs = Number.NEGATIVE_INFINITY;
    this.nudge();
  }

  /** Resolves when nothing of a lane that is not ours any more is in work. */
  async idle(lane: number): Promise<void> {
    await this.reading;
    await this.working.get(lane);
  }

  /** Ends after the batches in hand. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await this.loop.stop();
    await Promise.all(this.working.values());
  }

  /** True while a batch is in hand or known to wait. */
  get isBusy(): boolean {
    return this.loop.isBusy || this.working.size > 0;
  }

  /** One batch of each lane that is free; true when there may be more, or a number of milliseconds until there may be. */
  private async once(): Promise<boolean | number> {
    const reading = this.read();
    this.reading = reading.catch(() => undefined);
    const { batches, isMore: isLeft } = await reading;
    failpoint('relay:after-read');
    const isMore = await this.together(batches.map((batch) => this.work(batch.lane, () => this.send(batch))));
    return isMore || isLeft || (this.stalls.nextMs() ?? false);
  }

  private async read(): Promise<{ readonly batches: readonly RelayBatch[]; readonly isMore: boolean }> {
    const draining = await this.sendParked(this.free());
    const free = this.free().filter((lane) => !draining.has(lane));
    const lanes = this.inTurn(free);
    const rows = Math.max(LEAST, Math.ceil(BATCH / lanes.length));
    const batches = lanes.length === 0 ? [] : await this.context.store.read(lanes, { rows, bytes: this.bytesOf(1) });
    this.forgetStalls(lanes, batches);
    return { batches, isMore: draining.size > 0 || lanes.length < free.length };
  }

  /** What so many lanes may have in hand, of what all that are ours may have together. */
  private bytesOf(lanes: number): number {
    return Math.ceil((BATCH_BYTES * lanes) / Math.max(lanes, this.context.lanes.mine().length));
  }

  /** A lane in which nothing waits does not stand still, nor does one that is another's. */
  private forgetStalls(asked: readonly number[], batches: readonly RelayBatch[]): void {
    const mine = new Set(this.context.lanes.mine());
    const empty = new Set(asked);
    for (const { lane } of batches) empty.delete(lane);
    this.stalls.forget((lane) => empty.has(lane) || !mine.has(lane));
  }

  /** A lane that stands still gets a turn of its own, between those of the others: what is wrong there may end the channel for everybody. */
  private inTurn(free: readonly number[]): readonly number[] {
    const suspect = this.stalls.longest(free);
    const healthy = free.filter((lane) => !this.stalls.isSuspect(lane));
    this.isTrying = suspect !== undefined && (healthy.length === 0 || !this.isTrying);
    return this.isTrying ? [suspect as number] : healthy;
  }

  /** Lanes that are ours and have nothing in work, less those that have just stood still. */
  private free(): readonly number[] {
    return this.context.lanes.mine().filter((lane) => !this.working.has(lane) && !this.stalls.isResting(lane));
  }

  /** Does something in a lane, which is not free until it has ended. Never rejects. */
  private work(lane: number, task: () => Promise<boolean>): Promise<boolean> {
    const working = task()
      .catch((error: unknown) => {
        this.stalls.rest(lane);
        this.failed(error);
        return false;
      })
      .finally(() => this.working.delete(lane));
    this.working.set(lane, working);
    return working;
  }

  /**
   * True when one of them has more. Waits for half of them, so that these are read on while the others wait for the broker; for all where a lane stands still,
   * so that it is tried by itself. And not for long: a lane that the broker does not answer must not hold up the others.
   */
  private async together(works: readonly Promise<boolean>[]): Promise<boolean> {
    if (works.length === 0) return false;
    const waiting = new AbortController();
    let isOver = false;
    let isMore = false;
    let left = this.stalls.isEmpty ? Math.ceil(works.length / 2) : works.length;
    await new Promise<void>((resolve) => {
      for (const work of works)
        void work.then((hasMore) => {
          isMore ||= hasMore;
          left -= 1;
          // Nobody has looked at its lane meanwhile.
          if (isOver) this.nudge();
          if (left === 0) resolve();
        });
      this.context.scheduler.sleep(TOGETHER_MS, waiting.signal).then(resolve, () => undefined);
    });
    isOver = true;
    waiting.abort();
    return isMore;
  }

  private async send(batch: RelayBatch): Promise<boolean> {
    const { lane, isParkingFull } = batch;
    // One by one where nothing more may be parked, or where the first one may be what keeps the others from being confirmed.
    const rows = isParkingFull || this.stalls.isSuspect(lane) ? batch.rows.slice(0, 1) : batch.rows;
    const sent = await this.sender.send(lane, rows);
    // Where nothing more may be parked, a refusal is no progress either.
    const fates = isParkingFull && sent[0] !== 'sent' ? sent : this.stalls.judge(lane, rows, sent);
    failpoint('relay:after-publish');
    const end = fates.findIndex((fate) => fate !== 'sent' && (isParkingFull || fate === 'unknown' || fate === 'unsent'));
    const count = end === -1 ? fates.length : end;
    if (count === 0 && isParkingFull) this.stalls.rest(lane, rows[0]?.id);
    const ownerToken = this.context.lanes.ownerToken(lane);
    if (count === 0 || ownerToken === undefined) return false;
    const parked = rows.slice(0, count).flatMap((row, place) => parkingOf(row, fates[place], this.context.random.next()) ?? []);
    const isMoved = await this.context.store.advance(batch, { count, parked, ownerToken });
    failpoint('relay:after-advance');
    if (isMoved) this.tellParked(rows, parked);
    return isMoved;
  }

  /** Sends what is parked and due; in which lanes there may be more of it. Nothing new of those is read: what follows would be parked faster than it is sent. */
  private async sendParked(lanes: readonly number[]): Promise<ReadonlySet<number>> {
    const { clock, parked } = this.context;
    const draining = new Set<number>();
    const startMs = clock.monotonicMs();
    if (lanes.length === 0 || startMs < this.parkedLookMs) return draining;
    // Set in front of the look: a `resume` during it wants another one.
    const beforeMs = this.parkedLookMs;
    this.parkedLookMs = startMs + PARKED_LOOK_MS;
    const batches = await parked.due(lanes, { rows: PARKED_BATCH, bytes: this.bytesOf(lanes.length) }).catch((error: unknown) => {
      this.parkedLookMs = Math.min(this.parkedLookMs, beforeMs);
      throw error;
    });
    const endMs = clock.monotonicMs();
    const tookMs = endMs - startMs;
    if (this.parkedLookMs > startMs)
      this.parkedLookMs = endMs + Math.min(MAX_PARKED_LOOK_MS, Math.max(PARKED_LOOK_MS, tookMs * PARKED_LOOK_SHARE));
    const resend = async (batch: ParkedBatch): Promise<boolean> => {
      const isMore = await this.resend(batch);
      if (isMore) {
        draining.add(batch.lane);
        // Also when it is late: what is parked comes before what is new.
        this.parkedLookMs = Number.NEGATIVE_INFINITY;
      }
      return isMore;
    };
    await this.together(batches.map((batch) => this.work(batch.lane, () => resend(batch))));
    return draining;
  }

  private async resend(batch: ParkedBatch): Promise<boolean> {
    const { lane, rows } = batch;
    const { random } = this.context;
    const fates = await this.sender.send(lane, rows);
    failpoint('parked:after-publish');
    const ownerToken = this.context.lanes.ownerToken(lane);
    if (ownerToken === undefined) return false;
    const sent = rows.filter((_, place) => fates[place] === 'sent');
    if (sent.length > 0) this.stalls.confirmed();
    const failed = rows.flatMap((row, place) => {
      const parking = parkingOf(row, fates[place] === 'unknown' ? UNCONFIRMED : fates[place], random.next());
      return parking?.delayMs === undefined ? [] : [{ ...parking, delayMs: parking.delayMs }];
    });
    const isKept = await this.context.parked.resent(batch, { sent: sent.map(({ id }) => id), failed, ownerToken });
    if (isKept) for (const { type, key, place } of sent) emit('message:resumed', { type, key, place, transport: this.context.name });
    return isKept && sent.length > 0;
  }

  private tellParked(rows: readonly RelayRow[], parked: readonly Parking[]): void {
    const byId = new Map(rows.map((row) => [row.id, row]));
    const { name: transport, logger } = this.context;
    for (const { id, reason, error } of parked) {
      const { type, key, place } = byId.get(id) as RelayRow;
      emit('message:parked', { type, key, place, transport, reason, error });
      if (reason !== 'behind')
        logger.error('a message could not be sent; it is parked with those of its key behind it, and sent again later', {
          type,
          key,
          place,
          transport,
          reason,
          error,
        });
    }
  }

  private failed(error: unknown): void {
    const { name: transport, logger } = this.context;
    emit('poll:failed', () => ({ loop: relayScopeOf(transport), error, delayMs: POLL_MS }));
    logger.warn('the relay could not send; it tries again', { transport, error });
  }
}
