import { attributesOf } from '../message/attributes.js';
import { limitsFrom } from '../message/limits.js';
import { Message, type StandardSchema } from '../message/message.js';
import { silentLogger } from '../monitoring/logger.js';
import { systemClock } from '../time/clock.js';
import { systemRandom } from '../time/random.js';
import { FailurePause } from './failure-pause.js';
import type { Incoming } from './intake.port.js';
import { type BuildContext, buildSubscription } from './subscription-builder.js';
import type { Subscription } from './subscription.js';
import type { HandlerPolicies } from './subscription-options.js';

class Placed {}
/** Asks somebody who never answers, where the data says so. */
const schema: StandardSchema<Placed> = {
  '~standard': {
    version: 1,
    vendor: 'test',
    validate: (value) => ((value as { hangs?: true }).hangs ? new Promise<never>(() => undefined) : { value: value as Placed }),
  },
};
Message('order.placed', { schema })(Placed);

const ALL = {
  persistent: true,
  readsLog: true,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: false,
  renamedSubscriptions: true,
  replies: true,
};
/** What never holds anything back. */
export const NEVER_PAUSING = new FailurePause('orders.book', undefined, { clock: systemClock, random: systemRandom, logger: silentLogger });

const DAY_MS = 86_400_000;
const BODIES = { ok: '{}', old: '{}', unreadable: '{', hanging: '{"hangs":true}' };
/** A subscription of one handler, with the number 1. */
export function subscriptionOf(
  handler: (id: string) => unknown,
  policies: Partial<HandlerPolicies<never>>,
  given: Partial<BuildContext> = {},
): Subscription {
  const problems: string[] = [];
  const context = {
    capabilities: ALL,
    transport: 'test',
    hasStore: true,
    maxConcurrency: 7,
    limits: limitsFrom(),
    undoRetentionMs: 90 * 86_400_000,
    defaults: {},
    problem: (text: string) => problems.push(text),
    ...given,
  };
  const named = { name: 'orders.book', ...policies } as HandlerPolicies<never>;
  const built = buildSubscription(context, { types: Placed, handler: (_message, { id }) => handler(id), policies: named });
  if (built === undefined || problems.length > 0) throw new Error(problems.join());
  return { ...built, spec: { ...built.spec, id: 1 } };
}

/** A message of the log: readable, unreadable, of which its schema never says whether it is, or too old to be proven new. */
export function messageOf(id: string, key: string, kind: 'ok' | 'unreadable' | 'hanging' | 'old' = 'ok'): Incoming {
  const time = new Date();
  const envelope = {
    id,
    source: 'shop',
    type: 'order.placed',
    version: 1,
    key,
    time,
    headers: {},
    correlationId: id,
    kind: 'event',
  } as const;
  return {
    type: 'order.placed',
    attributes: attributesOf({ ...envelope, contentType: 'application/json', body: new Uint8Array() }),
    body: Buffer.from(BODIES[kind]),
    place: `0/${id}`,
    lane: 0,
    writtenAt: time,
    ageMs: kind === 'old' ? 30 * DAY_MS : 0,
    attempts: 0,
    isRedelivery: false,
    hasConsent: false,
    deliveryId: undefined,
  };
}
