import { randomUUID } from 'node:crypto';
import type { MessageBus } from '../bus/message-bus.js';
import { OutletBus } from '../bus/outlet-bus.js';
import { OutboxOutlet, writeOutgoing } from '../bus/outbox-outlet.js';
import type { Outgoing } from '../bus/outgoing.js';
import { OutsideTransaction } from '../bus/outside-transaction.js';
import { TransportOutlet } from '../bus/transport-outlet.js';
import { GuardedMethod, type MethodPolicies } from '../delivery/guarded-method.js';
import { retryPolicy } from '../delivery/retry-policy.js';
import { idempotencyOf, type Registration } from '../delivery/subscription-builder.js';
import { hfError } from '../errors/catalogue.js';
import { problemsOf } from '../errors/problems.js';
import type { DeadLetters, Outbox, Subscriptions } from '../operations/operators.js';
import { StoredDeadLetters, StoredOutbox, StoredSubscriptions } from '../operations/stored-operators.js';
import type { HoldfastOptions } from '../options.js';
import type { Store } from '../store/store.port.js';
import type { Transport } from '../transport/transport.port.js';
import { ScopeStorage } from '../unit-of-work/scope.js';
import { UnitGate } from '../unit-of-work/unit-gate.js';
import { UnitEngine } from '../unit-of-work/unit-engine.js';
import type { UnitOfWork } from '../unit-of-work/unit-of-work.js';
import { absent } from './absent.js';
import type { Runtime } from './runtime.js';
import { type Settings, settingsFrom } from './settings.js';

/** Whom to tell of what happens before and after the start. */
export interface AssemblyEvents {
  /** Message rows were committed. */
  committed(lanes: readonly number[], hasScheduled: boolean): void;
  /** An operator changed something. */
  changed(): void;
}

/** All parts of a bus, put together and not yet started. */
export class Assembly {
  readonly nodeId = randomUUID();
  readonly settings: Settings;
  readonly scopes = new ScopeStorage<Outgoing>();
  readonly gate = new UnitGate();
  readonly store: Store | undefined;
  readonly transport: Transport | undefined;
  readonly units: UnitEngine<Outgoing> | undefined;
  readonly bus: MessageBus;
  readonly unitOfWork: UnitOfWork;
  readonly deadLetters: DeadLetters;
  readonly subscriptions: Subscriptions;
  readonly outbox: Outbox;
  readonly registrations: Registration[] = [];
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
    const { transport } = this.settings;
    const canCarry = typeof transport?.create === 'function' && (this.store !== undefined || transport.capabilities.withoutStore);
    this.transport = canCarry ? this.attempt(() => transport.create({ ...ports, nodeId: this.nodeId, store: this.store })) : undefined;
    this.units = this.store && this.unitsOf(this.store);
    this.unitOfWork = this.units ?? absent<UnitOfWork>('a unit of work');
    this.bus = this.busOf();
    const changed = () => this.events.changed();
    this.deadLetters = this.store ? new StoredDeadLetters(this.store, changed) : absent<DeadLetters>('a list of dead letters');
    this.subscriptions = this.store ? new StoredSubscriptions(this.store, changed) : absent<Subscriptions>('a list of subscriptions');
    this.outbox = this.store ? new StoredOutbox(this.store) : absent<Outbox>('an outbox');
  }

  add(registration: Registration): void {
    this.registrations.push(registration);
  }

  problem(text: string): void {
    this.problems.push(text);
  }

  get hasProblems(): boolean {
    return this.problems.length > 0;
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
    if (this.store === undefined && (idempotency !== undefined || transactional))
      problem(`${name}: @Transactional and @Idempotent need a store; add one, such as store: typeorm()`);
    const unit = transactional === true ? {} : transactional || undefined;
    const { scheduler, random } = this.runtime;
    const currentTransaction = () => this.units?.current()?.transaction;
    const context = { store: this.store, unitOfWork: this.unitOfWork, currentTransaction, scheduler, random };
    const guarded = new GuardedMethod(context, name, { retry: policy, idempotency, unit });
    this.guarded.set(name, guarded);
    return guarded;
  }

  private unitsOf(store: Store): UnitEngine<Outgoing> {
    const { clock, random, scheduler, logger, onCommitted } = this.runtime;
    return new UnitEngine<Outgoing>({
      transactions: store.transactions,
      scopes: this.scopes,
      clock,
      scheduler,
      random,
      logger,
      gate: this.gate,
      writeOutgoing: (tx, messages) =>
        writeOutgoing(store.log, tx, {
          messages,
          committed: (lanes, hasScheduled) => {
            onCommitted?.(messages);
            this.events.committed(lanes, hasScheduled);
          },
        }),
    });
  }

  private busOf(): MessageBus {
    const { store, transport, units } = this;
    const { service, limits, outsideTransaction } = this.settings;
    const { clock, random, logger, onCommitted } = this.runtime;
    const transports = ['default'];
    const context = { service, limits, clock, random, transports, transport: this.settings.transport?.transport ?? 'none' };
    if (store !== undefined && units !== undefined) {
      const outside = new OutsideTransaction(outsideTransaction, () => this.scopes.seenWrite(), logger);
      return new OutletBus(context, new OutboxOutlet(units, store.transactions.dataSources[0], outside));
    }
    return transport === undefined
      ? absent<MessageBus>('a bus')
      : new OutletBus(context, new TransportOutlet(transport, this.settings.transport?.transport ?? '', onCommitted));
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
