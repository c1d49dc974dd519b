import type { ErrorCategory } from '../errors/holdfast-error.js';
import type { CheckedUnit } from '../half-message/half-message.store.port.js';
import type { SagaFailure } from '../saga/saga-definition.js';
import type { BranchFailure, BranchOperation } from '../try-confirm-cancel/branch-decisions.js';
import type { ParkedReason } from '../operations/operators.js';
import type { SubscriptionLag } from './subscription-lag.js';

/** Which message an event is about. */
export interface MessageFacts {
  /** Message id; unique together with `source`. */
  readonly id: string;
  readonly source: string;
  /** CloudEvents type. */
  readonly type: string;
  /** Ordering key, if it has one. */
  readonly key: string | undefined;
}

/** Which delivery an event is about. */
export interface DeliveryFacts extends MessageFacts {
  /** Durable name of the subscription. */
  readonly subscription: string;
  /** From 1. */
  readonly attempt: number;
}

/** Why something failed, as it is grouped and stored. */
export interface FailureFacts {
  /** Code of the error, or its type where it has none. */
  readonly code: string;
  readonly category: ErrorCategory;
  /** Equal for the same error from the same place. */
  readonly fingerprint: string;
  /** What was thrown. */
  readonly error: unknown;
}

/** Which unit of work an event is about. */
export interface UnitFacts {
  /** Name of the DataSource. */
  readonly dataSource: string;
  /** From BEGIN to the end. */
  readonly durationMs: number;
}

/** Which process an event is about. */
export interface NodeFacts {
  readonly service: string;
  /** Id of the process, new at every start. */
  readonly node: string;
}

/** Which call of a try an event is about. */
export interface BranchFacts {
  /** Id of the branch. */
  readonly branch: string;
  /** Name of the try. */
  readonly method: string;
}

/** Which connection to a broker an event is about. */
export interface BrokerFacts {
  /** Name of the transport. */
  readonly transport: string;
  /** What the connection is for. */
  readonly connection: 'publish' | 'consume';
  /** Where the broker is, without user and password. */
  readonly address: string;
}

/** Which row of the log an event is about. */
export interface ParkedFacts {
  /** CloudEvents type. */
  readonly type: string;
  /** Ordering key, if it has one. */
  readonly key: string | undefined;
  /** Lane and number of its row. */
  readonly place: string;
  /** Name of the transport that is to carry it, as in the options. */
  readonly transport: string;
}

/** Which lease an event is about. */
export interface LeaseFacts {
  /** Of what. */
  readonly scope: string;
  readonly part: number;
  /** Id of this process. */
  readonly node: string;
}

/** Which saga an event is about. */
export interface SagaFacts {
  /** Name of the saga. */
  readonly saga: string;
  /** Id of the instance. */
  readonly id: string;
  readonly version: number;
}

/** Which attempt at a step an event is about. */
export interface SagaStepFacts extends SagaFacts {
  readonly step: string;
  /** From 1. */
  readonly attempt: number;
  /** True for its compensation. */
  readonly isUndoing: boolean;
  readonly durationMs: number;
}

/** Ids of a lane's log; both included. */
export interface HoleFacts {
  readonly lane: number;
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * All events of Holdfast by name, with what each one tells. They are hints for people and metrics: an event may be missed by a process that
 * dies, so nothing may depend on one. Payloads are read-only and made only when somebody listens.
 *
 * @source Node.js `node:diagnostics_channel`; the channel of an event is `holdfast:<name>`
 */
export interface HoldfastEvents {
  /** A publish, a send, a request or the reply to one was accepted: with a store it is in its unit, which may still be rolled back; without one the broker has confirmed it. */
  'message:published': MessageFacts & {
    readonly kind: 'event' | 'command' | 'reply';
    /** Name of the transport that carries it, as in the options. */
    readonly transport: string;
    /** Address there: its type, unless it has a destination; of a reply whoever asked. */
    readonly destination: string | undefined;
    /** Of the body. */
    readonly bytes: number;
  };
  /** A message could not be read or is not valid; it was parked with its body. What could not be read is undefined. */
  'message:invalid': Partial<MessageFacts> &
    FailureFacts & {
      readonly subscription: string | undefined;
      /** Attempts that were made at it before. */
      readonly attempt: number;
      /** Of the body. */
      readonly bytes: number;
    };
  /**
   * A broker did not confirm a message. `unroutable`: no queue takes its type, which is no failure of an event; `rejected`: the broker refused it;
   * `unknown`: it may have it or not. What is rejected or unknown is published again from the outbox; without a store the caller is told in the end.
   */
  'message:unconfirmed': MessageFacts & {
    readonly outcome: 'unroutable' | 'rejected' | 'unknown';
    /** What stood in the way, where that is known. */
    readonly error: unknown;
  };
  /** A request ended. `given-up`: it could not be sent, its signal was aborted, or this process stops. `id` is empty when it had not been sent. */
  'request:ended': MessageFacts & {
    readonly outcome: 'replied' | 'rejected' | 'timed-out' | 'given-up';
    readonly durationMs: number;
  };
  /** A reply was dropped. `nobody-waits`: it came too late, a second time, or for a request of another life of this process. `id` is that of the request. */
  'reply:dropped': {
    readonly id: string | undefined;
    /** Service that replied. */
    readonly source: string | undefined;
    readonly reason: 'nobody-waits' | 'unreadable';
  };
  /**
   * A message could not be sent: it is kept apart, and what follows in its key waits behind it (`behind`). `place`: lane and row of the log. `rejected`:
   * the broker refused it; `unroutable`: a command whose owner has no queue; `unconfirmed`: it was
   * never confirmed, while others were; `unreadable`: beyond the limits of this process.
   */
  'message:parked': ParkedFacts & { readonly reason: ParkedReason; readonly error: string | undefined };
  /** A parked message was sent after all. */
  'message:resumed': ParkedFacts;
  /** The message rows of a unit were written, just before its COMMIT. */
  'outbox:written': { readonly dataSource: string; readonly count: number; readonly lanes: readonly number[] };

  /** The messages of a unit with `protocol: 'half-message'` were registered, just before its COMMIT. `unit`: its id in the register. */
  'unit:registered': { readonly unit: string; readonly count: number };
  /**
   * Nobody had said what became of a unit with half messages, so this process asked. `committed`: its messages are in the log now; `rolled-back`: they are
   * gone, and it cannot commit any more; `unknown`: its transaction is open or prepared, and it is asked again later.
   */
  'unit:checked-back': { readonly unit: string; readonly outcome: CheckedUnit['outcome']; readonly count: number };

  /** A handler is about to be called. */
  'delivery:started': DeliveryFacts & { readonly isRedelivery: boolean };
  /** A handler ended well, and what it did is committed. `criticalTimeMs`: from the publish (publisher's clock) to now. */
  'delivery:succeeded': DeliveryFacts & { readonly durationMs: number; readonly criticalTimeMs: number };
  /** A handler failed, whatever happens next. `durationMs`: of this attempt. */
  'delivery:failed': DeliveryFacts & FailureFacts & { readonly durationMs: number };
  /** A failed delivery will be tried again after `delayMs`: it is stored, or without a store waits in this process. */
  'delivery:retry-scheduled': DeliveryFacts & FailureFacts & { readonly delayMs: number };
  /** A failed delivery waits for a person: it is stored, or without a store is where the transport keeps dead letters. */
  'delivery:dead-lettered': DeliveryFacts & FailureFacts;
  /** A handler refused a request, and whoever asked has that as the answer: it has its end, and nothing waits for a person. */
  'delivery:refused': DeliveryFacts & FailureFacts;
  /** A message was recognised as handled before, or as a request that was refused for good, and dropped; whoever waits for it is told as before. */
  'delivery:duplicate': DeliveryFacts;
  /** A compensation had nothing to undo, because its request never ran: it was answered, and its handler not called. */
  'delivery:needless': DeliveryFacts;
  /** A request came after it had been undone: it was dropped, and whoever waits for it is told. */
  'delivery:undone': DeliveryFacts;

  /** A unit of work was committed. `messages`: how many left with it. */
  'unit:committed': UnitFacts & { readonly messages: number };
  /** A unit of work was rolled back. */
  'unit:rolled-back': UnitFacts & { readonly error: unknown };
  /** The connection broke during COMMIT: a person or the failure path has to look. */
  'unit:commit-unknown': UnitFacts & { readonly error: unknown };

  /** A saga was started: it is in its unit, which may still be rolled back. */
  'saga:started': SagaFacts;
  /** A step, or its compensation, is done, and committed with all it wrote. */
  'saga:step-done': SagaStepFacts;
  /** An attempt at a step, or at its compensation, failed. `delayMs`: until the saga is worked on next; undefined: it waits for a person. */
  'saga:step-failed': SagaStepFacts & FailureFacts & { readonly delayMs: number | undefined };
  /** A saga has ended by itself. */
  'saga:ended': SagaFacts & { readonly status: 'completed' | 'compensated' };
  /** A saga waits for a person. */
  'saga:parked': SagaFacts & { readonly failure: SagaFailure };
  /** This process has found sagas that it has no definition of. `count`: instances that have not ended. */
  'saga:unserved': { readonly saga: string; readonly version: number; readonly count: number };

  /** A choreographed saga was aborted in this service, for the first time. `parts`: what is to be undone here. */
  'saga:aborted': { readonly id: string; readonly reason: string; readonly parts: number };
  /** What a handler did for an aborted saga was undone, and that is committed. `subscription`: that of the handler; `message`: id of what it had handled. */
  'saga:part-undone': {
    readonly id: string;
    readonly message: string;
    readonly source: string;
    readonly type: string;
    readonly subscription: string;
  };
  /** A message came for an aborted saga, and the handler that would have had to be undone was not called. */
  'saga:message-dropped': DeliveryFacts & { readonly sagaId: string };
  /** A try has finished, and what it wrote is committed: whether it is confirmed or cancelled is not known yet. */
  'branch:tried': BranchFacts & { readonly durationMs: number };
  /** An attempt at a confirm or a cancel failed. `attempt`: from 1. `delayMs`: until the next one; undefined: the branch waits for a person. */
  'branch:failed': BranchFacts &
    FailureFacts & { readonly operation: BranchOperation; readonly attempt: number; readonly delayMs: number | undefined };
  /** A branch has ended. `how`: its method was called, there was nothing to undo, or a person said so. */
  'branch:ended': BranchFacts & { readonly status: 'confirmed' | 'cancelled'; readonly how: 'called' | 'nothing-to-undo' | 'by-hand' };
  /** A branch waits for a person. */
  'branch:parked': BranchFacts & { readonly operation: BranchOperation; readonly failure: BranchFailure };
  /** This process has found branches of a try that it does not have. `count`: those that have not ended. */
  'branch:unserved': { readonly method: string; readonly count: number };

  /** Ids were skipped: their transactions have not ended yet, or were rolled back. */
  'lane:hole-found': HoleFacts;
  /** All transactions that could have filled these ids have ended without: they were rolled back. */
  'lane:hole-dead': HoleFacts;
  /** Rows that everybody has passed were deleted. */
  'lane:trimmed': { readonly lane: number; readonly count: number; readonly trimmedTo: bigint };
  /** The sequence of a lane stood behind what was already read, and was raised. */
  'lane:sequence-raised': { readonly lane: number; readonly from: bigint; readonly to: bigint };

  /** A part of something that one process has at a time is this one's from now on, such as a lane of the log (scope `relay`, or `relay:<name>` of a further transport). */
  'lease:taken': LeaseFacts;
  /** A part that was this process's is another's, or nobody's: it was silent for too long. */
  'lease:lost': LeaseFacts;

  /** A subscription gets no deliveries: by an operator, or because most of them failed. `forMs` is undefined until resumed by hand. */
  'subscription:paused': { readonly subscription: string; readonly reason: 'operator' | 'failures'; readonly forMs: number | undefined };
  /** A paused subscription gets deliveries again. */
  'subscription:resumed': { readonly subscription: string };
  /** A known subscription has no handler in any live process. */
  'subscription:missing': { readonly subscription: string };

  /** A subscription gets deliveries from a queue of the broker, or as a member of a group: at the start, and again each time after it was interrupted. */
  'subscription:consuming': { readonly subscription: string; readonly queue: string };
  /** It was counted how far a subscription is behind at its broker: by each process that has it, as often as its transport does that. */
  'subscription:lag': SubscriptionLag;
  /** A subscription lost its queue, or the way to it; what it had in hand is delivered again. It is tried again after `delayMs`. */
  'subscription:interrupted': { readonly subscription: string; readonly queue: string; readonly error: unknown; readonly delayMs: number };

  /** A connection to the broker is open. `generation`: from 1, one more each time. */
  'broker:connected': BrokerFacts & { readonly generation: number };
  /** A connection to the broker was lost, or could not be made. It is tried again after `delayMs`. */
  'broker:disconnected': BrokerFacts & { readonly error: unknown; readonly delayMs: number };
  /** The broker takes no messages for a while, because its memory or disk runs out: publishing waits. */
  'broker:blocked': BrokerFacts & { readonly reason: string };
  /** The broker takes messages again. */
  'broker:unblocked': BrokerFacts;

  /** This process has started. */
  'node:started': NodeFacts;
  /** This process begins to stop: told before anything is closed, so that a readiness probe can say no. `timeoutMs`: what is in hand may take so long. */
  'node:stopping': NodeFacts & { readonly timeoutMs: number };
  /** This process has stopped. `returned`: deliveries that had to be handed back unfinished. */
  'node:stopped': NodeFacts & { readonly returned: number };
  /** Another process has not been heard of for too long; its work is taken over. */
  'node:found-dead': NodeFacts & { readonly silentMs: number };

  /** A message was published outside any unit of work after a write. `site`: file and line of the call. */
  'process:outside-transaction': { readonly type: string; readonly site: string };
  /** A hook of a unit threw after its end, or took longer than half a minute; it changed nothing. */
  'hook:failed': { readonly hook: 'afterCommit' | 'afterRollback'; readonly error: unknown };
  /** A look into the store or the broker failed, and is repeated after `delayMs`. `loop`: what for. */
  'poll:failed': { readonly loop: string; readonly error: unknown; readonly delayMs: number };
}

/** The name of an event. */
export type EventName = keyof HoldfastEvents;

/** The names of all events; the compiler keeps it equal to the table. */
export const EVENT_NAMES = Object.keys({
  'message:published': true,
  'message:invalid': true,
  'message:unconfirmed': true,
  'request:ended': true,
  'reply:dropped': true,
  'message:parked': true,
  'message:resumed': true,
  'outbox:written': true,
  'unit:registered': true,
  'unit:checked-back': true,
  'delivery:started': true,
  'delivery:succeeded': true,
  'delivery:failed': true,
  'delivery:retry-scheduled': true,
  'delivery:dead-lettered': true,
  'delivery:refused': true,
  'delivery:duplicate': true,
  'delivery:needless': true,
  'delivery:undone': true,
  'unit:committed': true,
  'unit:rolled-back': true,
  'unit:commit-unknown': true,
  'saga:started': true,
  'saga:step-done': true,
  'saga:step-failed': true,
  'saga:ended': true,
  'saga:parked': true,
  'saga:unserved': true,
  'saga:aborted': true,
  'saga:part-undone': true,
  'saga:message-dropped': true,
  'branch:tried': true,
  'branch:failed': true,
  'branch:ended': true,
  'branch:parked': true,
  'branch:unserved': true,
  'lane:hole-found': true,
  'lane:hole-dead': true,
  'lane:trimmed': true,
  'lane:sequence-raised': true,
  'lease:taken': true,
  'lease:lost': true,
  'subscription:paused': true,
  'subscription:resumed': true,
  'subscription:missing': true,
  'subscription:consuming': true,
  'subscription:lag': true,
  'subscription:interrupted': true,
  'broker:connected': true,
  'broker:disconnected': true,
  'broker:blocked': true,
  'broker:unblocked': true,
  'node:started': true,
  'node:stopping': true,
  'node:stopped': true,
  'node:found-dead': true,
  'process:outside-transaction': true,
  'hook:failed': true,
  'poll:failed': true,
} satisfies Record<EventName, true>) as readonly EventName[];
