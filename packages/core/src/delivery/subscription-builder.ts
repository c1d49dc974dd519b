import { describeMessage, describeMessages } from '../message/message-class.js';
import { problemsOf } from '../errors/problems.js';
import { printable } from '../errors/printable.js';
import { checkCompensation } from '../choreography/compensation-check.js';
import { undoName } from '../choreography/undo-name.js';
import type { MessageClass } from '../message/message.js';
import type { ReadForeign } from '../message/foreign.js';
import type { MessageLimits } from '../message/limits.js';
import { type Duration, toMs } from '../time/duration.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';
import type { TransportCapabilities } from '../transport/transport.port.js';
import { type Isolation, LOCAL_PROTOCOLS, type LocalUnitOptions } from '../unit-of-work/unit-of-work.js';
import type { Delivery } from './delivery.js';
import { type FailurePauseOptions, failurePausePolicy } from './failure-pause-options.js';
import type { IdempotentOptions, RetryOptions } from './policies.js';
import { longestWaitMs } from './hold-limit.js';
import { idempotencyOf } from './idempotency-policy.js';
import { kafkaUnitOf } from './kafka-unit-check.js';
import { retryPolicy } from './retry-policy.js';
import type { Subscription } from './subscription.js';
import type { HandlerPolicies } from './subscription-options.js';

const ISOLATIONS: readonly Isolation[] = ['READ UNCOMMITTED', 'READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'];
/** With these a unit reads what was committed before it waited for a key, and would put a message behind one that is gone. */
const SNAPSHOTS: readonly unknown[] = ['REPEATABLE READ', 'SERIALIZABLE'];
/** With these a handler has a transaction of its own, as it must. */
const BEGINNING: readonly unknown[] = ['REQUIRED', 'REQUIRES_NEW', 'NESTED'];
const DEFAULT_CONCURRENCY = 10;
const DEFAULT_TIMEOUT: Duration = '30s';
const NAME_LENGTH = 200;
/** Characters of a name that an error shows. */
const SHOWN_NAME = 60;

/** A handler as it was added, before it is checked. */
export interface Registration {
  readonly types: MessageClass | readonly MessageClass[];
  readonly handler: (message: never, delivery: Delivery) => unknown;
  readonly policies: HandlerPolicies<never>;
  /** True for one that is given stored deliveries only; default false. */
  readonly isOnlyStored?: boolean;
}

/** Everything a check needs to know. */
export interface BuildContext {
  /** Name of the transport that serves it, and where the messages of its types go there; default: the default one, and to their types. */
  readonly route?: { readonly transport: string; readonly addresses: readonly string[] | undefined };
  readonly capabilities: TransportCapabilities;
  readonly transport: string;
  readonly hasStore: boolean;
  /** Name of the DataSource that subscriptions are kept in; undefined without a store. */
  readonly dataSource?: string | undefined;
  /** Longest time a message may be in work, where the transport has a limit. */
  readonly holdLimitMs?: number | undefined;
  /** Connections handlers may use; undefined when not yet known. */
  readonly maxConcurrency: number | undefined;
  readonly limits: MessageLimits;
  readonly undoRetentionMs: number;
  readonly readForeign?: ReadForeign;
  readonly defaults: {
    readonly retry?: number | RetryOptions;
    readonly timeout?: Duration;
    readonly concurrency?: number;
    readonly failurePause?: false | FailurePauseOptions;
  };
  /** Takes one sentence per thing that is wrong. */
  readonly problem: (text: string) => void;
}

/** A subscription without its row. */
export type UnregisteredSubscription = Omit<Subscription, 'spec'> & { readonly spec: Omit<Subscription['spec'], 'id'> };

/** Checks a registration and turns its options into decisions. What is wrong goes to `problem`, all of it. */
export function buildSubscription(
  context: BuildContext,
  { types, handler, policies, isOnlyStored = false }: Registration,
): UnregisteredSubscription | undefined {
  const where = `subscription ${policies.name === undefined ? 'without a name' : JSON.stringify(printable(policies.name, SHOWN_NAME))}`;
  const problem = (text: string) => context.problem(`${where}: ${text}`);
  const messages = guarded(problem, () => describeMessages(types));
  checkName(policies.name, problem);
  checkWords(policies, problem);
  checkCombinations(context, policies, problem);
  if (typeof handler !== 'function') problem(`the handler is ${printable(handler)}; give a function`);
  const { transactional } = policies;
  const transaction = kafkaUnitOf(context, policies, problem);
  const unit = transactional === true ? {} : transactional === false || transactional?.protocol === 'kafka' ? undefined : transactional;
  const unitMs = guarded(problem, () => checkUnit(unit, problem));
  checkPlace(unit, context.dataSource, problem);
  const retry = guarded(context.problem, () => retryPolicy(policies.retry ?? context.defaults.retry, context.problem, where));
  const timeoutMs = guarded(problem, () => toMs(policies.timeout ?? context.defaults.timeout ?? DEFAULT_TIMEOUT, 'timeout'));
  const idempotency = guarded(problem, () => idempotencyOf(policies.idempotent as boolean | IdempotentOptions<never> | undefined));
  const compensates = guarded(problem, () => undoneBy(policies.compensates, problem));
  const { compensate, ...others } = policies;
  const { hasStore: isStored, undoRetentionMs } = context;
  if (compensate !== undefined)
    checkCompensation({ policies: others, compensate, idempotency, hasStore: isStored, undoRetentionMs }, problem);
  const failurePause = failurePausePolicy(policies.failurePause ?? context.defaults.failurePause, problem);
  // A handler outside any transaction takes none.
  const connections = unit === undefined ? undefined : context.maxConcurrency;
  const { concurrency, batchSize } = numbersOf({ defaults: context.defaults, connections }, policies, problem);
  if (messages === undefined || retry === undefined || timeoutMs === undefined) return undefined;
  const { transport, holdLimitMs: limitMs } = context;
  const hasStore = context.hasStore && transaction === undefined;
  return {
    messages,
    handler,
    retry,
    longestWaitMs: longestWaitMs({ retry, timeoutMs, batchSize, unitMs, hasStore, transport, limitMs }, problem),
    idempotency,
    unit,
    timeoutMs,
    failurePause,
    onDeadLetter: policies.onDeadLetter ?? 'block',
    undo: policies.compensate && { name: undoName(policies.name), id: undefined },
    isOnlyStored,
    formerly: policies.formerly === undefined ? [] : [policies.formerly].flat(),
    compensates,
    undoes: undefined,
    isUndoable: false,
    limits: context.limits,
    readForeign: context.readForeign,
    transport: context.route?.transport ?? DEFAULT_TRANSPORT,
    spec: {
      name: policies.name,
      types: messages.map(({ type }) => type),
      addresses: context.route?.addresses,
      from: policies.from ?? 'now',
      ordering: policies.ordering ?? 'none',
      concurrency,
      batchSize,
      ...(transaction === undefined ? {} : { transaction }),
    },
  };
}

/** The type of the command whose requests a handler undoes. */
function undoneBy(command: HandlerPolicies<never>['compensates'], problem: (text: string) => void): string | undefined {
  if (command === undefined) return undefined;
  const { type, isCommand } = describeMessage(command);
  if (!isCommand) problem(`@Compensate(${type}) names an event, and only what a saga asks for is undone: name a command`);
  return type;
}

function numbersOf(
  { defaults, connections }: Pick<BuildContext, 'defaults'> & { readonly connections: number | undefined },
  policies: HandlerPolicies<never>,
  problem: (text: string) => void,
) {
  const { concurrency = defaults.concurrency, batchSize = 1 } = policies;
  if (concurrency !== undefined && !isCount(concurrency)) problem(`concurrency is ${String(concurrency)}; use a whole number from 1`);
  if (!isCount(batchSize)) problem(`batchSize is ${String(batchSize)}; use a whole number from 1`);
  if (concurrency !== undefined && connections !== undefined && concurrency > connections)
    problem(`concurrency is ${concurrency}, and the pool has ${connections} connections for handlers; lower it, or raise the pool's size`);
  return { concurrency: concurrency ?? DEFAULT_CONCURRENCY, batchSize };
}

function isCount(value: unknown): boolean {
  return Number.isInteger(value) && (value as number) >= 1;
}

function checkName(name: unknown, problem: (text: string) => void): void {
  if (typeof name !== 'string' || name.trim() === '')
    problem('has no name; give it one that will survive refactoring, such as billing.charge');
  else if (name.length > NAME_LENGTH || !/^[\x21-\x7e]+$/.test(name))
    problem(`the name must be printable ASCII without blanks, at most ${NAME_LENGTH} characters`);
}

/** Words that are none of those there are would be taken for the default, and something would be weaker than it was meant to be. */
function checkWords({ from, ordering, onDeadLetter, formerly }: HandlerPolicies<never>, problem: (text: string) => void): void {
  const words = { from: ['now', 'earliest'], ordering: ['none', 'key'], onDeadLetter: ['block', 'skip'] };
  for (const [option, value] of Object.entries({ from, ordering, onDeadLetter })) {
    const known = words[option as keyof typeof words];
    if (value !== undefined && !known.includes(value)) problem(`${option} is ${printable(value)}; use '${known.join("' or '")}'`);
  }
  const names: readonly unknown[] = formerly === undefined ? [] : [formerly].flat();
  for (const name of names) if (typeof name !== 'string') problem(`formerly names ${printable(name)}; give the names it had before`);
}

/** Checks the options of a unit, and gives its time-out where it has one. */
function checkUnit(unit: LocalUnitOptions | undefined, problem: (text: string) => void): number | undefined {
  const { retries, isolation, timeout, protocol } = unit ?? {};
  if (protocol !== undefined && !LOCAL_PROTOCOLS.includes(protocol)) {
    problem(`transactional.protocol is ${printable(protocol)}; use '${LOCAL_PROTOCOLS.join("', '")}' or 'kafka'`);
  }
  if (retries !== undefined && !(Number.isInteger(retries) && retries >= 0)) {
    problem(`transactional.retries is ${printable(retries)}; use a whole number from 0`);
  }
  if (isolation !== undefined && !ISOLATIONS.includes(isolation)) {
    problem(`transactional.isolation is ${printable(isolation)}; use '${ISOLATIONS.join("', '")}'`);
  }
  return timeout === undefined ? undefined : toMs(timeout, 'transactional.timeout');
}

/** The unit of a handler consumes its message: it writes, and in the database where the subscription is kept. */
function checkPlace(unit: LocalUnitOptions | undefined, ours: string | undefined, problem: (text: string) => void): void {
  const { dataSource, readOnly, propagation } = unit ?? {};
  if (dataSource !== undefined && ours !== undefined && dataSource !== ours) {
    const [theirs, own] = [printable(dataSource), printable(ours)];
    problem(
      `transactional.dataSource is '${theirs}', and its messages are consumed in '${own}'; leave @Transactional out and call a method with @Transactional({ dataSource: '${theirs}' })`,
    );
  }
  if (readOnly) problem('transactional.readOnly is true, and to consume a message is a write; leave readOnly out');
  if (propagation !== undefined && !BEGINNING.includes(propagation))
    problem(
      `transactional.propagation is ${printable(propagation)}, and a message is consumed in a transaction of its own; leave propagation out, or @Transactional`,
    );
}

function checkCombinations(
  { capabilities, hasStore, transport }: BuildContext,
  policies: HandlerPolicies<never>,
  problem: (text: string) => void,
): void {
  const isOrdered = policies.ordering === 'key';
  const isKafka = typeof policies.transactional === 'object' && policies.transactional.protocol === 'kafka';
  if (isOrdered && !policies.idempotent && !isKafka)
    problem("ordering: 'key' needs @Idempotent, because repeats of older messages arrive late; add it");
  if (isOrdered && !capabilities.partitionedDelivery)
    problem(`ordering: 'key' is not possible with ${transport}, which does not give a key to one consumer at a time`);
  const isolation = typeof policies.transactional === 'object' ? (policies.transactional as LocalUnitOptions).isolation : undefined;
  if (isOrdered && SNAPSHOTS.includes(isolation))
    problem(
      `ordering: 'key' is not possible with transactional.isolation '${isolation}', which does not see what is ahead of a message; leave the isolation out`,
    );
  const { onDeadLetter }: { readonly onDeadLetter?: unknown } = policies;
  if (onDeadLetter !== undefined && !isOrdered)
    problem(`onDeadLetter: '${printable(onDeadLetter)}' is about keys and needs ordering: 'key'; add that, or leave onDeadLetter out`);
  if ((policies.batchSize ?? 1) > 1 && !policies.transactional)
    problem(`batchSize is ${policies.batchSize} and needs @Transactional, because a batch is one commit; add it, or leave batchSize out`);
  if (policies.from === 'earliest' && !capabilities.fromEarliest)
    problem(`from: 'earliest' is not possible with ${transport}, which keeps nothing; leave it out`);
  if (policies.formerly !== undefined && !capabilities.renamedSubscriptions)
    problem(`formerly is not possible with ${transport}, where what waits under the old name would stay behind; keep the old name`);
  if (!hasStore) checkWithoutStore(isKafka ? { ...policies, transactional: false } : policies, problem);
}

/** What is kept in rows, or committed with them. */
function checkWithoutStore(policies: HandlerPolicies<never>, problem: (text: string) => void): void {
  const add = 'add one to HoldfastModule.forRoot, such as store: typeorm()';
  if (policies.transactional) problem(`@Transactional needs a store; ${add}`);
  if (policies.idempotent) problem(`@Idempotent needs a store that remembers; ${add}`);
  if (policies.ordering === 'key') problem(`ordering: 'key' needs a store, where what waits behind a failed message is kept; ${add}`);
  if (policies.compensates !== undefined) problem(`@Compensate needs a store that remembers whether requests ran; ${add}`);
  if (policies.formerly !== undefined) problem(`formerly needs a store that knows the names there were; ${add}, or leave it out`);
}

function guarded<T>(problem: (text: string) => void, work: () => T): T | undefined {
  try {
    return work();
  } catch (error) {
    for (const each of problemsOf(error)) problem(each);
    return undefined;
  }
}
