import {
  type Command,
  type CommittedMessage,
  type DeadLetter,
  describeMessage,
  type Envelope,
  type EventMessage,
  Holdfast,
  type HoldfastOptions,
  isHoldfastError,
  type MessageClass,
  type PublishOptions,
  type StateOf,
  toMs,
  type Transport,
  type TransportFactory,
  VirtualTime,
} from '@holdfast/core';
import { inMemory } from '@holdfast/transport-in-memory';
import { HoldfastTesting, type Recorded, type ReplyOf, type SagaScript } from './holdfast-testing.js';
import { RecordedSagaScript } from './saga-script.js';
import { StandIns } from './stand-ins.js';

/** Who delivers, unless the test says so. */
const SOURCE = 'another-service';
const SETTLE_TIMEOUT_MS = 5000;
/** Between two timers on the way of `advance`: long enough for a database on a busy machine. */
const STEP_SETTLE_MS = 3000;
/** The same where what is in flight, by its names, has hung before: a handler does so on purpose. */
const HANGING_SETTLE_MS = 500;
/** Dead letters read at a time. */
const PAGE = 1000;

/** Transports by name. */
type ReplacedTransports = NonNullable<HoldfastOptions['transports']>;

function named(names: readonly string[], make: (name: string) => TransportFactory): ReplacedTransports {
  return { default: make('default'), ...Object.fromEntries(names.map((name) => [name, make(name)])) };
}

/** One application under test: what replaces its transport and its clock, and what they saw. */
export class ApplicationHold extends HoldfastTesting {
  readonly clock = new VirtualTime({ settle: () => this.settleStep(), skipsPolls: true });
  /** What stands in place of each transport of the application. */
  private readonly factory: TransportFactory;
  private readonly committed: CommittedMessage[] = [];
  private readonly made = new Map<string, Transport>();
  private readonly standIns = new StandIns(this.clock, SOURCE);
  private engine: Holdfast | undefined;
  /** What was still in flight when `advance` went on. */
  private readonly hanging = new Set<string>();

  constructor() {
    super();
    const factory = inMemory();
    // A test begins with nothing published, so 'earliest' and 'now' are the same moment.
    this.factory = { ...factory, capabilities: { ...factory.capabilities, fromEarliest: true } };
  }

  /** In place of the transports with these names: one in memory for each, so that a message still goes where its destination says. */
  transports(names: readonly string[]): ReplacedTransports {
    const replaced = (name: string): TransportFactory => ({
      ...this.factory,
      create: (context) => {
        const made = this.factory.create(context);
        this.made.set(name, made);
        return this.withStandIns(made);
      },
    });
    return named(names, replaced);
  }

  /** What the application's engine is made with. */
  readonly runtime = {
    clock: this.clock,
    scheduler: this.clock,
    onCommitted: (messages: readonly CommittedMessage[]) =>
      void this.committed.push(...messages.map(({ message, options }) => ({ message, options }))),
  };

  /** Says which engine the application got. */
  attach(engine: Holdfast): this {
    this.engine = engine;
    return this;
  }

  async deliver(message: object, { source = SOURCE, ...options }: PublishOptions & { source?: string } = {}): Promise<void> {
    const { bus } = this.publisher(source);
    if (describeMessage(message).isCommand) await bus.send(message as Command<unknown>, options);
    else await bus.publish(message as EventMessage, options);
  }

  answer<C extends Command<unknown>>(command: MessageClass<C>, answer: (command: C) => ReplyOf<C> | Promise<ReplyOf<C>>): void {
    this.standIns.answer(command, answer as (command: never) => unknown);
  }

  saga<S extends object>(saga: abstract new (...args: never[]) => S): SagaScript<StateOf<S>> {
    const { engine, clock, standIns } = this;
    if (engine === undefined)
      throw new Error('saga() was called before the application was made: get HoldfastTesting from the application');
    const deliver = (message: object, options: { key: string }) => this.deliver(message, options);
    return new RecordedSagaScript<StateOf<S>>(saga, { engine, clock, standIns, deliver, settled: () => this.settled() });
  }

  async settled({ timeout = SETTLE_TIMEOUT_MS }: Parameters<HoldfastTesting['settled']>[0] = {}): Promise<void> {
    await this.engine?.settled(toMs(timeout, 'timeout'));
  }

  published<M extends object>(type: MessageClass<M>): readonly Recorded<M>[] {
    return this.committed.filter(({ message }) => message instanceof type) as readonly CommittedMessage[] as readonly Recorded<M>[];
  }

  async deadLetters(subscription?: string): Promise<readonly DeadLetter[]> {
    const page = await this.engine?.deadLetters.list({ subscription, limit: PAGE });
    return page?.items ?? [];
  }

  private withStandIns(made: Transport): Transport {
    return new Proxy(made, {
      get: (target, name) => {
        if (name === 'publish') return (batch: readonly Envelope[]) => this.standIns.publish(target, batch);
        const value: unknown = Reflect.get(target, name, target);
        return typeof value === 'function' ? (value.bind(target) as unknown) : value;
      },
    });
  }

  /** Another service: its own name, no store, and our transports. */
  private publisher(service: string): Holdfast {
    if (this.made.size === 0)
      throw new Error(
        'deliver() was called before the application was made: compile the builder that HoldfastTesting.inMemory gave, then app.init()',
      );
    const transports = named([...this.made.keys()], (name) => ({ ...this.factory, create: () => this.made.get(name) as Transport }));
    const options: HoldfastOptions = { service, transports, allowInMemory: true };
    return new Holdfast(options, { clock: this.clock });
  }

  /** A handler that hangs is what the clock is advanced for, to its time-out. What has hung before is not waited for as long again. */
  private async settleStep(): Promise<void> {
    const soon = await this.inFlightAfter(HANGING_SETTLE_MS);
    if (soon === '' || this.hanging.has(soon)) return;
    const late = await this.inFlightAfter(STEP_SETTLE_MS - HANGING_SETTLE_MS);
    if (late !== '') this.hanging.add(late);
  }

  private async inFlightAfter(ms: number): Promise<string> {
    try {
      await this.engine?.settled(ms);
      return '';
    } catch (error) {
      if (!isHoldfastError(error, 'HF_TEST_NOT_SETTLED')) throw error;
      return String(error.details.inFlight);
    }
  }
}
