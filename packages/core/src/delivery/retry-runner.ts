import type { Logger } from '../monitoring/logger.js';
import { emit } from '../monitoring/events.js';
import { Loop } from '../outbox/loop.js';
import { failpoint } from '../testing/failpoints.js';
import type { Scheduler } from '../time/scheduler.js';
import type { DeliveryStore, Hand } from './delivery.store.port.js';
import { keyRuleOf } from './key-gate.js';
import type { HandOver } from '../transport/transport.port.js';
import type { Intake } from './intake.port.js';
import type { BoundedSink } from './bounded-sink.js';

const POLL_MS = 1000;
/** The first one is earlier, so that it does not ask for a connection when the look at the log does. */
const FIRST_POLL_MS = 900;
/** Stored deliveries of one subscription in work at once, at most: they share its connections with what is new. */
const MAX_AT_ONCE = 4;
/** What a counted delivery may take besides its handler, until its end is stored: longer, and another process takes it. */
const MARGIN_MS = 10_000;
/** Between two looks for deliveries that wait for nothing. */
const FORGOTTEN_EVERY_MS = 30_000;

/** Hands stored deliveries over when they are due, to their own subscription only. */
export class RetryRunner {
  private readonly loop: Loop;
  private readonly forgotten: Loop;
  private readonly running = new Map<number, number>();
  private readonly hands = new Hands();
  private readonly tasks = new Set<Promise<void>>();
  private readonly failed: (error: unknown) => void;
  /** Subscriptions of which something was due while as much as may be was in work. */
  private readonly refused = new Set<number>();
  private isWithSuspects = false;
  /** A look has found some while these were at work. */
  private hasMoreSuspects = false;
  private isStopping = false;

  constructor(
    private readonly store: DeliveryStore,
    private readonly sinks: ReadonlyMap<number, BoundedSink>,
    { scheduler, logger }: { readonly scheduler: Scheduler; readonly logger: Logger },
  ) {
    this.failed = (error) => {
      emit('poll:failed', { loop: 'stored deliveries', error, delayMs: POLL_MS });
      logger.warn('looking for stored deliveries failed; it is tried again', { error });
    };
    this.loop = new Loop({ scheduler, pollMs: POLL_MS, firstPollMs: FIRST_POLL_MS, work: () => this.look(), failed: this.failed });
    this.forgotten = new Loop({ scheduler, pollMs: FORGOTTEN_EVERY_MS, work: () => this.freeForgotten(), failed: this.failed });
  }

  get isBusy(): boolean {
    return this.loop.isBusy || this.forgotten.isBusy || this.tasks.size > 0;
  }

  /** Begins; again when there are more subscriptions. */
  start(): void {
    if (this.sinks.size === 0) return;
    this.loop.start();
    this.forgotten.start();
  }

  /** A delivery was stored. */
  nudge(): void {
    this.loop.nudge();
  }

  /** Takes nothing new, and waits for what is in hand. */
  async stop(): Promise<void> {
    this.isStopping = true;
    await Promise.all([this.loop.stop(), this.forgotten.stop()]);
    await Promise.all(this.tasks);
  }

  /** Starts what is due; milliseconds until the next is. */
  private async look(): Promise<number | false> {
    const due = await this.store.due([...this.sinks.keys()]);
    for (const [id, { ms }] of due) if (ms === 0) this.launch(id);
    this.launchSuspects([...due].filter(([, { suspectMs }]) => suspectMs === 0).map(([id]) => id));
    const later = [...due.values()].flatMap(({ ms, suspectMs }) => [ms, suspectMs]).filter((ms) => ms !== undefined && ms > 0) as number[];
    return later.length > 0 ? Math.min(...later) : false;
  }

  private launch(id: number): void {
    const sink = this.sinks.get(id);
    if (sink === undefined) return;
    const running = this.running.get(id) ?? 0;
    if (running >= Math.min(MAX_AT_ONCE, sink.subscription.spec.concurrency)) {
      this.refused.add(id);
      return;
    }
    this.running.set(id, running + 1);
    this.track(this.drain(id, sink), () => this.running.set(id, (this.running.get(id) ?? 1) - 1));
  }

  /**
   * One at a time in this process, of all subscriptions in turn, and counted first: a message that ends the process is known by its count, and
   * no other one is counted with it.
   */
  private launchSuspects(ids: readonly number[]): void {
    if (ids.length === 0) return;
    if (this.isWithSuspects) {
      this.hasMoreSuspects = true;
      return;
    }
    this.isWithSuspects = true;
    const turns = this.takeTurns(ids).then((hasWorked) => hasWorked || this.hasMoreSuspects);
    this.track(turns, () => {
      this.isWithSuspects = false;
      this.hasMoreSuspects = false;
    });
  }

  private async takeTurns(ids: readonly number[]): Promise<boolean> {
    let hasWorked = false;
    for (const id of ids) {
      const sink = this.sinks.get(id);
      if (sink === undefined || this.isStopping) continue;
      let counted: Intake | undefined;
      const outcome = await sink.handleNext(async () => {
        counted = await this.count(id, sink);
        return counted;
      });
      // Whatever it came to, the process is still here: what is neither handled nor recorded must not wait for the end of its lease.
      await counted?.settle([], 'requeue');
      hasWorked ||= outcome === 'worked';
    }
    return hasWorked;
  }

  private async count(id: number, { subscription }: BoundedSink): Promise<Intake | undefined> {
    const intake = await this.store.countSuspect(id, subscription.timeoutMs + MARGIN_MS);
    failpoint('count:after-record');
    return intake;
  }

  private async freeForgotten(): Promise<boolean> {
    const rules = [...this.sinks.values()].map(({ subscription }) => keyRuleOf(subscription));
    if ((await this.store.freeForgotten(rules)) > 0) this.loop.nudge();
    return false;
  }

  /** Runs work beside the loop; true of it means that there may be more. What is due and in work elsewhere is looked at by the poll only. */
  private track(work: Promise<boolean>, done: () => void): void {
    const task = work
      .catch((error: unknown) => {
        this.failed(error);
        return false;
      })
      .then((mayBeMore) => {
        done();
        this.tasks.delete(task);
        if (mayBeMore) this.loop.nudge();
      });
    this.tasks.add(task);
  }

  private async drain(id: number, sink: BoundedSink): Promise<boolean> {
    const hand = this.hands.open();
    const look = async () => this.store.intake(id, hand);
    let hasWorked = false;
    let outcome: HandOver = 'worked';
    try {
      while (outcome === 'worked' && !this.isStopping) {
        outcome = await sink.handleNext(look);
        hasWorked ||= outcome === 'worked';
      }
    } finally {
      this.hands.close(hand);
    }
    const wasRefused = this.refused.delete(id);
    return hasWorked || wasRefused;
  }
}

/** Those that are at work, each with the delivery that it took last. */
class Hands {
  private readonly taken = new Map<Hand, string | undefined>();

  open(): Hand {
    const { taken } = this;
    const hand: Hand = {
      get others() {
        return [...taken].flatMap(([other, id]) => (other === hand ? [] : (id ?? [])));
      },
      took: (id) => {
        taken.set(hand, id);
      },
    };
    taken.set(hand, undefined);
    return hand;
  }

  close(hand: Hand): void {
    this.taken.delete(hand);
  }
}
