import type { Logger } from '../monitoring/logger.js';
import { LogReader } from '../outbox/log-reader.js';
import { Loop } from '../outbox/loop.js';
import type { Store } from '../store/store.port.js';
import type { Clock } from '../time/clock.js';
import type { Scheduler } from '../time/scheduler.js';
import type { PublishOutcome, Sink, SubscriptionSpec, Topology, Transport, TransportHealth } from './transport.port.js';

/** Between two looks how far the switch has come. */
const LOOK_MS = 500;
/** Longest wait between two looks at the log. */
const POLL_MS = 1000;

/** What a crossing works with. */
export interface CrossingParts {
  readonly transport: Transport;
  readonly store: Store;
  /** This process, a UUID. */
  readonly nodeId: string;
  readonly clock: Clock;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
}

/** A subscription whose deliveries have begun. */
interface Begun {
  readonly spec: SubscriptionSpec;
  readonly sink: Sink;
}

/**
 * A broker's transport over a log that its subscriptions may still read, because it was the carrier before. Of each subscription it hands over what the log
 * has up to the switch, and what the broker has: at once from the switch on, or with `ordering: 'key'` when nothing is left of the first, for nobody.
 */
export class CrossingTransport implements Transport {
  readonly capabilities;
  /** Called once, when the log is switched while this process runs: what is written from then on is to be sent. */
  switched: () => Promise<void> = async () => undefined;
  private isBeforeSwitch = false;
  private isDraining = false;
  /** Subscriptions of this process that the log still has messages for, or may have, by number. */
  private reading = new Set<number>();
  private readonly begun = new Map<number, Begun>();
  private readonly consuming = new Set<number>();
  private readonly reader: LogReader;
  private readonly watch: Loop;

  constructor(private readonly parts: CrossingParts) {
    const { store, nodeId, clock, scheduler, logger } = parts;
    this.capabilities = parts.transport.capabilities;
    this.reader = new LogReader({ store, nodeId, pollMs: POLL_MS, clock, scheduler, logger });
    const failed = (error: unknown) => logger.warn('the move from the log to the broker could not go on; it is tried again', { error });
    this.watch = new Loop({ scheduler, pollMs: LOOK_MS, work: () => this.look(), failed });
  }

  /** True until the log is switched: nothing is sent to the broker, and everything is read in the log. */
  get isWaiting(): boolean {
    return this.isBeforeSwitch;
  }

  get isBusy(): boolean {
    return this.parts.transport.isBusy || this.reader.isBusy;
  }

  get health(): TransportHealth {
    return this.parts.transport.health;
  }

  /** Finds out, before `start`, who carries the log. @throws HF_TRANSPORT_MIXED */
  async settle(subscriptionIds: readonly number[]): Promise<void> {
    const { carrier } = this.parts.store;
    this.isBeforeSwitch = (await carrier.settle({ readsLog: false, subscriptionIds })) === 'log';
    this.reading = new Set(this.isBeforeSwitch ? subscriptionIds : (await carrier.advance(subscriptionIds)).reading);
  }

  async start(topology: Topology): Promise<void> {
    await this.parts.transport.start(topology);
    if (this.isBeforeSwitch)
      this.parts.logger.warn(
        'the log of this database is read by its subscriptions; nothing is sent to the broker until `holdfast transport switch`',
        { subscriptions: topology.subscriptions.map(({ name }) => name).join(', ') || 'none' },
      );
    if (!this.isDone) this.watch.start();
  }

  publish(...args: Parameters<Transport['publish']>): Promise<readonly PublishOutcome[]> {
    return this.parts.transport.publish(...args);
  }

  async subscribe(spec: SubscriptionSpec, sink: Sink): Promise<void> {
    const id = spec.id as number;
    if (!this.reading.has(id)) return this.parts.transport.subscribe(spec, sink);
    this.begun.set(id, { spec, sink });
    this.reader.read(spec, sink);
    this.watch.nudge();
  }

  openReplies(...args: Parameters<Transport['openReplies']>): Promise<string> {
    return this.parts.transport.openReplies(...args);
  }

  nudge(lanes: readonly number[]): void {
    if (this.begun.size > 0) this.reader.nudge(lanes);
    this.parts.transport.nudge(lanes);
  }

  async drain(timeoutMs: number): Promise<void> {
    this.isDraining = true;
    const { transport, scheduler } = this.parts;
    const watching = Promise.race([this.watch.stop(), scheduler.sleep(timeoutMs)]);
    await Promise.all([this.reader.close(timeoutMs), transport.drain(timeoutMs), watching]);
  }

  close(timeoutMs: number): Promise<void> {
    return this.parts.transport.close(timeoutMs);
  }

  private get isDone(): boolean {
    return !this.isBeforeSwitch && this.reading.size === 0;
  }

  private async look(): Promise<boolean> {
    const { isSwitched, reading } = await this.parts.store.carrier.advance([...this.reading]);
    if (!isSwitched || this.isDraining) return false;
    if (this.isBeforeSwitch) {
      await this.switched();
      this.isBeforeSwitch = false;
      this.parts.logger.info('the log was switched: what is written from now on goes over the broker', {});
    }
    const left = new Set(reading);
    for (const [id, begun] of this.begun) if (begun.spec.ordering === 'none' || !left.has(id)) await this.consume(id, begun);
    for (const id of [...this.reading]) {
      // One that has begun meanwhile waits for the next look.
      if (left.has(id) || (this.begun.has(id) && !this.consuming.has(id))) continue;
      this.reading.delete(id);
      this.begun.delete(id);
      await this.reader.leave(id);
    }
    if (this.isDone) void this.watch.stop();
    return false;
  }

  private async consume(id: number, { spec, sink }: Begun): Promise<void> {
    if (this.consuming.has(id) || this.isDraining) return;
    await this.parts.transport.subscribe(spec, sink);
    this.consuming.add(id);
  }
}
