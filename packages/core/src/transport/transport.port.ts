import type { Intake } from '../delivery/intake.port.js';
import type { Logger } from '../monitoring/logger.js';
import type { SubscriptionLag } from '../monitoring/subscription-lag.js';
import type { Envelope } from '../message/envelope.js';
import type { ReceivedReply } from '../reply/received-reply.js';
import type { Store } from '../store/store.port.js';
import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';
import type { Scheduler } from '../time/scheduler.js';

/** What a transport can keep; a decorator that needs more refuses to start, and the README's table of guarantees is printed from it. */
export interface TransportCapabilities {
  /** A message survives the end of every process. */
  readonly persistent: boolean;
  /** Subscriptions read the store's log themselves, in the handler's transaction: there is no relay, and `publish` and `openReplies` are never called. */
  readonly readsLog: boolean;
  /** Several processes share one subscription. */
  readonly sharedSubscriptions: boolean;
  /** A key's messages go to one consumer at a time: what `ordering: 'key'` needs. */
  readonly partitionedDelivery: boolean;
  /** `from: 'earliest'` reaches messages published before the subscription was made. */
  readonly fromEarliest: boolean;
  /** Subscriptions work without a store. */
  readonly withoutStore: boolean;
  /** What waits for a subscription comes along when it is renamed with `formerly`. */
  readonly renamedSubscriptions: boolean;
  /** Replies find the process that asked: what `bus.request` needs. */
  readonly replies: boolean;
  /** A message may go to an address other than its type, and its subscriptions are found there; default: that is refused. */
  readonly addresses?: boolean;
  /**
   * What a handler publishes and how far it consumed are one transaction of the broker, which whoever had the place before cannot commit any more: what
   * `protocol: 'kafka'` needs. Left out: not.
   */
  readonly fencedOffsets?: boolean;
}

/** What became of one published message. `unknown`: the connection was lost while waiting, so publish it again with the same id. */
export type PublishOutcome = 'confirmed' | 'unroutable' | 'rejected' | 'unknown';

/** A subscription as a transport sees it. */
export interface SubscriptionSpec {
  readonly name: string;
  readonly types: readonly string[];
  /** Where the messages of each of these types go, in the same order; undefined: to their type. At an address there may be others, which it does not get. */
  readonly addresses?: readonly string[] | undefined;
  readonly from: 'now' | 'earliest';
  readonly ordering: 'none' | 'key';
  /** Hand-overs in work at once. */
  readonly concurrency: number;
  /** Messages per hand-over at most. */
  readonly batchSize: number;
  /** Number of its row in the store; undefined without a store. */
  readonly id: number | undefined;
  /** Handled in transactions of the broker (`protocol: 'kafka'`), through `Intake.transact`. */
  readonly transaction?: { readonly timeoutMs: number } | undefined;
}

/** Where a message is published: its destination, or without one its type. */
export function addressOf({ destination, type }: Pick<Envelope, 'destination' | 'type'>): string {
  return destination ?? type;
}

/** What a hand-over came to: `worked` (ask again at once), `idle` (nothing was there), `blocked` (wait before asking again). */
export type HandOver = 'worked' | 'idle' | 'blocked';

/** The engine's end of a subscription; never throws. */
export interface Sink {
  handle(intake: Intake): Promise<HandOver>;
  /** True while an operator has paused the subscription: `handle` takes nothing then. Where the log is read, the statement that takes sees it instead. */
  readonly isPaused: boolean;
  /**
   * Calls `changed` whenever that changes, so that a source of which others take too leaves there what it would only hold.
   *
   * @returns ends it
   */
  onPause(changed: () => void): () => void;
}

/** What the engine gives a transport. */
export interface TransportContext {
  /** Its name in the options of the service; undefined: the default one. */
  readonly name?: string;
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

/** How a transport is. */
export interface TransportHealth {
  /** `blocked`: it is connected, and the broker takes no messages for a while. */
  readonly status: 'up' | 'blocked' | 'down';
  /** Why it is not up, for a person. */
  readonly problem: string | undefined;
  /** How far each subscription of this process was behind when it was counted last; left out: this transport does not count it, or has not yet. */
  readonly lags?: readonly SubscriptionLag[] | undefined;
}

/** Carries messages between services. A delivery is settled exactly once; a settle after its connection died does nothing. */
export interface Transport {
  readonly capabilities: TransportCapabilities;
  /** Connects and makes what the subscriptions need. */
  start(topology: Topology): Promise<void>;
  /** Publishes a batch; one outcome per message, in order. An event or a command goes to its `destination`, or without one to its type. */
  publish(batch: readonly Envelope[]): Promise<readonly PublishOutcome[]>;
  /** Begins to hand messages over, until `drain`. When it cannot, nothing has begun, and it may be called again. */
  subscribe(subscription: SubscriptionSpec, sink: Sink): Promise<void>;
  /**
   * Makes a place for the replies to this process and hands over what comes there, until `close`; `receive` never throws. Its address: a message of kind
   * `reply` goes where its `destination` says, also when this process lost its connection meanwhile, and is `unroutable` once this process has ended.
   *
   * @param moved told of another address that takes the place of the first one, when that cannot be had any more; a transport whose address is for ever tells nothing
   * @throws HF_CAPABILITY_UNSUPPORTED without the capability `replies`
   */
  openReplies(receive: (reply: ReceivedReply) => void, moved: (address: string) => void): Promise<string>;
  /** Something may have been committed, in these lanes if known: look now. A hint; without it the next poll finds it. */
  nudge(lanes: readonly number[]): void;
  /** True while something is in hand or known to wait. */
  readonly isBusy: boolean;
  /** What is known right now; nobody is asked for it. */
  readonly health: TransportHealth;
  /**
   * The first half of a stop: takes nothing new from now on, waits for what is in hand, at most `timeoutMs`, and leaves the intake to others. Whoever is in
   * hand, here or over another transport, still publishes and still gets replies, until `close`.
   */
  drain(timeoutMs: number): Promise<void>;
  /**
   * The second half, also without the first one where nothing was subscribed: waits for the outcome of what was published, and lets go of everything, in
   * `timeoutMs` at most. What is published after it is `unknown`.
   */
  close(timeoutMs: number): Promise<void>;
}

/** A broker to use; made by the transport packages. */
export interface TransportFactory {
  /** Its name, for the start-up line. */
  readonly transport: string;
  /** What it can keep, known before it connects. */
  readonly capabilities: TransportCapabilities;
  /** Longest time a message may be in work, in milliseconds, where a broker takes it back after that; undefined: there is no limit. */
  readonly holdLimitMs?: number | undefined;
  create(context: TransportContext): Transport;
}
