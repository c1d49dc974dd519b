import { printable, type SubscriptionSpec } from '@holdfast/core';

/**
 * Where messages of other producers come from, and the subscription that handles them. Exchange and queue belong to somebody else: they have to be
 * there, and are not made.
 */
export type ForeignSource = ForeignExchange | ForeignQueue;

/** An exchange: the queue of the subscription is bound to it too. */
export interface ForeignExchange {
  /** Name of a subscription of this service. */
  readonly subscription: string;
  readonly exchange: string;
  /** What its queue is bound with; default '#', which is everything for a topic exchange and a fanout exchange. */
  readonly routingKey?: string;
  readonly queue?: undefined;
}

/** A queue: the subscription takes messages from it, beside its own. Whoever else takes from it gets the others. */
export interface ForeignQueue {
  /** Name of a subscription of this service. */
  readonly subscription: string;
  readonly queue: string;
  readonly exchange?: undefined;
  readonly routingKey?: undefined;
}

/** What is wrong with the option `foreign`, as far as it can be told without the subscriptions. */
export function problemsOf(foreign: unknown): readonly string[] {
  if (!Array.isArray(foreign))
    return [`rabbitmq({ foreign }) is ${printable(foreign)}; give a list of { subscription, exchange } or { subscription, queue }`];
  const queues = foreign.flatMap((source: ForeignSource | undefined) => source?.queue ?? []);
  const taken = queues.filter((queue, index) => queues.indexOf(queue) < index);
  return [
    ...foreign.filter((source) => !isSource(source)).map((source) => `rabbitmq({ foreign }) has ${printable(source)}; ${SHAPE}`),
    ...new Set(
      taken.map((queue) => `rabbitmq({ foreign }) has the queue ${printable(queue)} twice; each of its messages would go to one of them`),
    ),
  ];
}

/** What is wrong with it, going by the subscriptions of this service. */
export function strangersIn(foreign: readonly ForeignSource[], subscriptions: readonly SubscriptionSpec[]): readonly string[] {
  const known = subscriptions.map(({ name }) => printable(name)).join(', ') || 'none';
  return [...new Set(foreign.map(({ subscription }) => subscription))].flatMap((name) => {
    const spec = subscriptions.find((each) => each.name === name);
    const named = `rabbitmq({ foreign }) names the subscription ${printable(name)}`;
    if (spec === undefined) return `${named}, and this service has ${known}`;
    return spec.ordering === 'key'
      ? `${named}, which has ordering: 'key'; what other producers send has no order, so give it a subscription of its own`
      : [];
  });
}

const SHAPE = 'give the name of a subscription, and either exchange (with a routingKey if you like) or queue';

function isSource(source: unknown): source is ForeignSource {
  if (typeof source !== 'object' || source === null) return false;
  const { subscription, exchange, routingKey, queue } = source as Record<keyof ForeignExchange, unknown>;
  const isName = (value: unknown) => typeof value === 'string' && value !== '';
  const isOne = isName(exchange) ? queue === undefined : exchange === undefined && isName(queue) && routingKey === undefined;
  return isName(subscription) && isOne && (routingKey === undefined || typeof routingKey === 'string');
}
