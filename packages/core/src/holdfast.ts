import { MessageBus } from './bus/message-bus.js';
import type { AsyncMethod } from './delivery/policies.js';
import type { MethodPolicies } from './delivery/guarded-method.js';
import type { Delivery } from './delivery/delivery.js';
import type { Handler, HandlerPolicies } from './delivery/subscription-options.js';
import { hfError } from './errors/catalogue.js';
import type { MessageClass, MessageOf } from './message/message.js';
import type { DeadLetters, Outbox, Subscriptions } from './operations/operators.js';
import type { HoldfastOptions } from './options.js';
import type { CallMethod } from './saga/saga-class.js';
import type { Sagas } from './saga/sagas.js';
import type { Health, HealthOptions } from './monitoring/health.js';
import { Assembly } from './set-up/assembly.js';
import { Node } from './set-up/node.js';
import { type Runtime, runtimeFrom } from './set-up/runtime.js';
import { type Duration, toMs } from './time/duration.js';
import type { Branches } from './try-confirm-cancel/branches.js';
import type { TryDefinition } from './try-confirm-cancel/try-definition.js';
import type { UnitOfWork } from './unit-of-work/unit-of-work.js';

const DEFAULT_HEALTH_TIMEOUT: Duration = '3s';
const DEFAULT_MAX_LAG: Duration = '1m';

/** The bus without Nest: add handlers, start, publish, stop. */
export class Holdfast {
  readonly bus: MessageBus;
  readonly unitOfWork: UnitOfWork;
  readonly sagas: Sagas;
  readonly branches: Branches;
  readonly deadLetters: DeadLetters;
  readonly subscriptions: Subscriptions;
  readonly outbox: Outbox;
  private readonly assembly: Assembly;
  private node: Node | undefined;
  private isStarted = false;
  private stopping: Promise<void> | undefined;

  /**
   * @param options what is wrong with them is told by `start`, all of it together
   * @param runtime clock, random numbers, timers and logger of your own
   */
  constructor(options: HoldfastOptions, runtime: Partial<Runtime> = {}) {
    this.assembly = new Assembly(options, runtimeFrom(runtime), {
      committed: (written) => this.node?.committed(written),
      changed: () => this.node?.changed(),
    });
    const { bus, unitOfWork, sagas, branches, deadLetters, subscriptions, outbox } = this.assembly;
    this.bus = bus;
    this.unitOfWork = unitOfWork;
    this.sagas = sagas;
    this.branches = branches;
    this.deadLetters = deadLetters;
    this.subscriptions = subscriptions;
    this.outbox = outbox;
  }

  /** Adds a handler, before `start`. */
  on<const T extends MessageClass | readonly MessageClass[]>(
    type: T,
    handler: Handler<MessageOf<T>>,
    policies: HandlerPolicies<MessageOf<T>>,
  ): this {
    this.assertNotStarted('on()');
    this.assembly.add({
      types: type,
      handler: handler as (message: never, delivery: Delivery) => unknown,
      policies: policies as HandlerPolicies<never>,
    });
    return this;
  }

  /**
   * Adds a saga, before `start`: what `defineSaga` made, or an instance of a class with `@Saga`.
   *
   * @param call for frameworks: how a method of the instance is called
   */
  saga(saga: object, call?: CallMethod): this {
    this.assertNotStarted('saga()');
    this.assembly.addSaga(saga, call);
    return this;
  }

  /**
   * Adds a try, before `start`: what `defineTry` made. Gives the function to call it by, inside a unit of work.
   *
   * **Guarantee:** a call that was begun is confirmed once its unit has committed, and cancelled in any other case, each with one effect in the database, also
   * when processes and the database server are killed; or it is parked in front of a person. **Not promised:** when: that is after the unit, not within it.
   */
  tryConfirmCancel<Args extends readonly unknown[], Result>(definition: TryDefinition<Args, Result>): (...args: Args) => Promise<Result> {
    this.assertNotStarted('tryConfirmCancel()');
    const { assembly } = this;
    const runnable = assembly.addTry(definition as TryDefinition<never>);
    return async function (this: unknown, ...args: Args): Promise<Result> {
      if (assembly.tries === undefined) throw hfError('HF_NOT_STARTED', { call: definition.name });
      return (await assembly.tries.call(runnable, args, () => definition.method.call(this, ...args))) as Result;
    };
  }

  /**
   * Keeps a handler's deliveries back until `release`, before `start`: for frameworks whose handlers begin later than their services. Its
   * subscription is registered as any other, so what is published meanwhile waits for it.
   *
   * @param name of its subscription
   */
  hold(name: string): this {
    this.assertNotStarted('hold()');
    this.assembly.held.add(name);
    return this;
  }

  /** Lets what `hold` keeps back begin: now, or with `start` if that is to come. A second call, and one after `drain`, does nothing. */
  async release(): Promise<void> {
    this.assembly.held.clear();
    await this.node?.release();
  }

  /**
   * Puts a plain method behind its policies: retry (in process, outside the transaction), idempotent, transactional.
   *
   * @param name durable: an idempotent method's keys belong to it
   */
  guard<F extends AsyncMethod>(name: string, policies: MethodPolicies<F>, method: F): F {
    const guarded = this.assembly.guard(name, policies as MethodPolicies);
    return function (this: unknown, ...args: never[]) {
      return guarded.call(args, () => method.apply(this, args));
    } as F;
  }

  /** Notes a configuration problem that a framework found; `start` tells all of them. */
  problem(text: string): void {
    this.assembly.problem(text);
  }

  /**
   * Lets units of work begin, before anything is delivered: for frameworks whose services run before their handlers. `start` does it too.
   * Handlers that are added by now are checked first, so that a refusal leaves no table behind.
   *
   * @throws as `start`, except HF_SUBSCRIPTION_MISSING
   */
  async open(): Promise<void> {
    await this.begin((node) => node.open());
  }

  /**
   * Checks everything, connects, and begins to deliver.
   *
   * @throws HF_CONFIG_INVALID naming everything that is wrong, before anything is touched; HF_SCHEMA_BEHIND, HF_SCHEMA_AHEAD, HF_SUBSCRIPTION_MISSING
   */
  async start(): Promise<void> {
    this.assertNotStarted('start()');
    this.isStarted = true;
    await this.begin((node) => node.start());
  }

  /** What fails half-way is let go of. */
  private async begin(work: (node: Node) => Promise<void>): Promise<void> {
    this.node ??= new Node(this.assembly);
    const { node } = this;
    node.check();
    try {
      await work(node);
    } catch (error) {
      await node.stop(0).catch(() => undefined);
      throw error;
    }
  }

  /**
   * How the bus of this process is, for a probe: the store and the broker can be reached, nothing waits for long, no subscription has paused because it
   * fails. Never rejects for what it finds. @throws HF_CONFIG_DURATION for an option that is none
   */
  async health(options: HealthOptions = {}): Promise<Health> {
    const terms = {
      timeoutMs: toMs(options.timeout ?? DEFAULT_HEALTH_TIMEOUT, 'health({ timeout })'),
      maxLagMs: toMs(options.maxLag ?? DEFAULT_MAX_LAG, 'health({ maxLag })'),
    };
    const node = this.node ?? new Node(this.assembly);
    return node.health(terms);
  }

  /** The first half of `stop`: the intake has stopped and nothing is in hand, but units of work may still begin, and without a store messages may still be published. */
  async drain(options: { timeout?: Duration } = {}): Promise<void> {
    await this.node?.drain(this.timeoutMs(options));
  }

  /** Stops the intake, finishes or returns what is in flight, and lets go of everything; calling it again waits for the same end. */
  async stop(options: { timeout?: Duration } = {}): Promise<void> {
    this.stopping ??= this.node?.stop(this.timeoutMs(options)) ?? Promise.resolve();
    await this.stopping;
  }

  /** For tests: resolves when nothing is in flight and nothing is due. @throws HF_TEST_NOT_SETTLED after `timeoutMs` of real time */
  async settled(timeoutMs: number): Promise<void> {
    await this.node?.settled(timeoutMs);
  }

  private timeoutMs({ timeout }: { timeout?: Duration }): number {
    return timeout === undefined ? this.assembly.settings.stopTimeoutMs : toMs(timeout, 'timeout');
  }

  private assertNotStarted(call: string): void {
    if (this.isStarted) throw hfError('HF_ALREADY_STARTED', { call });
  }
}
