import type { Registration } from '../delivery/subscription-builder.js';
import type { Subscription } from '../delivery/subscription.js';
import { problemsOf } from '../errors/problems.js';
import { printable } from '../errors/printable.js';
import { describeMessages } from '../message/message-class.js';
import { nameOfTransport, type Route, routeOf, routeText } from '../transport/route.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';
import type { Transport, TransportFactory } from '../transport/transport.port.js';

/** A transport of the options, made. */
export interface NamedTransport {
  readonly name: string;
  /** As its package calls it. */
  readonly kind: string;
  readonly transport: Transport;
}

/** The transports of a process, the default first. */
export class Transports {
  private readonly byName: ReadonlyMap<string, NamedTransport>;
  /** Nothing can be published any more. */
  isClosed = false;

  constructor(readonly all: readonly NamedTransport[]) {
    this.byName = new Map(all.map((each) => [each.name, each]));
  }

  /** The one of this name, which is there. */
  of(name: string): Transport {
    return (this.byName.get(name) as NamedTransport).transport;
  }

  /** All but the default, whose log may be read. */
  get further(): readonly NamedTransport[] {
    return this.all.filter(({ name }) => name !== DEFAULT_TRANSPORT);
  }

  /** Side by side: each gets the subscriptions that it serves. */
  async start(subscriptions: readonly Subscription[]): Promise<void> {
    const started = this.all.map(({ name, transport }) =>
      transport.start({
        subscriptions: subscriptions.flatMap(({ transport: of, spec, isOnlyStored }) => (of === name && !isOnlyStored ? [spec] : [])),
      }),
    );
    // All of them have ended before anything is told: what is still connecting could not be closed.
    for (const outcome of await Promise.allSettled(started)) if (outcome.status === 'rejected') throw outcome.reason;
  }

  nudge(lanes: readonly number[]): void {
    for (const { transport } of this.all) transport.nudge(lanes);
  }

  get isBusy(): boolean {
    return this.all.some(({ transport }) => transport.isBusy);
  }

  /** The first half of a stop, of all of them: a handler may publish over any. */
  async drain(timeoutMs: number): Promise<void> {
    await Promise.all(this.all.map(({ transport }) => transport.drain(timeoutMs)));
  }

  /** The second half, once no user of any of them is left. */
  async close(timeoutMs: number): Promise<void> {
    this.isClosed = true;
    await Promise.all(this.all.map(({ transport }) => transport.close(timeoutMs)));
  }

  /** For the start-up line. */
  get description(): string {
    return this.all.map(({ name, kind }) => nameOfTransport(name, kind)).join(', ') || 'none';
  }
}

/** What serves a subscription. */
export interface Serving {
  readonly factory: TransportFactory;
  readonly route: { readonly transport: string; readonly addresses: readonly string[] | undefined };
}

/** Which transport serves a registration: the one that its message classes name. Undefined when that is told to `problem`. */
export function servingOf(
  transports: ReadonlyMap<string, TransportFactory>,
  { types, policies }: Registration,
  problem: (text: string) => void,
): Serving | undefined {
  const where = `subscription ${JSON.stringify(printable(policies.name))}`;
  const routes: { readonly type: string; readonly route: Route }[] = [];
  for (const { type, destination } of described(types)) {
    try {
      routes.push({ type, route: routeOf(transports, destination, type) });
    } catch (error) {
      for (const each of problemsOf(error)) problem(`${where}: ${each}`);
      return undefined;
    }
  }
  const names = [...new Set(routes.map(({ route }) => route.transport))];
  if (names.length > 1) {
    const each = routes.map(({ type, route }) => `${type} on ${route.transport}`).join(', ');
    problem(`${where}: its types are on several transports (${each}), and one serves a subscription; make a handler for each`);
    return undefined;
  }
  const { name, factory } = { name: names[0] ?? DEFAULT_TRANSPORT, factory: transports.get(names[0] ?? DEFAULT_TRANSPORT) };
  if (factory === undefined) return undefined;
  const isByType = routes.every(({ route }) => route.address === undefined);
  return { factory, route: { transport: name, addresses: isByType ? undefined : routes.map(({ type, route }) => route.address ?? type) } };
}

/** What a subscription is registered for: its types, and where they go if that is not the same on the default transport. */
export function registeredTypes({
  transport,
  spec: { types, addresses },
}: Pick<Subscription, 'transport'> & { readonly spec: Pick<Subscription['spec'], 'types' | 'addresses'> }): readonly string[] {
  return types.map((type, place) => {
    const address = addresses?.[place];
    return routeText({ transport, address: address === type ? undefined : address }, type);
  });
}

/** Whoever builds the subscription tells what is wrong with its classes. */
function described(types: Registration['types']): ReturnType<typeof describeMessages> {
  try {
    return describeMessages(types);
  } catch {
    return [];
  }
}
