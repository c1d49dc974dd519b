import type { Intake } from '../delivery/intake.port.js';
import type { Logger } from '../monitoring/logger.js';
import type { Envelope } from '../message/envelope.js';
import type { Store } from '../store/store.port.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';

/** What a transport can keep; a decorator that needs more refuses to start, and the README's table of guarantees is printed from it. */
export interface TransportCapabilities {
  /** A message survives the end of every process. */
  readonly persistent: boolean;
  /** Subscriptions read the store's log themselves, in the handler's transaction: there is no relay and `publish` is never called. */
  readonly readsLog: boolean;
  /** Several processes share one subscription. */
  readonly sharedSubscriptions: boolean;
  /** A key's messages go to one consumer at a time: what `ordering: 'key'` needs. */
  readonly partitionedDelivery: boolean;
  /** `from: 'earliest'` reaches messages published before the subscription was made. */
  readonly fromEarliest: boolean;
  /** Subscriptions work without a store. */
  readonly withoutStore: boolean;
}

/** What became of one published message. `unknown`: the connection was lost while waiting, so publish it again with the same id. */
export type PublishOutcome = 'confirmed' | 'unroutable' | 'rejected' | 'unknown';

/** A subscription as a transport sees it. */
export interface SubscriptionSpec {
  readonly name: string;
  readonly types: readonly string[];
  readonly from: 'now' | 'earliest';
  readonly ordering: 'none' | 'key';
  /** Hand-overs in work at once. */
  readonly concurrency: number;
  /** Messages per hand-over at most. */
  readonly batchSize: number;
  /** Number of its row in the store; undefined without a store. */
  readonly id: number | undefined;
}

/** What a hand-over came to: `worked` (ask again at once), `idle` (nothing was there), `blocked` (wait before asking again). */
export type HandOver = 'worked' | 'idle' | 'blocked';

/** The engine's end of a subscription; never throws. */
export interface Sink {
  handle(intake: Intake): Promise<HandOver>;
}

/** What the engine gives a transport. */
export interface TransportContext {
  readonly service: string;
  /** This process, a UUID. */
  readonly nodeId: string;
  readonly store: Store | undefined;
  readonly clock: Clock;
  readonly random: Random;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
}

/** All that will be subscribed, told before anything is. */
export interface Topology {
  readonly subscriptions: readonly SubscriptionSpec[];
}

/** Carries messages between services. A delivery is settled exactly once; a settle after its connection died does nothing. */
export interface Transport {
  readonly capabilities: TransportCapabilities;
  /** Connects and makes what the subscriptions need. */
  start(topology: Topology): Promise<void>;
  /** Publishes a batch; one outcome per message, in order. */
  publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]>;
  /** Begins to hand messages over, until `close`. */
  subscribe(subscription: SubscriptionSpec, sink: Sink): Promise<void>;
  /** Something may have been committed, in these lanes if known: look now. A hint; without it the next poll finds it. */
  nudge(lanes: readonly number[]): void;
  /** True while something is in hand or known to wait. */
  readonly isBusy: boolean;
  /** Stops the intake at once and waits for what is in hand, at most `timeoutMs`. */
  close(timeoutMs: number): Promise<void>;
}

/** A broker to use; made by the transport packages. */
export interface TransportFactory {
  /** Its name, for the start-up line. */
  readonly transport: string;
  /** What it can keep, known before it connects. */
  readonly capabilities: TransportCapabilities;
  create(context: TransportContext): Transport;
}
