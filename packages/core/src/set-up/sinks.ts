import { FailurePause } from '../delivery/failure-pause.js';
import { InProcessHandling } from '../delivery/in-process-handling.js';
import { KafkaHandling } from '../delivery/kafka-handling.js';
import { LeaseHandling } from '../delivery/lease-handling.js';
import type { MessageHandling } from '../delivery/message-handling.js';
import { Permits, shareOf } from '../delivery/permits.js';
import { BoundedSink } from '../delivery/bounded-sink.js';
import type { HandlingContext } from '../delivery/handling-context.js';
import type { Subscription } from '../delivery/subscription.js';
import { UnitHandling } from '../delivery/unit-handling.js';
import type { WorkInHand } from '../delivery/work-in-hand.js';
import { dampedLogger } from '../monitoring/damped-logger.js';
import type { Receipts } from '../receipt/receipts.js';
import type { Replies } from '../reply/replies.js';
import type { Assembly } from './assembly.js';

/** What the sinks of a process have in common. */
export interface SinksParts {
  readonly assembly: Assembly;
  readonly inHand: WorkInHand;
  /** Connections that handlers and the steps of sagas share. */
  readonly connections: Permits;
  /** Besides the subscriptions, how many want some. */
  readonly sharing: number;
  /** Deliveries were stored, and committed. */
  readonly onStored: () => void;
}

/** One sink for each subscription, which share the connections there are. */
export function sinksOf(
  { assembly, inHand, connections, sharing: others, onStored }: SinksParts,
  subscriptions: readonly Subscription[],
): readonly BoundedSink[] {
  const { store, units, runtime, transports } = assembly;
  const { clock, random, scheduler } = runtime;
  const logger = dampedLogger(runtime.logger, clock);
  const replies = assembly.replies as Replies;
  const receipts = assembly.receipts as Receipts;
  const hasKafkaUnits = subscriptions.some(({ spec }) => spec.transaction !== undefined);
  const handling = (subscription: Subscription, failures: FailurePause): MessageHandling => {
    const made = handlingOf(subscription, failures);
    if (!hasKafkaUnits || subscription.spec.transaction !== undefined) return made;
    // A connection that was opened inside one keeps it as its context.
    return { handle: (...args) => assembly.kafkaUnits.outside(() => made.handle(...args)) };
  };
  const handlingOf = (subscription: Subscription, failures: FailurePause): MessageHandling => {
    const call = { clock, random, scheduler, logger, replies, failures, inHand };
    if (subscription.spec.transaction !== undefined)
      return new KafkaHandling({ ...call, units: assembly.kafkaUnits, committed: (messages) => assembly.told(messages) }, subscription);
    if (store === undefined || units === undefined)
      return new InProcessHandling(
        { ...call, keepsDeadLetters: transports.of(subscription.transport).capabilities.persistent },
        subscription,
      );
    const context: HandlingContext = {
      ...call,
      store,
      receipts,
      runUnit: (options, work) => units.runFramework(options, work),
      afterCommit: (then) => units.afterCommit(then),
      onStored,
    };
    if (subscription.unit !== undefined) return new UnitHandling(context, subscription);
    const leased = new LeaseHandling(context, subscription);
    return { handle: (intake) => units.runInRoot(() => leased.handle(intake)) };
  };
  const total = store?.maxConcurrency ?? Number.POSITIVE_INFINITY;
  // A handler outside any transaction holds no connection while it works.
  const unbounded = new Permits(Number.POSITIVE_INFINITY);
  // What is only stored is there when something failed, or is undone: the others need not leave it a place.
  const sharing = others + subscriptions.filter(({ unit, isOnlyStored }) => unit !== undefined && !isOnlyStored).length;
  return subscriptions.map((given) => {
    const isSharing = given.unit !== undefined;
    const permits = isSharing ? connections : unbounded;
    const concurrency = isSharing ? shareOf(total, given.spec.concurrency, sharing) : given.spec.concurrency;
    const subscription = { ...given, spec: { ...given.spec, concurrency } };
    const unexpected = (error: unknown) =>
      logger.error('a delivery ended unexpectedly; the message stays where it is', { subscription: subscription.spec.name, error });
    const failures = new FailurePause(subscription.spec.name, subscription.failurePause, { clock, random, logger });
    return new BoundedSink(subscription, handling(subscription, failures), { permits, failures, scheduler, unexpected });
  });
}
