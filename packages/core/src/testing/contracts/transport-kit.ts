import type { Delivery } from '../../delivery/delivery.js';
import type { Handler, HandlerPolicies } from '../../delivery/subscription-options.js';
import { Holdfast } from '../../holdfast.js';
import { Message, type MessageClass } from '../../message/message.js';
import { silentLogger } from '../../monitoring/logger.js';
import type { HoldfastOptions } from '../../options.js';
import type { StoreFactory } from '../../store/store.port.js';
import type { TransportCapabilities, TransportFactory } from '../../transport/transport.port.js';
import { eventually } from './assertions.js';

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
  /** Makes a system of its own for each case; at the same time as others where the runner does. */
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

/** What lets a bus with these options start also while a case beside it is in production. */
export function anywhere(options: Partial<HoldfastOptions>): Partial<HoldfastOptions> {
  return 'store' in options ? { allowInMemory: true } : { allowInMemory: true, migrate: true };
}

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
      ...anywhere(options),
      ...options,
    } as HoldfastOptions;
    this.holdfast = new Holdfast(given, { logger: silentLogger });
  }

  /** Adds a handler that notes each attempt (`name text attempt`) before it does `work`. */
  on(
    name: string,
    work: (message: { readonly text: string }, delivery: Delivery) => unknown,
    policies: Partial<HandlerPolicies<Happened>> & { type?: MessageClass<Happened> } = {},
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

  /** Stops a process before the end of the case. */
  async leave(bus: Bus): Promise<void> {
    this.buses.splice(this.buses.indexOf(bus), 1);
    await bus.stop();
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

/** Time in which something that must not happen would have happened. */
export function quiet(ms = 300): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

let productions = 0;
let environment: string | undefined;

/** Does it with `NODE_ENV=production`, which cases that run at the same time see too: see `anywhere`. */
export async function inProduction(work: () => Promise<void>): Promise<void> {
  if (productions === 0) environment = process.env.NODE_ENV;
  productions += 1;
  process.env.NODE_ENV = 'production';
  try {
    await work();
  } finally {
    productions -= 1;
    if (productions === 0) process.env.NODE_ENV = environment;
  }
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
