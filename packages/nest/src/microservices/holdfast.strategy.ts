import { EVENT_NAMES, type EventName, Holdfast, hfError, type HoldfastEvents, subscribe } from '@holdfast/core';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { DiscoveryService } from '@nestjs/core';
import type { HoldfastContext } from './holdfast.context.js';
import { Server } from './nest-microservices.js';
import { typeOfPattern } from './pattern.js';
import { type PatternFunction, PatternHandler } from './pattern-handler.js';
import { originOf, type PatternMethod, patternMethods, prepareForStrategy } from './pattern-method.js';

/** Transport id of HoldfastStrategy, for a handler that only it should run: `@EventPattern('order.placed', HOLDFAST_TRANSPORT)`. */
export const HOLDFAST_TRANSPORT: unique symbol = Symbol.for('holdfast.nest.transport');

/** An application that listens at all has called `listen` by then. */
const REMIND_AFTER_MS = 10_000;

const logger = new Logger('Holdfast');

/**
 * Runs `@EventPattern` and `@MessagePattern` handlers over Holdfast's subscriptions:
 * `app.connectMicroservice({ strategy: app.get(HoldfastStrategy) }, { inheritAppConfig: true })`, before `app.init()` or `app.listen()`.
 *
 * Each handler is a subscription of its own, named by `@Durable`. Nest's guards, pipes, interceptors and request scope work as in its other message
 * handlers (context type `'rpc'`, `@Ctx()` is a HoldfastContext); an exception filter may look at an error or replace it, and the message has failed
 * all the same: it is retried, and becomes a dead letter. Deliveries begin when the microservice listens.
 */
@Injectable()
export class HoldfastStrategy extends Server {
  /** Handlers by the method they are. */
  private readonly byMethod = new Map<object, Map<string, PatternHandler>>();
  /** The methods of all controllers: one that several inherit is there for each of them. */
  private readonly methods: readonly PatternMethod[];
  private readonly listeners: (() => void)[] = [];
  private isClosedToHandlers = false;
  private reminder: NodeJS.Timeout | undefined;
  private isListeningNow = false;

  constructor(
    @Inject(Holdfast) private readonly holdfast: Holdfast,
    @Inject(DiscoveryService) discovery: DiscoveryService,
  ) {
    super();
    this.transportId = HOLDFAST_TRANSPORT;
    const prototypes = discovery.getControllers().map(({ metatype }) => metatype?.prototype as unknown);
    this.methods = prototypes.flatMap((each) => (typeof each === 'object' && each !== null ? patternMethods(each) : []));
    this.methods.forEach(prepareForStrategy);
  }

  /** Whether deliveries may begin. */
  get isListening(): boolean {
    return this.isListeningNow;
  }

  /** Nest's later versions ask: a failed event is not lost here. */
  override readonly propagatesEventHandlerErrors: boolean = true;

  /**
   * Called by Nest for every pattern of every handler.
   *
   * @throws HF_NEST_PATTERN, HF_NEST_STRATEGY_LATE
   */
  // tidy: parameter-count: Nest's signature
  override addHandler(pattern: unknown, pipeline: PatternFunction, isEventHandler = false, extras: object = {}): void {
    const origin = originOf(extras);
    const target = origin?.target ?? 'a handler that was added by hand';
    if (origin === undefined)
      throw hfError('HF_NEST_PATTERN', { pattern, target, reason: 'handlers are methods of controllers, which Nest adds itself' });
    if (this.isClosedToHandlers) throw hfError('HF_NEST_STRATEGY_LATE', { target });
    const type = typeOfPattern(pattern, this.normalizePattern(pattern as string), target);
    const methods = this.byMethod.get(origin.owner) ?? new Map<string, PatternHandler>();
    this.byMethod.set(origin.owner, methods);
    const handler =
      methods.get(origin.name) ??
      new PatternHandler(origin, isEventHandler ? 'event' : 'message', (context, work) => this.watch(context, work));
    methods.set(origin.name, handler);
    for (const { owner, name, target } of this.methods) if (owner === origin.owner && name === origin.name) handler.targets.add(target);
    handler.add(type, pipeline);
  }

  /** All handlers, when the application has initialised; none can be added after that. */
  takeHandlers(): readonly PatternHandler[] {
    this.isClosedToHandlers = true;
    const handlers = [...this.byMethod.values()].flatMap((methods) => [...methods.values()]);
    if (handlers.length > 0 && !this.isListening) this.remind(handlers);
    return handlers;
  }

  /** Lets deliveries begin: at once, or as soon as the application has initialised. */
  override listen(done: (...args: unknown[]) => unknown): void {
    this.isListeningNow = true;
    clearTimeout(this.reminder);
    this.holdfast.release().then(
      () => {
        this._status$.next('connected');
        done();
      },
      (error: unknown) => void done(error),
    );
  }

  /** Stops the deliveries of the application and waits for those in work, as its shutdown does. */
  override async close(): Promise<void> {
    clearTimeout(this.reminder);
    await this.holdfast.drain();
    for (const leave of this.listeners.splice(0)) leave();
    this._status$.next('disconnected');
  }

  /** Tells of an event of Holdfast in this process, such as `'delivery:failed'` (docs/reference/events.md), until `close`. @throws HF_CAPABILITY_UNSUPPORTED */
  override on<Name extends EventName>(event: Name, handler: (facts: HoldfastEvents[Name]) => void): void;
  override on(event: string, handler: (facts: never) => void): void;
  override on(event: string, handler: (facts: never) => void): void {
    if (!EVENT_NAMES.includes(event as EventName)) {
      const feature = `the event ${event} (there are ${EVENT_NAMES.join(', ')})`;
      throw hfError('HF_CAPABILITY_UNSUPPORTED', { feature, provider: 'HoldfastStrategy' });
    }
    this.listeners.push(subscribe(event as EventName, handler as (facts: object) => void));
  }

  /** The engine: an instance of Holdfast. */
  override unwrap<T = Holdfast>(): T {
    return this.holdfast as T;
  }

  /** Nobody would notice that they wait: nothing fails. */
  private remind(handlers: readonly PatternHandler[]): void {
    const targets = handlers.map(({ origin }) => origin.target).join(', ');
    const text = `HoldfastStrategy is connected and does not listen: the messages of ${targets} wait. Call app.startAllMicroservices()`;
    this.reminder = setTimeout(() => logger.warn(text), REMIND_AFTER_MS).unref();
  }

  /** Between Nest's hooks for instrumentation, whose function must be called for the work to be done. */
  private watch(context: HoldfastContext, work: () => Promise<unknown>): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const done = () =>
        work()
          .then(resolve, reject)
          .finally(() => this.onProcessingEndHook?.(HOLDFAST_TRANSPORT, context));
      this.onProcessingStartHook(HOLDFAST_TRANSPORT, context, done);
    });
  }
}
