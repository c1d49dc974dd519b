import { hfError, isHoldfastError, type Logger, type SubscriptionSpec } from '@holdfast/core';
import type { Channel } from 'amqplib';
import type { Connection } from './connection.js';
import type { ForeignSource } from './foreign-source.js';
import type { Settings } from './settings.js';
import { slotsOf } from './partitions.js';
import { bindingKeyOf, routeOf, routingKeyOf } from './wire.js';

/** Of a name, in AMQP. */
const NAME_BYTES = 255;
/** Answers of the broker that asking again does not change: no right, not there, different, not allowed. */
const FINAL = new Set([403, 404, 406, 530]);
/** The user has no right to that. */
const ACCESS_REFUSED = 403;

/** Asks the broker for one thing. Each has the time of an answer for itself: how many there are says nothing about whether the broker is still there. */
type Ask = <T>(request: (channel: Channel) => Promise<T>) => Promise<T>;

/** Something that has to be at the broker. */
interface Need {
  readonly what: string;
  readonly see: (ask: Ask) => Promise<unknown>;
}

/** Something that has to be at the broker as it would be made. */
interface ComparedNeed extends Need {
  /** What was seen is declared as it has to be: that makes nothing, and the broker refuses it where it is different. */
  readonly compare: (ask: Ask) => Promise<unknown>;
}

/** A subscription by its name. */
type Named = Pick<SubscriptionSpec, 'name'>;
/** A subscription and what it takes. */
type Routed = Pick<SubscriptionSpec, 'name' | 'ordering' | 'types' | 'addresses'>;

/** A queue of a subscription, and what goes into it. */
interface OwnQueue {
  readonly name: string;
  readonly routingKeys: readonly string[];
  readonly arguments: Readonly<Record<string, unknown>>;
}

const WAS_UNORDERED =
  "it is from when the subscription had no ordering: 'key', and goes on filling; give the subscription another name, or let it run empty, stop the service and delete it";
const WAS_ORDERED =
  "it is from when the subscription had ordering: 'key', and goes on filling; give the subscription another name, or let all its partitions run empty, stop the service and delete them";

/**
 * Exchange, queues and bindings of one service. Each subscription has a durable quorum queue of its own, bound with the types it handles, and another
 * one for its dead letters: those we put there where there is no store, and what the broker itself throws away.
 */
export class Topology {
  private readonly partitions = new Map<string, number>();

  constructor(
    private readonly settings: Settings,
    private readonly service: string,
    private readonly logger: Logger,
  ) {}

  /** Name of a subscription's queue. The parts are told apart by a sign that the first two do not have, so that no two services share a name. */
  queueOf({ name }: Named): string {
    return `${this.settings.exchange}/${encodeURIComponent(this.service)}/${name}`;
  }

  /** Name of the queue of its dead letters. Its second part has a sign that no encoded service has. */
  deadLettersOf({ name }: Named): string {
    return `${this.settings.exchange}/${encodeURIComponent(this.service)}:dead/${name}`;
  }

  /** Name of the queue of one partition of an ordered subscription. */
  partitionOf({ name }: Named, partition: number): string {
    return `${this.settings.exchange}/${encodeURIComponent(this.service)}:${partition}/${name}`;
  }

  /** How many partitions an ordered subscription has: as many as the store says it was made with. */
  divide({ name }: Named, partitions: number): void {
    this.partitions.set(name, partitions);
  }

  /** The queues an unordered subscription takes from: its own, and those of others. */
  queuesFor(spec: SubscriptionSpec): readonly string[] {
    return [this.queueOf(spec), ...this.foreignOf(spec).flatMap(({ queue }) => queue ?? [])];
  }

  /**
   * For a start: makes or checks the exchange and what the subscriptions need, as the option says. Where it is refused for what others have there, nothing is made: a
   * version that does not start must leave nothing behind that the one before it stumbles over.
   *
   * @throws HF_BROKER_TOPOLOGY naming everything that is wrong; where ours is made, what others have there and what is left over come first, and the rest is told when they are in order
   */
  async ensure(connection: Connection, subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    const { topology, exchange } = this.settings;
    if (topology === 'none') return;
    if (topology === 'check') return this.seeAndCompare(connection, subscriptions);
    await this.see(connection, [...this.foreignChecks(subscriptions), ...subscriptions.map((spec) => this.leftOver(spec))]);
    await this.see(connection, [
      { what: `the exchange ${exchange}`, see: (ask) => this.assertExchange(ask) },
      ...subscriptions.flatMap((spec) => this.assertions(connection.version, spec)),
    ]);
  }

  /**
   * For what comes back later: makes or checks what a subscription needs, but for the exchange, which has to be there. With one that was deleted went the
   * bindings of all subscriptions, and what is published once it is there again is lost to those that have not been bound again. So a start makes it.
   *
   * With 'check' it is looked at, and not compared: the broker may be of another version by now, and what would be declared anew another queue, which stops
   * nobody who takes from the one that is there.
   *
   * @param only of its own queues, this one
   * @throws HF_BROKER_TOPOLOGY
   */
  async restore(connection: Connection, spec: SubscriptionSpec, only?: string): Promise<void> {
    const { topology } = this.settings;
    if (topology === 'none') return;
    if (topology === 'check') return this.see(connection, this.checks(connection.version, [spec], only));
    await this.see(connection, this.foreignChecks([spec]));
    await this.see(connection, [this.exchangeCheck(), ...this.assertions(connection.version, spec, only)]);
  }

  /** Whether the exchange is there. @throws HF_BROKER_TOPOLOGY */
  async checkExchange(connection: Connection): Promise<void> {
    if (this.settings.topology !== 'none') await this.see(connection, [this.exchangeCheck()]);
  }

  private async see(connection: Connection, needs: readonly Need[]): Promise<void> {
    const problems: string[] = [];
    for (const { what, see } of needs) {
      const problem = await problemWith(connection, what, see);
      if (problem !== undefined) problems.push(problem);
    }
    if (problems.length > 0) throw hfError('HF_BROKER_TOPOLOGY', { problems });
  }

  /** What is compared was seen a moment ago, on the same channel: what is deleted later is not made by that, without its bindings. */
  private async seeAndCompare(connection: Connection, subscriptions: readonly SubscriptionSpec[]): Promise<void> {
    const uncompared: string[] = [];
    const needs = this.compared(connection.version, subscriptions).map(({ what, see, compare }) => ({
      what,
      see: async (ask: Ask) => {
        await see(ask);
        await compare(ask).catch((error: { readonly code?: unknown }) => {
          if (error.code !== ACCESS_REFUSED) throw error;
          uncompared.push(what);
        });
      },
    }));
    await this.see(connection, [...needs, ...this.foreignChecks(subscriptions)]);
    if (uncompared.length > 0)
      this.logger.warn(
        'what is at the broker is there, but whether it is as it has to be is not known: the user of this service may not declare it',
        { what: uncompared.join(', '), right: 'configure' },
      );
  }

  private foreignOf({ name }: SubscriptionSpec): readonly ForeignSource[] {
    return this.settings.foreign.filter(({ subscription }) => subscription === name);
  }

  /** What belongs to others is there or not; it is never made. */
  private foreignChecks(subscriptions: readonly SubscriptionSpec[]): readonly Need[] {
    return subscriptions.flatMap((spec) =>
      this.foreignOf(spec).map(({ queue, exchange }) =>
        queue === undefined
          ? { what: `the exchange ${exchange}`, see: (ask: Ask) => ask((channel) => channel.checkExchange(exchange)) }
          : { what: `the queue ${queue}`, see: (ask: Ask) => ask((channel) => channel.checkQueue(queue)) },
      ),
    );
  }

  /** Takes types from the queues of a subscription, whose messages stay. A queue that is not there has none. */
  async unbind(connection: Connection, leftover: Routed): Promise<void> {
    for (const { name: queue, routingKeys } of this.queues(leftover, undefined)) {
      if (!(await isThere(connection, queue))) continue;
      const channel = await connection.openChannel();
      try {
        for (const key of routingKeys)
          await channel.answer('the end of a binding', channel.channel.unbindQueue(queue, this.settings.exchange, key));
      } finally {
        await channel.end();
      }
    }
  }

  /** The queues that are a subscription's own. */
  private queues(spec: Routed, only: string | undefined): readonly OwnQueue[] {
    const all = this.partitionsOf(spec) ?? [{ name: this.queueOf(spec), routingKeys: routesOf(spec).map(bindingKeyOf), arguments: {} }];
    return all.filter(({ name }) => only === undefined || name === only);
  }

  /** One consumer at a time takes from a partition, whoever else is there: what the leases say as well, and the broker sees to. */
  private partitionsOf(spec: Routed): readonly OwnQueue[] | undefined {
    const partitions = spec.ordering === 'key' ? this.partitions.get(spec.name) : undefined;
    if (partitions === undefined) return undefined;
    return Array.from({ length: partitions }, (_, partition) => ({
      name: this.partitionOf(spec, partition),
      // What has no key cannot be ordered; it becomes a dead letter where everybody sees it, instead of nothing.
      routingKeys: routesOf(spec).flatMap((route) => [
        ...slotsOf(partition, partitions).map((slot) => routingKeyOf(route, slot)),
        ...(partition === 0 ? [routingKeyOf(route, undefined)] : []),
      ]),
      arguments: { 'x-single-active-consumer': true },
    }));
  }

  private exchangeCheck(): Need {
    const { exchange } = this.settings;
    return { what: `the exchange ${exchange}`, see: (ask) => ask((channel) => channel.checkExchange(exchange)) };
  }

  private checks(version: string, subscriptions: readonly SubscriptionSpec[], only?: string): readonly Need[] {
    return [...this.compared(version, subscriptions, only), ...this.foreignChecks(subscriptions)];
  }

  /** A passive look sees that something has this name, and nothing else of it. */
  private compared(version: string, subscriptions: readonly SubscriptionSpec[], only?: string): readonly ComparedNeed[] {
    const queues = subscriptions.flatMap((spec) => [this.deadLetterQueue(version, spec), ...this.declared(version, spec, only)]);
    return [
      { ...this.exchangeCheck(), compare: (ask) => this.assertExchange(ask) },
      ...queues.map((queue) => ({
        what: `the queue ${queue.name}`,
        see: (ask: Ask) => ask((channel) => channel.checkQueue(nameOf(queue.name))),
        compare: (ask: Ask) => assertQueue(ask, queue),
      })),
    ];
  }

  /** Queues of the other order would go on filling, and nobody takes from them. */
  private leftOver(spec: SubscriptionSpec): Need {
    const isOrdered = spec.ordering === 'key';
    const queue = isOrdered ? this.queueOf(spec) : this.partitionOf(spec, 0);
    return {
      what: `the queue ${queue}`,
      see: async (ask) => {
        if (await has(ask, queue)) throw hfError('HF_BROKER_TOPOLOGY', { problems: [isOrdered ? WAS_UNORDERED : WAS_ORDERED] });
      },
    };
  }

  private assertions(version: string, spec: SubscriptionSpec, only?: string): readonly Need[] {
    const deadLetters = this.deadLetterQueue(version, spec);
    return [
      { what: `the queue ${deadLetters.name}`, see: (ask) => assertQueue(ask, deadLetters) },
      ...this.declared(version, spec, only).map((queue) => ({
        what: `the queue ${queue.name}`,
        see: (ask: Ask) => this.assert(ask, spec, queue),
      })),
    ];
  }

  private deadLetterQueue(version: string, spec: Named): OwnQueue {
    return { name: this.deadLettersOf(spec), routingKeys: [], arguments: argumentsFor(version) };
  }

  /** Its own queues, with all of their arguments. */
  private declared(version: string, spec: SubscriptionSpec, only: string | undefined): readonly OwnQueue[] {
    const deadLetters = { 'x-dead-letter-exchange': '', 'x-dead-letter-routing-key': this.deadLettersOf(spec) };
    return this.queues(spec, only).map((queue) => ({
      ...queue,
      arguments: { ...argumentsFor(version), ...deadLetters, ...queue.arguments },
    }));
  }

  private async assertExchange(ask: Ask): Promise<void> {
    await ask((channel) => channel.assertExchange(this.settings.exchange, 'topic', { durable: true }));
  }

  private async assert(ask: Ask, spec: SubscriptionSpec, own: OwnQueue): Promise<void> {
    const queue = nameOf(own.name);
    await assertQueue(ask, own);
    for (const key of own.routingKeys) await ask((channel) => channel.bindQueue(queue, this.settings.exchange, key));
    for (const { exchange, routingKey = '#' } of this.foreignOf(spec))
      if (exchange !== undefined) await ask((channel) => channel.bindQueue(queue, exchange, routingKey));
  }
}

async function assertQueue(ask: Ask, queue: OwnQueue): Promise<void> {
  await ask((channel) => channel.assertQueue(nameOf(queue.name), { durable: true, arguments: queue.arguments }));
}

/** What stands in the way of something, as the broker says it; undefined: nothing. On a channel of its own: the one on which something is refused is closed by that. */
async function problemWith(connection: Connection, what: string, work: Need['see']): Promise<string | undefined> {
  const channel = await connection.openChannel();
  try {
    await work((request) => channel.answer(what, request(channel.channel)));
    return undefined;
  } catch (error) {
    const problem = problemIn(error, what);
    if (problem === undefined) throw error;
    return problem;
  } finally {
    await channel.end();
  }
}

function routesOf({ types, addresses = types }: Routed): readonly string[] {
  return types.map((type, place) => routeOf(type, addresses[place] ?? type));
}

/** A queue that is not there closes the channel. */
async function has(ask: Ask, queue: string): Promise<boolean> {
  return ask((channel) => channel.checkQueue(nameOf(queue))).then(
    () => true,
    (error: { readonly code?: unknown }) => {
      if (error.code !== 404) throw error;
      return false;
    },
  );
}

async function isThere(connection: Connection, queue: string): Promise<boolean> {
  const channel = await connection.openChannel();
  try {
    return await has((request) => channel.answer(`the queue ${queue}`, request(channel.channel)), queue);
  } finally {
    await channel.end();
  }
}

/** HF_BROKER_TOPOLOGY when the broker's answer is one that does not change by asking again, else the error itself. */
export function refusalOf(error: unknown, what: string): unknown {
  const problem = problemIn(error, what);
  return problem === undefined ? error : hfError('HF_BROKER_TOPOLOGY', { problems: [problem] }, { cause: error });
}

/**
 * From version 4 on, a quorum queue throws away what was delivered twenty times. Deliveries are counted by us, where a person sees them, so that
 * limit is lifted. Older versions have none, and would read the number otherwise.
 */
function argumentsFor(version: string): Record<string, unknown> {
  const isLimited = Number.parseInt(version, 10) >= 4;
  return { 'x-queue-type': 'quorum', ...(isLimited ? { 'x-delivery-limit': -1 } : {}) };
}

function nameOf(queue: string): string {
  const bytes = Buffer.byteLength(queue);
  if (bytes > NAME_BYTES)
    throw hfError('HF_BROKER_TOPOLOGY', {
      problems: [`its name has ${bytes} bytes, and RabbitMQ takes ${NAME_BYTES}; shorten the service or the subscription`],
    });
  return queue;
}

const DIFFERENT = /inequivalent arg '([^']+)' .*?: received (.+) but current is (.+?)"?$/s;

/** One sentence about what the broker would not do; undefined when it may do so another time. */
function problemIn(error: unknown, what: string): string | undefined {
  if (isHoldfastError(error, 'HF_BROKER_TOPOLOGY')) return `${what}: ${String((error.details.problems as readonly unknown[])[0])}`;
  const { code, message = '' } = (error ?? {}) as { readonly code?: unknown; readonly message?: string };
  if (!FINAL.has(code as number)) return undefined;
  const [, argument, expected, found] = DIFFERENT.exec(message) ?? [];
  if (argument !== undefined) return `${what}: ${argument} is ${valueIn(found)} there, and has to be ${valueIn(expected)}`;
  return `${what}: ${/with message "(.*)"$/s.exec(message)?.[1] ?? message}`;
}

/** `'quorum'` of `the value 'quorum' of type 'longstr'`. */
function valueIn(text: string | undefined): string {
  return /the value (.+) of type '\w+'$/s.exec(text ?? '')?.[1] ?? `${text}`;
}
