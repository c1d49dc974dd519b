import type { OperatorAction } from '../operations/operators.js';

/** What carries the rows of a log to its subscriptions: `log`, each reads it by itself; `broker`, the relay sends them on. */
export type Carrier = 'log' | 'broker';

/** Where a move from the log to a broker stands, as far as it concerns some subscriptions. */
export interface Crossing {
  /** What is written from now on is the broker's. */
  readonly isSwitched: boolean;
  /** Those of them that still have messages to read in the log, or may yet get some. */
  readonly reading: readonly number[];
}

/** A subscription, for an operator who moves a log to a broker. */
export interface CarriedSubscription {
  readonly service: string;
  readonly name: string;
  readonly state: 'active' | 'paused';
  /** Where it gets its messages; `log` also while it reads what was written before the switch. */
  readonly carrier: Carrier;
  /** Messages of the log that it has not handled; 0 once it is the broker's. */
  readonly backlog: number;
  /** Transports of the live processes that serve it. */
  readonly transports: readonly string[];
}

/** How the whole log is carried. */
export interface CarrierInfo {
  readonly carrier: Carrier;
  readonly subscriptions: readonly CarriedSubscription[];
}

/**
 * Who carries the log: one answer for all services that share it. It moves from its readers to a broker at one id of each lane: what has that id or a
 * smaller one is read in the log, whenever it commits; what has a larger one is the relay's. So each message has one way, whatever process sees it.
 */
export interface CarrierStore {
  /**
   * Says, before a process reads or sends anything, how its subscriptions get their messages. A log that nobody has read is the broker's from the first
   * process on that starts over one.
   *
   * @param wanted.readsLog the process reads the log, over whatever was decided
   * @throws HF_TRANSPORT_SWITCHED when it reads the log, and a broker carries it
   * @throws HF_TRANSPORT_MIXED when one of the subscriptions reads a log that a relay already sends
   */
  settle(wanted: { readonly readsLog: boolean; readonly subscriptionIds: readonly number[] }): Promise<Carrier>;
  /**
   * This process is ready over this transport: what its subscriptions need there has been made.
   *
   * @throws HF_TRANSPORT_OTHER when a broker carries the log, and a living process has announced another one
   */
  announce(nodeId: string, transport: string): Promise<void>;
  /** Brings a switch a step on: finds out that nothing more can be written before it, and takes out of the log whoever has read all of that. Safe on several processes at once. */
  advance(subscriptionIds: readonly number[]): Promise<Crossing>;
  /** For an operator. */
  show(): Promise<CarrierInfo>;
  /**
   * Moves the log to a broker. Nobody waits for it: not writers, not handlers in work.
   *
   * @param transport name of the transport that all processes which serve a subscription have announced
   * @throws HF_TRANSPORT_SWITCH_REFUSED with everything that is not ready
   */
  switchTo(transport: string, action: OperatorAction): Promise<void>;
}
