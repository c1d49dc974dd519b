import {
  type Delivery,
  type Handler,
  type HandlerPolicies,
  Holdfast,
  type HoldfastOptions,
  Message,
  silentLogger,
  type StoreFactory,
  type TransportCapabilities,
  type TransportFactory,
} from '@holdfast/core';

/** One process: a transport, and a database its handlers write to. */
export interface TransportProcess {
  transport(): TransportFactory;
  store(): StoreFactory;
  /** Writes a text in the transaction in scope. */
  write(text: string): Promise<unknown>;
  /** Makes the COMMIT of the transaction in scope fail. */
  spoil(): Promise<unknown>;
  close(): Promise<void>;
}

/** A broker and a database, empty at first. */
export interface TransportSystem {
  join(): Promise<TransportProcess>;
  /** Texts that were written and committed, in order. */
  written(): Promise<string[]>;
  drop(): Promise<void>;
}

/** What an adapter brings to the contract of transports. */
export interface TransportFixture {
  readonly capabilities: TransportCapabilities;
  open(): Promise<TransportSystem>;
}

/** Something happened; `text` says what. */
@Message('contract.happened')
export class Happened {
  constructor(readonly text: string) {}
}

/** Something else happened. */
@Message('contract.other')
export class Other {
  constructor(readonly text: string) {}
}

/** The same type as `Happened`, read by somebody who asks for more. */
@Message('contract.happened', {
  schema: {
    '~standard': {
      version: 1,
      vendor: 'contract',
      validate: (value) =>
        (value as { text: string }).text.startsWith('bad') ? { issues: [{ message: 'it is bad' }] } : { value: value as { text: string } },
    },
  },
})
export class Strict {
  constructor(readonly text: string) {}
}

/** Retries soon, and always after the same time. */
export const SOON = { attempts: 3, backoff: { delay: 20, jitter: 'none' } } as const;

/** A bus of one process, with what its handlers saw. */
export class Bus {
  readonly seen: string[] = [];
  readonly deliveries: Delivery[] = [];
  readonly holdfast: Holdfast;

  constructor(
    readonly process: TransportProcess,
    options: Partial<HoldfastOptions> = {},
  ) {
    const given = {
      service: 'contract',
      transport: process.transport(),
      store: process.store(),
      allowInMemory: true,
      ...options,
    } as HoldfastOptions;
    this.holdfast = new Holdfast(given, { logger: silentLogger });
  }

  /** Adds a handler that notes each attempt (`name text attempt`) before it does `work`. */
  on(
    name: string,
    work: (message: { readonly text: string }, delivery: Delivery) => unknown,
    policies: Partial<HandlerPolicies<Happened>> & { type?: typeof Happened } = {},
  ): this {
    const { type = Happened, ...rest } = policies;
    const handler: Handler<Happened> = async (message, delivery) => {
      this.seen.push(`${name} ${message.text} ${delivery.attempt}`);
      this.deliveries.push(delivery);
      await work(message, delivery);
    };
    this.holdfast.on(type, handler, { name: `contract.${name}`, retry: SOON, transactional: true, ...rest } as HandlerPolicies<Happened>);
    return this;
  }

  /** A handler that writes what it got, once: business row, inbox row and place in one commit. */
  writer(name: string, policies: Partial<HandlerPolicies<Happened>> = {}): this {
    return this.on(name, ({ text }) => this.process.write(`${name} ${text}`), { idempotent: true, ...policies });
  }

  /**
   * Attempts of one subscription, each once: one whose failure could not yet be stored when somebody else took the message is made again under
   * the same number, which "at least once" allows.
   */
  attempts(prefix: string): string[] {
    return [...new Set(this.seen.filter((each) => each.startsWith(prefix)))];
  }

  publish(text: string, options: Parameters<Holdfast['bus']['publish']>[1] = {}) {
    return this.holdfast.bus.publish(new Happened(text), options);
  }

  async start(): Promise<this> {
    await this.holdfast.start();
    return this;
  }

  async stop(): Promise<void> {
    await this.holdfast.stop({ timeout: '5s' });
    await this.process.close();
  }
}

/** What a test of the contract works with: processes that are closed behind it. */
export class Bench {
  private readonly buses: Bus[] = [];

  constructor(
    readonly system: TransportSystem,
    readonly capabilities: TransportCapabilities,
  ) {}

  /** A bus of another process. */
  async bus(options: Partial<HoldfastOptions> = {}): Promise<Bus> {
    const bus = new Bus(await this.system.join(), options);
    this.buses.push(bus);
    return bus;
  }

  async close(): Promise<void> {
    await Promise.all(this.buses.map((bus) => bus.stop()));
    await this.system.drop();
  }

  /** Texts that are written, sorted, as soon as there are so many. */
  async written(count: number): Promise<string[]> {
    return [
      ...(await eventually(
        () => this.system.written(),
        (texts) => texts.length >= count,
      )),
    ].sort();
  }
}

/** Makes a bench for each test. */
export function benchOf(fixture: TransportFixture): () => Bench {
  let bench: Bench;
  beforeEach(async () => {
    bench = new Bench(await fixture.open(), fixture.capabilities);
  });
  afterEach(() => bench.close());
  return () => bench;
}

/** Looks again and again until it is so; throws with what it saw last. */
export async function eventually<T>(look: () => Promise<T> | T, isGood: (value: T) => boolean, forMs = 15_000): Promise<T> {
  for (const end = Date.now() + forMs; ; ) {
    const value = await look();
    if (isGood(value)) return value;
    if (Date.now() > end) throw new Error(`Still not so after ${forMs} ms; last seen: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

/** Time in which something that must not happen would have happened. */
export function quiet(ms = 300): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** A promise to be settled by hand. */
export function gate(): { readonly opened: Promise<void>; open(): void } {
  let open = (): void => undefined;
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open: () => open() };
}

/** Who did it. */
export const BY = { by: 'contract', reason: 'the contract' };
