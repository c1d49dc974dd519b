// messages
export {
  Command,
  type DataOf,
  type EventMessage,
  type Json,
  Message,
  type MessageClass,
  type MessageOf,
  type MessageOptions,
  type MessageRef,
  type ReplyOf,
  type StandardSchema,
} from './message/message.js';
export { describeMessage, type MessageDescription, type Upcast } from './message/message-class.js';
export { attributesOf, type Envelope, envelopeFrom } from './message/envelope.js';
export type { AttributeOptions, Attributes } from './message/attributes.js';
export type { MessageLimitOptions, MessageLimits } from './message/limits.js';

// bus
export { type CallOptions, MessageBus, type PublishOptions, type SendOptions, type When } from './bus/message-bus.js';
export type { Outgoing } from './bus/outgoing.js';

// deliveries
export { createDelivery, Delivery, type DeliveryFields } from './delivery/delivery.js';
export { currentDelivery } from './delivery/delivery-context.js';
export type { AsyncMethod, Backoff, IdempotentOptions, MethodDescriptor, PolicyDecorator, RetryOptions } from './delivery/policies.js';
export { Retry } from './delivery/retry.decorator.js';
export {
  adoptMethods,
  declareMethod,
  decoratedMethods,
  type DecoratedMethod,
  type Decoration,
  type MethodAdopter,
  type MethodMetadata,
  methodMetadata,
  targetName,
} from './delivery/policy-metadata.js';
export type {
  Handler,
  HandlerPolicies,
  HandlerResult,
  OnMessageArgs,
  SubscriptionLimits,
  SubscriptionOptions,
} from './delivery/subscription-options.js';
export type { MethodPolicies } from './delivery/guarded-method.js';
export type { Incoming, Intake, Lease, Taken } from './delivery/intake.port.js';
export type { DeliveryRecord, DeliveryStore, DueTimes, KeyLock, KeyRule, KeyStore } from './delivery/delivery.store.port.js';
export type { Failure } from './delivery/failure.js';
export { LEASE_MS } from './delivery/lease-term.js';
export type { RegisteredSubscription, SubscriptionDeclaration, SubscriptionStore } from './delivery/subscription.store.port.js';

// unit of work
export {
  type Isolation,
  type LocalUnitOptions,
  type Propagation,
  type TransactionHandles,
  type UnitLimits,
  UnitOfWork,
  type UnitOptions,
} from './unit-of-work/unit-of-work.js';
export type { BeginOptions, Savepoint, Transaction, TransactionPort } from './unit-of-work/transaction.port.js';
export { Scope, ScopeStorage, type SeenWrite } from './unit-of-work/scope.js';

// the log and its readers
export { DEFAULT_LANES, laneOfSlot, MAX_LANES, SLOTS, slotOf } from './outbox/lanes.js';
export { type IdRange, MAX_HOLES, type Position, readOn, type Step, without } from './outbox/position.js';
export { Loop, type LoopParts } from './outbox/loop.js';
export type { CursorKey, CursorStore, LogRow, LogStats, LogStore, LogUpkeep, RelayBatch, RelayStore } from './outbox/log.store.port.js';
export type { ClaimEnd, ClaimTerm, InboxClaim, InboxKey, InboxStore, Memory } from './inbox/inbox.store.port.js';

// stores and transports
export type { SchemaPort, SchemaStatus, Store, StoreContext, StoreFactory, Wakeups } from './store/store.port.js';
export type { NodeStore } from './store/node.store.port.js';
export type {
  HandOver,
  PublishOutcome,
  Sink,
  SubscriptionSpec,
  Topology,
  Transport,
  TransportCapabilities,
  TransportContext,
  TransportFactory,
} from './transport/transport.port.js';

// operators
export {
  type AtLeastOne,
  type DeadLetter,
  type DeadLetterChoice,
  type DeadLetterFilter,
  DeadLetters,
  type OperatorAction,
  Outbox,
  type Page,
  type Paged,
  type SubscriptionInfo,
  Subscriptions,
} from './operations/operators.js';
export type { DeadLetterStore } from './operations/dead-letter.store.port.js';

// errors
export { type ErrorCode, type ErrorDetails, ERRORS, hfError } from './errors/catalogue.js';
export { type ErrorCategory, HoldfastError, type HoldfastErrorFields, isHoldfastError } from './errors/holdfast-error.js';
export { printable } from './errors/printable.js';
export { NonRetryableError } from './errors/non-retryable-error.js';
export { type Classification, classify } from './errors/classify.js';

// time and chance
export { type Clock, systemClock } from './time/clock.js';
export { type Duration, duration, toMs } from './time/duration.js';
export { type Random, seededRandom, systemRandom } from './time/random.js';
export { type Scheduler, systemScheduler, type Timer, type TimerOptions } from './time/scheduler.js';

// monitoring
export { CHANNEL_PREFIX, emit, EVENT_NAMES, type EventName, type HoldfastEvents, subscribe } from './monitoring/events.js';
export type { DeliveryFacts, FailureFacts, HoleFacts, MessageFacts, NodeFacts, UnitFacts } from './monitoring/event-table.js';
export { consoleLogger, type LogFields, type Logger, silentLogger } from './monitoring/logger.js';

// testing
export { armFailpoint, type FailpointAction, FailpointError, type FailpointName, FAILPOINTS, failpoint } from './testing/failpoints.js';
export { VirtualTime } from './testing/virtual-time.js';

// set-up
export { Holdfast } from './holdfast.js';
export type { CommonOptions, HoldfastOptions } from './options.js';
export type { CommittedMessage, Runtime } from './set-up/runtime.js';
export { type StoreTools, storeTools } from './set-up/store-tools.js';
