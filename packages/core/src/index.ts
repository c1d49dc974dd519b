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
export { untypedClass, type UntypedKind, UntypedMessage, untypedMessage } from './message/untyped.js';
export { describeMessage, type MessageDescription, type Upcast } from './message/message-class.js';
export { attributesIn, attributesOf, type Envelope, envelopeFrom, type WrittenAttributes } from './message/envelope.js';
export type { AttributeOptions, Attributes } from './message/attributes.js';
export { limitsFrom, type MessageLimitOptions, type MessageLimits } from './message/limits.js';
export { structuredType } from './message/arrival.js';
export { headersToSend } from './message/storable.js';
export type { ForeignMessage, RawMessage, ReadForeign } from './message/foreign.js';
export {
  fromClientProxy,
  type FromClientProxyOptions,
  fromKafkaClientProxy,
  type FromKafkaClientProxyOptions,
  fromNestOutbox,
} from './message/foreign-nest.js';

// bus
export {
  type CallOptions,
  MessageBus,
  type PublishOptions,
  type ReceiptOption,
  type RequestOptions,
  type SendOptions,
  type When,
} from './bus/message-bus.js';
export type { Outgoing } from './bus/outgoing.js';

// deliveries
export { createDelivery, Delivery, type DeliveryFields, type UndoneRequest } from './delivery/delivery.js';
export { currentDelivery } from './delivery/delivery-context.js';
export { ContextSlot } from './context/context-slot.js';
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
export type { FailurePauseOptions } from './delivery/failure-pause-options.js';
export type { MethodPolicies } from './delivery/guarded-method.js';
export { HeldIntake, type HeldMessage } from './delivery/held-intake.js';
export type { BrokerTransaction, DeadLetterReason, Incoming, Intake, Lease, Settlement, Taken } from './delivery/intake.port.js';
export type {
  DeliveryRecord,
  DeliveryStore,
  DueTimes,
  Hand,
  KeyLock,
  KeyRule,
  KeyStore,
  SucceededMessage,
} from './delivery/delivery.store.port.js';
export type { Failure } from './delivery/failure.js';
export { LEASE_MS } from './delivery/lease-term.js';
export type { Leftover, RegisteredSubscription, SubscriptionDeclaration, SubscriptionStore } from './delivery/subscription.store.port.js';

// unit of work
export { HOOK_MS } from './unit-of-work/unit-hooks.js';
export {
  type Isolation,
  type KafkaUnitOptions,
  type LocalProtocol,
  type LocalUnitOptions,
  type Propagation,
  type TransactionHandles,
  type UnitLimits,
  UnitOfWork,
  type UnitOptions,
} from './unit-of-work/unit-of-work.js';
export type { BeginOptions, Savepoint, Transaction, TransactionPort } from './unit-of-work/transaction.port.js';
export { Scope, ScopeStorage, type SeenWrite } from './unit-of-work/scope.js';

// sagas
export {
  Compensate,
  describeSaga,
  Saga,
  type SagaDescription,
  type StateOf,
  Step,
  type StepResult,
} from './saga/saga.decorators.js';
export type { StepOptions } from './saga/step-options.js';
export { createSagaContext, type KeysFor, SagaContext, type SagaContextFields } from './saga/saga-context.js';
export {
  defineSaga,
  type PivotStepOptions,
  SagaBuilder,
  type SagaStepBasics,
  type SagaStepFunction,
  type SagaStepOptions,
  type UndoableStepOptions,
} from './saga/saga-builder.js';
export type { CallMethod } from './saga/saga-class.js';
export type { SagaOptions } from './saga/saga-plan.js';
export type { SagaDefinition, SagaFailure, SagaStepDefinition } from './saga/saga-definition.js';
export { begin as beginSaga, decide as decideSaga } from './saga/decide.js';
export type {
  RepairArrival,
  SagaArrival,
  SagaCommand,
  SagaDecision,
  SagaEvent,
  SagaMoment,
  SagaNote,
  SagaNoteEvent,
} from './saga/saga-event.js';
export {
  type DoneStep,
  type KeptSignal,
  nextMs as nextSagaMs,
  type OpenBranch,
  type RequestWait,
  type SagaDirection,
  type SagaProgress,
  type SagaStanding,
  type SagaStatus,
  type SagaWait,
  type SentRequest,
  standingOf as sagaStandingOf,
  type StepAt,
  waitText,
  type ParkedSaga,
  type SagaParking,
  stoppedStep,
} from './saga/saga-progress.js';
export { type SagaRequestOptions, StepOutcome } from './saga/step-outcome.js';
export {
  type ResultOptions,
  type SagaFilter,
  type SagaHistoryEntry,
  type SagaId,
  type SagaInstance,
  type SagaOutcome,
  Sagas,
  type SkipAction,
  type StartOptions,
} from './saga/sagas.js';
export type {
  ArrivedEvent,
  ClaimedSagas,
  ClaimTerms,
  LockedSaga,
  NewSaga,
  OpenSagas,
  OperatorChange,
  SagaChange,
  SagaOperationStore,
  SagaOutline,
  SagaReach,
  SagaArrivalStore,
  SagaStartStore,
  SagaStore,
  SagaTelling,
  SagaVersion,
  SignalKey,
  WantedLock,
  StoredSaga,
} from './saga/saga.store.port.js';
export { SagaOperator, type SagaWord, type SagaWordActedOn, type SagaWordEnd } from './saga/saga-operator.js';
export type { SagaRepair } from './saga/saga-repairs.js';
export type { FoundStep, GuardedStep, NewStepGuard, StepGuardStore, StepMark } from './saga/step-guard.store.port.js';
export { SagaAborted } from './choreography/saga-aborted.js';
export type { CompensationOptions } from './choreography/compensation-options.js';
export type { Abort, ChoreographyStore, NewPart, PartOutcome } from './choreography/choreography.store.port.js';
export type { RetryPolicy } from './delivery/retry-policy.js';

// try-confirm-cancel
export { createTryBranch, TryBranch, type TryBranchFields } from './try-confirm-cancel/try-branch.js';
export {
  defineTry,
  type FixedArguments,
  type TryConfirmCancelOptions,
  type TryDefinition,
  type TryLimits,
  type TryOptions,
} from './try-confirm-cancel/try-definition.js';
export { Branches, type BranchFilter, type BranchInfo } from './try-confirm-cancel/branches.js';
export type {
  BranchChange,
  BranchFailure,
  BranchOperation,
  BranchProgress,
  BranchSight,
  BranchStatus,
  BranchVerdict,
} from './try-confirm-cancel/branch-decisions.js';
export type {
  BranchOperationStore,
  BranchStore,
  BranchTerms,
  BranchWorkStore,
  ClaimedBranches,
  LockedBranch,
  NewBranch,
  RegisteredBranch,
  StoredBranch,
} from './try-confirm-cancel/branch.store.port.js';

// the log and its readers
export { DEFAULT_LANES, laneOfSlot, MAX_LANES, SLOTS, slotOf } from './outbox/lanes.js';
export { type IdRange, MAX_HOLES, type Position, readOn, type Step as ReadStep, without } from './outbox/position.js';
export { Loop, type LoopParts } from './outbox/loop.js';
export { LogReader, type LogReaderParts } from './outbox/log-reader.js';
export type {
  ClaimEnd,
  ClaimTerm,
  InboxClaim,
  InboxKey,
  InboxStore,
  Memory,
  Recalled,
  RememberedRequest,
  RequestGuardStore,
  RequestMemory,
  ResultStore,
} from './inbox/inbox.store.port.js';
export type { Carrier, CarrierInfo, CarrierStore, CarriedSubscription, Crossing } from './outbox/carrier.store.port.js';
export type {
  CursorKey,
  CursorStore,
  LogRow,
  LogStats,
  LogStore,
  LogUpkeep,
  MovedRows,
  Stranded,
  UnsentStats,
} from './outbox/log.store.port.js';
export {
  type ParkedBatch,
  type ParkedStore,
  type Parking,
  type ReadBound,
  type Progress,
  RELAY_SCOPE,
  relayScopeOf,
  type RelayBatch,
  type RelayRow,
  type RelayStore,
  type Resent,
} from './outbox/relay.store.port.js';
export { MOST_SILENT_MS } from './outbox/housekeeper.js';
export { MAX_PARKED_DELAY_MS } from './outbox/relay-sender.js';
export { Permits } from './delivery/permits.js';
export { PartLeases, type PartLeasesParts } from './lease/part-leases.js';
export { brokerInReach } from './lease/reach.js';
export { Keeper, type KeeperContext, type KeeperParts, type Opened, type StartTerms } from './transport/keeper.js';
export { type BrokerTlsOptions, tlsProblems, tlsReason } from './transport/tls.js';
export { atMost, type BrokerRequest, type EndContext, within } from './transport/deadline.js';
export type {
  CheckBack,
  CheckBackTerms,
  CheckedUnit,
  HalfMessage,
  HalfMessageRef,
  HalfMessageStore,
  RegisteredUnit,
  SettledHalfMessages,
} from './half-message/half-message.store.port.js';
export { CHECK_BACK_AFTER_MS } from './half-message/half-message-sender.js';
export type { LeaseRequest, LeaseRound, LeaseStore, PartLease } from './lease/lease.store.port.js';

export { type Answer, answerWith, type Refusal, refusalFor } from './reply/answer.js';
export { type Asked, replyOf } from './reply/replies.js';
export type { ReceivedReply } from './reply/received-reply.js';
export type { KeptReply, ReplyStore, StoredReply } from './reply/reply.store.port.js';

// stores and transports
export type { Hint, SchemaPort, SchemaStatus, Store, StoreContext, StoreFactory, Wakeups } from './store/store.port.js';
export type { NodeStore } from './store/node.store.port.js';
export { DEFAULT_TRANSPORT, LOG_TRANSPORT, problemOfTransportName } from './transport/transport-name.js';
export { addressOf } from './transport/transport.port.js';
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
  TransportHealth,
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
  type Receipt,
  type ParkedChoice,
  type ParkedFilter,
  type ParkedMessage,
  type ParkedReason,
  type SubscriptionInfo,
  Subscriptions,
} from './operations/operators.js';
export type { ExpectedReceipts, GivenReceipt, ReceiptStore } from './receipt/receipt.store.port.js';
export type { DeadLetterStore } from './operations/dead-letter.store.port.js';

// errors
export { type ErrorCode, type ErrorDetails, ERRORS, hfError } from './errors/catalogue.js';
export { type ErrorCategory, HoldfastError, type HoldfastErrorFields, isHoldfastError } from './errors/holdfast-error.js';
export { printable } from './errors/printable.js';
export { isNonRetryableError, NonRetryableError } from './errors/non-retryable-error.js';
export { type Classification, classify, isDeliberate } from './errors/classify.js';

// time and chance
export { type Clock, systemClock } from './time/clock.js';
export { type Duration, duration, toMs } from './time/duration.js';
export { type Random, seededRandom, systemRandom } from './time/random.js';
export { type Scheduler, systemScheduler, type Timer, type TimerOptions } from './time/scheduler.js';

// monitoring
export { CHANNEL_PREFIX, emit, EVENT_NAMES, type EventName, type HoldfastEvents, subscribe } from './monitoring/events.js';
export type {
  BranchFacts,
  BrokerFacts,
  DeliveryFacts,
  FailureFacts,
  HoleFacts,
  LeaseFacts,
  MessageFacts,
  NodeFacts,
  ParkedFacts,
  UnitFacts,
} from './monitoring/event-table.js';
export { consoleLogger, type LogFields, type Logger, silentLogger } from './monitoring/logger.js';

export type { Health, HealthOptions } from './monitoring/health.js';
export type { SubscriptionLag } from './monitoring/subscription-lag.js';

// testing
export { armFailpoint, type FailpointAction, FailpointError, type FailpointName, FAILPOINTS, failpoint } from './testing/failpoints.js';
export { VirtualTime } from './testing/virtual-time.js';

// set-up
export { Holdfast } from './holdfast.js';
export type { CommonOptions, HoldfastOptions } from './options.js';
export type { CommittedMessage, Runtime } from './set-up/runtime.js';
export { type StoreTools, storeTools } from './set-up/store-tools.js';
