import { randomUUID } from 'node:crypto';
import type { MessageBus } from '../bus/message-bus.js';
import { KafkaUnitOutlet } from '../bus/kafka-unit-outlet.js';
import { type Outlet, OutletBus } from '../bus/outlet-bus.js';
import { OutboxOutlet, writeOutgoing, type Written } from '../bus/outbox-outlet.js';
import type { Outgoing, OutgoingContext } from '../bus/outgoing.js';
import { OutsideTransaction } from '../bus/outside-transaction.js';
import { TransportOutlet, TransportOutlets } from '../bus/transport-outlet.js';
import { withCompensations } from '../choreography/registrations.js';
import { GuardedMethod, type MethodPolicies } from '../delivery/guarded-method.js';
import { retryPolicy } from '../delivery/retry-policy.js';
import { idempotencyOf } from '../delivery/idempotency-policy.js';
import type { Registration } from '../delivery/subscription-builder.js';
import { hfError } from '../errors/catalogue.js';
import { problemsOf } from '../errors/problems.js';
import { HalfMessages } from '../half-message/half-messages.js';
import { isOfFramework, writeHalfMessages } from '../half-message/half-message-rules.js';
import { dampedLogger } from '../monitoring/damped-logger.js';
import type { DeadLetters, Outbox, Subscriptions } from '../operations/operators.js';
import { StoredDeadLetters, StoredOutbox, StoredSubscriptions } from '../operations/stored-operators.js';
import type { HoldfastOptions } from '../options.js';
import { Replies } from '../reply/replies.js';
import { Requests } from '../reply/requests.js';
import { Receipts, receiptsRegistration } from '../receipt/receipts.js';
import type { CallMethod } from '../saga/saga-class.js';
import { sagaRegistrations } from '../saga/saga-messages.js';
import { SagaRegister } from '../saga/saga-register.js';
import type { SagaRunner } from '../saga/saga-runner.js';
import type { Sagas } from '../saga/sagas.js';
import { StepAsking } from '../saga/step-asking.js';
import { StepsElsewhere } from '../saga/steps-elsewhere.js';
import { StoredSagas } from '../saga/stored-sagas.js';
import type { Store } from '../store/store.port.js';
import { CrossingTransport } from '../transport/crossing-transport.js';
import { nameOfTransport } from '../transport/route.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';
import type { Transport } from '../transport/transport.port.js';
import { KafkaUnits } from '../unit-of-work/kafka-unit.js';
import { KafkaUnitOfWork, onlyInKafkaUnits } from '../unit-of-work/kafka-unit-of-work.js';
import { ScopeStorage } from '../unit-of-work/scope.js';
import { UnitGate } from '../unit-of-work/unit-gate.js';
import { UnitEngine } from '../unit-of-work/unit-engine.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitOfWork } from '../unit-of-work/unit-of-work.js';
import type { BranchRunner } from '../try-confirm-cancel/branch-runner.js';
import type { Branches } from '../try-confirm-cancel/branches.js';
import { StoredBranches } from '../try-confirm-cancel/stored-branches.js';
import type { RunnableTry, TryDefinition } from '../try-confirm-cancel/try-definition.js';
import { TryRegister } from '../try-confirm-cancel/try-register.js';
import { Tries } from '../try-confirm-cancel/tries.js';
import { absent } from './absent.js';
import type { Runtime } from './runtime.js';
import { type Settings, settingsFrom } from './settings.js';
import { Transports } from './transports.js';

/** Whom to tell of what happens before and after the start. */
export interface AssemblyEvents {
  /** Message rows were committed. */
  committed(written: Written): void;
  /** An operator changed something. */
  changed(): void;
}

/** All parts of a bus, put together and not yet started. */
export class Assembly {
  readonly nodeId = randomUUID();
  readonly settings: Settings;
  readonly scopes = new ScopeStorage<Outgoing>();
  readonly kafkaUnits = new KafkaUnits<Outgoing>();
  readonly gate = new UnitGate();
  readonly store: Store | undefined;
  /** Those that could be made. */
  readonly transports: Transports;
  /** The default one, over a log that others may have read so far. */
  crossing: CrossingTransport | undefined;
  readonly units: UnitEngine<Outgoing> | undefined;
  readonly halfMessages: HalfMessages | undefined;
  readonly bus: MessageBus;
  /** Who waits here for replies. */
  readonly requests: Requests;
  /** What handlers here answer. */
  readonly receipts: Receipts | undefined;
  readonly replies: Replies | undefined;
  readonly unitOfWork: UnitOfWork;
  readonly deadLetters: DeadLetters;
  readonly subscriptions: Subscriptions;
  readonly outbox: Outbox;
  /** What works on sagas; undefined before the start, and where there are none. */
  sagaRunner: SagaRunner | undefined;
  readonly sagaRegister = new SagaRegister((text) => this.problem(text));
  /** Runs steps in DataSources besides the store's; undefined where there is no store. */
  readonly elsewhere: StepsElsewhere | undefined;
  /** Undefined where there is no store. */
  readonly storedSagas: StoredSagas | undefined;
  readonly sagas: Sagas;
  /** How the steps of sagas reach beyond their process; undefined where there is no store. */
  readonly stepAsking: StepAsking | undefined;
  /** What ends the branches of tries; undefined before the start, and where there are none. */
  branchRunner: BranchRunner | undefined;
  readonly tryRegister = new TryRegister((text) => this.problem(text));
  /** Undefined where there is no store. */
  readonly tries: Tries | undefined;
  readonly branches: Branches;
  readonly registrations: Registration[] = [];
  /** Names of the subscriptions whose deliveries are kept back. */
  readonly held = new Set<string>();
  readonly guarded = new Map<string, GuardedMethod>();
  private readonly problems: string[] = [];

  constructor(
    readonly options: HoldfastOptions,
    readonly runtime: Runtime,
    private readonly events: AssemblyEvents,
  ) {
    this.settings = settingsFrom(options, (text) => this.problem(text));
    const { clock, random, scheduler, logger, handles } = runtime;
    const ports = { service: this.settings.service, clock, random, scheduler, logger };
    // What is no factory at all, or lacks its store, has been told by the settings.
    const isStore = typeof options.store?.create === 'function';
    this.store = isStore
      ? this.attempt(() => options.store?.create({ ...ports, nodeId: this.nodeId, scopes: this.scopes, handles }))
      : undefined;
    this.transports = new Transports(
      [...this.settings.transports].flatMap(([name, factory]) => {
        const canCarry = this.store !== undefined || factory.capabilities.withoutStore;
        const made = canCarry ? this.attempt(() => factory.create({ ...ports, name, nodeId: this.nodeId, store: this.store })) : undefined;
        if (made === undefined) return [];
        if (name === DEFAULT_TRANSPORT) this.crossing = this.crossingOf(made);
        return [{ name, kind: factory.transport, transport: (name === DEFAULT_TRANSPORT && this.crossing) || made }];
      }),
    );
    this.halfMessages = this.store && this.halfMessagesOf(this.store);
    this.units = this.store && this.halfMessages && this.unitsOf(this.store, this.halfMessages);
    this.unitOfWork = this.unitOfWorkOf();
    const { service, limits, requestLimit: limit } = this.settings;
    const isInUnit = () => this.kafkaUnits.current !== undefined || (this.units?.isActive ?? false);
    this.requests = new Requests({ service, limits, limit, clock, scheduler, logger, isInUnit });
    const outlet = this.outletOf();
    this.replies = outlet && new Replies({ service, limits, clock, random, logger }, outlet);
    this.receipts = outlet && this.receiptsOf(outlet);
    this.bus = outlet === undefined ? absent<MessageBus>('a bus') : this.busOf(outlet);
    this.elsewhere =
      this.store &&
      this.units &&
      new StepsElsewhere({ units: this.units, store: this.store.stepGuards, dataSource: this.store.transactions.dataSources[0] });
    this.storedSagas = this.store && this.units && this.sagasOf(this.store, this.units, isInUnit);
    this.sagas = this.storedSagas ?? absent<Sagas>('sagas');
    this.stepAsking = this.store && this.units && outlet && this.askingOf(this.store, this.units, outlet);
    this.tries = this.store && this.units && this.triesOf(this.store, this.units);
    this.branches = this.store ? this.branchesOf(this.store, isInUnit) : absent<Branches>('a list of branches');
    const changed = () => this.events.changed();
    this.deadLetters = this.store ? new StoredDeadLetters(this.store, changed) : absent<DeadLetters>('a list of dead letters');
    this.subscriptions = this.store ? new StoredSubscriptions(this.store, changed) : absent<Subscriptions>('a list of subscriptions');
    this.outbox = this.store ? new StoredOutbox(this.store, changed) : absent<Outbox>('an outbox');
  }

  add(registration: Registration): void {
    this.registrations.push(registration);
  }

  addSaga(saga: object, call?: CallMethod): void {
    if (this.store === undefined) this.problem('a saga needs a store, where its progress is kept; add one, such as store: typeorm()');
    this.sagaRegister.add(saga, call, this.store?.transactions.dataSources);
  }

  addTry(definition: TryDefinition): RunnableTry {
    if (this.store === undefined) this.problem('a try needs a store, where its branches are kept; add one, such as store: typeorm()');
    return this.tryRegister.add(definition, this.store?.transactions.dataSources ?? []);
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  /** @throws HF_CONFIG_INVALID with every problem that was noted */
  assertNoProblems(): void {
    if (this.problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems: this.problems });
  }

  guard(name: string, { retry, idempotent, transactional }: MethodPolicies): GuardedMethod {
    const known = this.guarded.get(name);
    if (known !== undefined) return known;
    const problem = (text: string) => this.problem(text);
    const policy = retry === undefined ? undefined : this.attempt(() => retryPolicy(retry, problem, name));
    const idempotency = this.attempt(() => idempotencyOf(idempotent as Parameters<typeof idempotencyOf>[0]));
    if (idempotency !== undefined && idempotency.key === undefined) problem(hfError('HF_IDEMPOTENT_KEY_MISSING', { method: name }).message);
    const unit = transactional === true ? {} : transactional || undefined;
    if (unit?.protocol === 'kafka') problem(hfError('HF_UOW_KAFKA_HANDLER', { call: name }).message);
    else if (this.store === undefined && (idempotency !== undefined || transactional))
      problem(`${name}: @Transactional and @Idempotent need a store; add one, such as store: typeorm()`);
    const { scheduler, random, clock } = this.runtime;
    const logger = dampedLogger(this.runtime.logger, clock);
    const currentUnit = (dataSource?: string) => this.units?.current(dataSource);
    const assertDatabase = (call: string) => this.kafkaUnits.assertNone(call);
    const context = { store: this.store, unitOfWork: this.unitOfWork, assertDatabase, currentUnit, scheduler, random, logger };
    const guarded = new GuardedMethod(context, name, { retry: policy, idempotency, unit });
    this.guarded.set(name, guarded);
    return guarded;
  }

  private unitsOf(store: Store, halfMessages: HalfMessages): UnitEngine<Outgoing> {
    const { clock, random, scheduler, logger } = this.runtime;
    const isEveryReplyStored = (transport: string) => this.settings.transports.get(transport)?.capabilities.readsLog ?? false;
    const stores = { log: store.log, receipts: store.receipts, replies: store.replies, isEveryReplyStored };
    const intoOutbox = (tx: Transaction, messages: readonly Outgoing[]) =>
      writeOutgoing(stores, tx, {
        messages,
        committed: (written) => {
          this.told(messages);
          this.events.committed(written);
        },
      });
    return new UnitEngine<Outgoing>({
      transactions: store.transactions,
      scopes: this.scopes,
      clock,
      scheduler,
      random,
      logger,
      gate: this.gate,
      writeOutgoing: (tx, messages, protocol) =>
        protocol === 'outbox' ? intoOutbox(tx, messages) : writeHalfMessages(halfMessages, tx, { messages, intoOutbox }),
    });
  }

  private sagasOf({ sagas, transactions }: Store, units: UnitEngine<Outgoing>, isInUnit: () => boolean): StoredSagas {
    const { clock, random, scheduler, logger } = this.runtime;
    return new StoredSagas({
      store: sagas,
      units,
      dataSource: transactions.dataSources[0],
      register: this.sagaRegister,
      clock,
      random,
      scheduler,
      logger,
      isInUnit,
      assertDatabase: (call) => this.kafkaUnits.assertNone(call),
      elsewhere: this.elsewhere,
      runner: () => this.sagaRunner,
    });
  }

  private triesOf({ branches, transactions }: Store, units: UnitEngine<Outgoing>): Tries {
    const { clock, random } = this.runtime;
    return new Tries({
      store: branches,
      units,
      dataSource: transactions.dataSources[0],
      clock,
      random,
      assertDatabase: (call) => this.kafkaUnits.assertNone(call),
      runner: () => this.branchRunner,
    });
  }

  private branchesOf({ branches }: Store, isInUnit: () => boolean): Branches {
    return new StoredBranches({ store: branches.operations, isInUnit, changed: () => this.branchRunner?.nudge() });
  }

  private halfMessagesOf(store: Store): HalfMessages {
    const { clock, random, logger } = this.runtime;
    return new HalfMessages({
      store: store.halfMessages,
      clock,
      random,
      logger,
      told: (messages) => this.told(messages),
      logged: (lanes) => this.events.committed({ lanes, hasScheduled: false, hasReplies: false }),
    });
  }

  private get hasKafkaUnits(): boolean {
    return [...this.settings.transports.values()].some(({ capabilities }) => capabilities.fencedOffsets === true);
  }

  private unitOfWorkOf(): UnitOfWork {
    const { units, kafkaUnits } = this;
    const database = units ?? absent<UnitOfWork>('a unit of work');
    if (!this.hasKafkaUnits) return database;
    return units === undefined ? onlyInKafkaUnits(kafkaUnits, database) : new KafkaUnitOfWork(kafkaUnits, units);
  }

  private crossingOf(transport: Transport): CrossingTransport | undefined {
    const { store, nodeId } = this;
    const { clock, scheduler, logger } = this.runtime;
    if (store === undefined || !this.isAmongOthers(DEFAULT_TRANSPORT)) return undefined;
    return new CrossingTransport({ transport, store, nodeId, clock, scheduler, logger });
  }

  private busOf(outlet: Outlet): MessageBus {
    return new OutletBus(this.outgoingContext(), outlet, this.requests);
  }

  private askingOf(store: Store, units: UnitEngine<Outgoing>, outlet: Outlet): StepAsking {
    const { runtime, sagaRegister: register } = this;
    return new StepAsking({ context: this.outgoingContext(), outlet, units, store: store.sagas, register, random: runtime.random });
  }

  private outgoingContext(): OutgoingContext {
    const { service, limits, transports } = this.settings;
    const { clock, random } = this.runtime;
    const reasons = new Map([...transports.keys()].map((name) => [name, this.noReceipts(name)]));
    return { service, limits, clock, random, transports, noReceipts: (transport: string) => reasons.get(transport) };
  }

  /** All handlers: those that were added with what undoes them, and those that take messages for the sagas that were. */
  get handlers(): readonly Registration[] {
    const { store, units, settings, registrations } = this;
    if (store === undefined || units === undefined) return registrations;
    const currentTransaction = () => units.current()?.transaction;
    const undoable = withCompensations(registrations, {
      store: store.choreography,
      transports: settings.transports,
      currentTransaction,
      afterCommit: (then) => units.afterCommit(then),
      due: () => this.events.changed(),
    });
    if (this.sagaRegister.definitions.length === 0) return undoable;
    const ofSagas = sagaRegistrations({
      service: settings.service,
      store: store.sagas,
      transports: [...settings.transports.keys()],
      signals: this.sagaRegister.signals,
      currentTransaction,
      arrived: () => units.afterCommit(() => this.sagaRunner?.nudge()),
    });
    return [...undoable, ...ofSagas];
  }

  /** Other services may have a database of their own. */
  private isAmongOthers(transport: string): boolean {
    const capabilities = this.settings.transports.get(transport)?.capabilities;
    return capabilities !== undefined && !capabilities.readsLog && capabilities.sharedSubscriptions;
  }

  private receiptsOf(outlet: Outlet): Receipts | undefined {
    const { store, settings } = this;
    if (settings.receipts && store === undefined)
      this.problem('receipts: true needs a store that keeps them; add one, such as store: typeorm()');
    if (store === undefined) return undefined;
    const { service } = settings;
    const { clock, random } = this.runtime;
    const isSentBack = (transport: string) => this.isAmongOthers(transport);
    for (const transport of settings.receipts ? [...settings.transports.keys()].filter(isSentBack) : [])
      this.registrations.push(receiptsRegistration({ service, transport }, store.receipts, () => this.units?.current()?.transaction));
    return new Receipts({ service, store: store.receipts, clock, random, isSentBack }, outlet);
  }

  private noReceipts(name: string): string | undefined {
    if (this.store === undefined) return 'a bus without a store; add one, such as store: typeorm()';
    if (!this.isAmongOthers(name) || this.settings.receipts) return undefined;
    return `the transport ${nameOfTransport(name, this.settings.transports.get(name)?.transport ?? 'none')}, over which they come from other services; add receipts: true to the options of this service`;
  }

  private outletOf(): Outlet | undefined {
    const { store, transports, units, settings } = this;
    const { logger, clock, random, scheduler } = this.runtime;
    if (store !== undefined && units !== undefined) {
      const outside = new OutsideTransaction(settings.outsideTransaction, () => this.scopes.seenWrite(), logger);
      return this.withKafkaUnits(new OutboxOutlet(units, store.transactions.dataSources[0], outside), outside);
    }
    if (transports.all.length === 0) return undefined;
    const confirmed = (messages: readonly Outgoing[]) => this.told(messages);
    const isClosed = () => transports.isClosed;
    const outlets = transports.all.map(
      ({ name, kind, transport }) =>
        [
          name,
          new TransportOutlet({ transport, name: nameOfTransport(name, kind), confirmed, isClosed, clock, random, scheduler }),
        ] as const,
    );
    return this.withKafkaUnits(new TransportOutlets(new Map(outlets)));
  }

  private withKafkaUnits(outlet: Outlet, outside?: OutsideTransaction): Outlet {
    return this.hasKafkaUnits ? new KafkaUnitOutlet(this.kafkaUnits, outlet, outside) : outlet;
  }

  /** Replies and receipts are nobody's business but of whoever asked. */
  told(messages: readonly Outgoing[]): void {
    const own = messages.filter((message) => !isOfFramework(message));
    if (own.length > 0) this.runtime.onCommitted?.(own);
  }

  private attempt<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      for (const each of problemsOf(error)) this.problem(each);
      return undefined;
    }
  }
}
