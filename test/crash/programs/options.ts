import type { KafkaOptions } from '@holdfast/transport-kafka';
import type { RocketmqOptions } from '@holdfast/transport-rocketmq';
import type { RabbitmqOptions } from '@holdfast/transport-rabbitmq';

/** What one message asks of its handler. */
export type Kind =
  | 'ok'
  | 'slow'
  | 'throw'
  | 'throw-once'
  | 'defect'
  | 'hang'
  | 'pg-sleep'
  | 'kill'
  | 'kill-once'
  | 'spin'
  | 'conflict'
  | 'heed'
  | 'forward'
  /** The broker `spool` refuses it when it is sent first. */
  | 'refuse-once';

/** Messages to publish; each in a unit of its own beside a row of the business, as a service does. */
export interface Publishing {
  /** First part of the ids: unique per call and run. */
  readonly prefix: string;
  /** Undefined: until the process stops. */
  readonly count?: number;
  /** Instead of `count`: until so many of the units were acknowledged, however many are refused on the way. */
  readonly untilAcknowledged?: number;
  /** Units at once; default 4. */
  readonly concurrency?: number;
  /** Units per second, all together; default: as fast as it goes. */
  readonly perSecond?: number;
  /** Ordering keys in use; default 8; 0: no key. */
  readonly keys?: number;
  /** Begin of the keys' names; default 'key'. */
  readonly keyPrefix?: string;
  /** Share of units that are rolled back, half of them before the message has its id and half at COMMIT, which leaves a hole; default 0.03. */
  readonly rollbackShare?: number;
  /** What the messages ask for, in turn; default 'ok'. */
  readonly kinds?: readonly Kind[];
  /** For 'slow', 'spin' and 'kill': how long. */
  readonly ms?: number;
  /** Every message is published so much later. */
  readonly delayMs?: number;
  /** Messages per unit, all of one key; default 1. */
  readonly perUnit?: number;
  /** Runs its units so, and again when they cannot be serialised. */
  readonly isolation?: 'SERIALIZABLE';
  /** How its units keep messages and rows together; default 'outbox'. Half messages have no keys: it goes with `keys: 0`. */
  readonly protocol?: 'half-message';
  /** In transactions of TypeORM's own that are joined: the message rows are written before COMMIT, not with it. */
  readonly isJoined?: boolean;
  /** Message id, instead of one of its own: copies of one message. */
  readonly copyOf?: string;
  /** Each message goes to all of these, under one id; default: where its class says. */
  readonly destinations?: readonly string[];
  /** Every message asks for receipts. */
  readonly receipt?: boolean;
  /** Bytes added to every message. */
  readonly ballast?: number;
}

/** One subscription of the program; its handler writes one row of `effect` per call. */
export interface Subscribing {
  readonly name: string;
  /** Takes what is sent to the transport `events` instead of the default. */
  readonly isOnEvents?: boolean;
  /** Default true. */
  readonly isTransactional?: boolean;
  /** Default true. */
  readonly isIdempotent?: boolean;
  readonly isolation?: 'SERIALIZABLE';
  readonly isOrdered?: boolean;
  readonly onDeadLetter?: 'block' | 'skip';
  readonly concurrency?: number;
  readonly batchSize?: number;
  readonly timeoutMs?: number;
  readonly attempts?: number;
  /** Wait between attempts; default 50. */
  readonly retryDelayMs?: number;
  readonly lockTtlMs?: number;
  readonly ttlMs?: number;
  /** 'defect' does not throw any more. */
  readonly isMended?: boolean;
  /** 'heed' is 'ok'. */
  readonly isHeedless?: boolean;
  /** Added to every call. */
  readonly slowMs?: number;
}

/** A plain method of the program behind its policies, idempotent by its only argument; it writes one row of `effect` per call. */
export interface Guarding {
  readonly name: string;
  /** Default false. */
  readonly isTransactional?: boolean;
  readonly lockTtlMs: number;
}

/** Sagas to start: their last step succeeds, is refused, or is refused by its COMMIT. */
export interface Starting {
  readonly prefix: string;
  readonly count: number;
  readonly how: 'well' | 'refused' | 'refused at commit';
}

/** Orders to sell, each a saga over two services: they go well, are refused by the bank, or have no van when all else is done. */
export interface Selling {
  readonly prefix: string;
  readonly count: number;
  readonly how: 'well' | 'declined' | 'no van';
}

/** Trips to request: they go well, are aborted when all have taken part, or are aborted at once. */
export interface Travelling {
  readonly prefix: string;
  readonly count: number;
  readonly how: 'well' | 'aborted' | 'raced';
}

/**
 * Units that call tries: they commit, also where the first confirm is refused by its COMMIT, or are rolled back, or refused by theirs; or they call one whose
 * confirm, or cancel, kills its process.
 */
export interface Trying {
  readonly prefix: string;
  readonly count: number;
  readonly how: 'well' | 'stubborn' | 'refused' | 'refused at commit' | 'kills by confirm' | 'kills by cancel';
}

/**
 * What is to go wrong with a transfer: nothing; it is refused at last; that, and it can be neither undone nor confirmed before the bank is mended; whatever is
 * done for it fails once; whoever does it takes too long.
 */
export type Fate = 'well' | 'refused' | 'stuck' | 'falters' | 'late';

/** Money that is to be moved between two accounts of the bank. */
export interface Transfer {
  readonly id: string;
  readonly how: 'saga' | 'queued saga' | 'try' | 'choreography';
  /** As in `north/1`: the service that has the account, and its number. */
  readonly from: string;
  /** Of another service; a try moves it to the vault instead. */
  readonly to: string;
  readonly amount: number;
  readonly fate: Fate;
}

/** What an operator does with dead letters. */
export interface Repair {
  readonly how: 'redrive' | 'discard';
  readonly which: string | { readonly subscription: string };
}

/** What the program is told when it starts. */
export interface ProgramOptions {
  readonly url: string;
  readonly service?: string;
  readonly poolSize?: number;
  readonly lanes?: number;
  /** 'spool' is a broker that keeps its messages; default 'database'. */
  readonly transport?: 'database' | 'spool';
  /** Over RabbitMQ instead. */
  readonly broker?: RabbitmqOptions;
  /** Over Kafka instead, or with a RabbitMQ beside it, as the transport `events`. */
  readonly kafka?: KafkaOptions;
  /** Over RocketMQ instead. */
  readonly rocketmq?: RocketmqOptions;
  readonly subscriptions: readonly Subscribing[];
  readonly methods?: readonly Guarding[];
  /** It works on sagas. */
  readonly hasSagas?: boolean;
  /** Which end of sagas over two services it is. */
  readonly selling?: 'shop' | 'bank';
  /** Versions of those sagas that it has; it starts the last of them. Default: the first one. */
  readonly sellingVersions?: readonly (1 | 2)[];
  /** It takes part in choreographed sagas. */
  readonly hasTrips?: boolean;
  /** Of the handlers that do; default 1. */
  readonly tripsRelease?: 1 | 2;
  /** It calls tries. */
  readonly hasTries?: boolean;
  /** At their confirm, and at their cancel; default 20. */
  readonly tryAttempts?: number;
  /** From the call of a try to the end of its unit; default 20 s. */
  readonly tryTimeoutMs?: number;
  /** It is a service of the bank: `north`, `south` or `west`. */
  readonly isBank?: boolean;
  /** Begins at once. */
  readonly publishing?: Publishing;
  readonly retentionMs?: number;
  readonly stopTimeoutMs?: number;
  /** Collects its garbage and tells its memory so often. */
  readonly memoryEveryMs?: number;
  /** Its handlers are Nest's own, under HoldfastStrategy: `ordered` and `batch`, whatever `subscriptions` says; it publishes nothing. */
  readonly isNest?: boolean;
  /** Publishing goes on until the bus has stopped, as requests do that arrive while a service stops. */
  readonly publishesToTheEnd?: boolean;
}

/** What the program says, one line of JSON each. */
export type Line =
  | { readonly e: 'ready' }
  | { readonly e: 'attempted'; readonly id: string }
  | { readonly e: 'acknowledged'; readonly id: string }
  | { readonly e: 'refused'; readonly id: string; readonly code: string }
  | { readonly e: 'unknown'; readonly id: string; readonly code: string }
  | { readonly e: 'published'; readonly prefix: string; readonly ms: number }
  | { readonly e: 'log'; readonly level: string; readonly message: string; readonly fields: Readonly<Record<string, unknown>> }
  | { readonly e: 'called'; readonly subscription: string; readonly id: string; readonly kind: Kind }
  | { readonly e: 'repaired'; readonly count: number }
  | { readonly e: 'started sagas'; readonly prefix: string }
  | { readonly e: 'started selling'; readonly prefix: string }
  | { readonly e: 'requested trips'; readonly prefix: string }
  /** Of a unit that called tries: `committed`, or the code of its error. */
  | { readonly e: 'unit ended'; readonly id: string; readonly code: string }
  /** `by`: the process that did it. */
  | { readonly e: 'returned'; readonly key: string; readonly by: number }
  /** The most it ever had in memory. */
  | { readonly e: 'memory'; readonly peakMib: number }
  | { readonly e: 'aborted'; readonly id: string; readonly code: string }
  | { readonly e: 'stopping' }
  | { readonly e: 'stopped'; readonly ms: number }
  | { readonly e: 'failed'; readonly error: string };

/** What the program is told on its standard input. */
export type Order =
  | { readonly publish: Publishing }
  | { readonly repair: Repair }
  | { readonly call: { readonly method: string; readonly key: string } }
  | { readonly startSagas: Starting }
  | { readonly sell: Selling }
  | { readonly requestTrips: Travelling }
  | { readonly callTries: Trying }
  | { readonly transfer: readonly Transfer[] }
  /** Everything of the bank that is parked is tried again. */
  | { readonly goOn: true }
  | { readonly stop: true }
  /** From now on the clock is wrong by so much. */
  | { readonly shiftClockMs: number };
