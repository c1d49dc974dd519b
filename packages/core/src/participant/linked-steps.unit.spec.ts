import { buildSubscription, type UnregisteredSubscription } from '../delivery/subscription-builder.js';
import type { HandlerPolicies } from '../delivery/subscription-options.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { limitsFrom } from '../message/limits.js';
import { Command, Message, type MessageClass } from '../message/message.js';
import { linkSteps, undoProblems } from './linked-steps.js';
import { undoingError } from './undone-step.js';

class ChargeCard extends Command {}
Message('card.charge')(ChargeCard);
class RefundCard extends Command {}
Message('card.refund')(RefundCard);
class VoidCard extends Command {}
Message('card.void')(VoidCard);
class CardExpired {}
Message('card.expired')(CardExpired);

type Policies = Partial<HandlerPolicies<never>>;

const CAPABILITIES = {
  persistent: true,
  readsLog: true,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: true,
  renamedSubscriptions: true,
  replies: true,
  fencedOffsets: true,
};

function built(
  types: MessageClass,
  policies: Policies,
  { problems = [], hasStore = true }: { readonly problems?: string[]; readonly hasStore?: boolean } = {},
): UnregisteredSubscription {
  const context = {
    capabilities: CAPABILITIES,
    transport: 'test',
    hasStore,
    maxConcurrency: 20,
    undoRetentionMs: 1,
    limits: limitsFrom(),
    defaults: {},
    problem: (text: string) => void problems.push(text),
  };
  return buildSubscription(context, {
    types,
    handler: () => undefined,
    policies: { idempotent: true, ...policies } as HandlerPolicies<never>,
  }) as UnregisteredSubscription;
}

const charge = (policies: Policies = {}) => built(ChargeCard, { name: 'cards.charge', ...policies });
const refund = (policies: Policies = {}, types: MessageClass = RefundCard) =>
  built(types, { name: 'cards.refund', compensates: ChargeCard, ...policies });

/** All that is wrong with a handler of requests and what undoes them. */
function problemsOf(...subscriptions: readonly UnregisteredSubscription[]): readonly string[] {
  return undoProblems(subscriptions);
}

const WHERE = 'subscription "cards.refund": @Compensate(card.charge)';
const KEY = 'has @Idempotent({ key }), and one request is undone, not all that have its key: leave the key out';
const EXPIRED = "has onExpired: 'handle', and would handle what was undone longer ago than is remembered: leave onExpired out";
const FORGETFUL = 'needs @Idempotent(), so that it is remembered whether it ran';
const KAFKA = "has @Transactional({ protocol: 'kafka' }), which remembers nothing in a database: use @Idempotent() and @Transactional()";
const KAFKA_UNIT = { transactional: { protocol: 'kafka' }, idempotent: false } as Policies;

describe('a handler that undoes requests', () => {
  it('is fine beside the handler of those, whatever stands before whichever', () => {
    expect([...problemsOf(charge(), refund()), ...problemsOf(refund(), charge())]).toEqual([]);
  });

  it.each<[string, readonly UnregisteredSubscription[], readonly string[]]>([
    [
      'no handler of the command here',
      [refund()],
      [`${WHERE}: no handler here takes card.charge; the one that undoes it must be in its service, with the same store`],
    ],
    ['a handler of requests that remembers nothing', [charge({ idempotent: false }), refund()], [`${WHERE}: cards.charge ${FORGETFUL}`]],
    ['an undoing that remembers nothing', [charge(), refund({ idempotent: false })], [`${WHERE}: cards.refund ${FORGETFUL}`]],
    ['keys of their own', [charge({ idempotent: { key: () => 'k' } }), refund()], [`${WHERE}: cards.charge ${KEY}`]],
    ['what is too old handled', [charge(), refund({ idempotent: { onExpired: 'handle' } })], [`${WHERE}: cards.refund ${EXPIRED}`]],
    ['requests in Kafka transactions', [charge(KAFKA_UNIT), refund()], [`${WHERE}: cards.charge ${KAFKA}`]],
    ['an undoing in Kafka transactions', [charge(), refund(KAFKA_UNIT)], [`${WHERE}: cards.refund ${KAFKA}`]],
    [
      'less memory than attempts take',
      [charge({ idempotent: { ttl: '10m' } }), refund({ retry: { attempts: 20, backoff: { delay: '30s' } } })],
      [
        `${WHERE}: the ttl of cards.charge is 600000 ms, and the attempts of both can take 1383000 ms: raise the ttl, or lower the attempts`,
      ],
    ],
    [
      'the command that it undoes among its own',
      [charge({ compensates: ChargeCard })],
      ['subscription "cards.charge": @Compensate(card.charge): it takes card.charge itself; undo that in another handler'],
    ],
    ['an event', [charge(), refund({}, CardExpired)], [`${WHERE} needs commands, and card.expired is an event: extend Command`]],
    [
      'what undoes another one',
      [charge(), refund(), built(VoidCard, { name: 'cards.void', compensates: RefundCard })],
      ['subscription "cards.void": @Compensate(card.refund): cards.refund undoes card.charge itself, and what undoes is not undone'],
    ],
    [
      'requests that their own handler undoes',
      [charge({ compensate: { undo: () => undefined }, transactional: true }), refund()],
      [`${WHERE}: cards.charge is undone in two ways, here and by a @Compensate of its own (cards.charge.undo); choose one`],
    ],
    [
      'another handler that undoes the same',
      [charge(), refund(), built(VoidCard, { name: 'cards.void', compensates: ChargeCard })],
      [
        'card.charge is undone by 2 handlers: cards.refund, cards.void; a request is undone once, so let one handler take the commands of all',
      ],
    ],
  ])('is refused with %s', (_, subscriptions, problems) => {
    expect(problemsOf(...subscriptions)).toEqual(problems);
  });

  it('is refused for an event, for what is no message, and without a store', () => {
    const problems: string[] = [];
    const policies = { name: 'cards.refund', idempotent: false };
    built(RefundCard, { ...policies, compensates: CardExpired as never }, { problems });
    built(RefundCard, { ...policies, compensates: class Undeclared extends Command {} }, { problems });
    built(RefundCard, { ...policies, compensates: ChargeCard }, { problems, hasStore: false });
    expect(problems).toEqual([
      'subscription "cards.refund": @Compensate(card.expired) names an event, and only what a saga asks for is undone: name a command',
      expect.stringMatching(/^subscription "cards.refund": Undeclared .*@Message/),
      'subscription "cards.refund": @Compensate needs a store that remembers whether requests ran; add one to HoldfastModule.forRoot, such as store: typeorm()',
    ]);
  });
});

describe('handlers that are linked', () => {
  const numbered = [refund(), charge({ ordering: 'key' })].map((each, index) => ({ ...each, spec: { ...each.spec, id: index + 1 } }));
  const [undoing, step] = linkSteps(numbered);

  it('know each other: how the requests are remembered, and for how long', () => {
    const day = 86_400_000;
    expect(undoing?.undoes).toEqual({
      name: 'cards.charge',
      types: ['card.charge'],
      rule: { subscriptionId: 2, blocksKeys: true },
      ttlMs: 7 * day,
      keepMs: 8 * day,
    });
    expect([undoing?.isUndoable, step?.isUndoable, step?.undoes]).toEqual([false, true, undefined]);
  });

  it.each<[string, object, string | undefined]>([
    ['undoes nothing', {}, undefined],
    ['undoes a request of the handler', { compensates: 'r', compensatesType: 'card.charge' }, undefined],
    ['undoes a request of which nobody tells the type', { compensates: 'r' }, undefined],
    [
      'undoes a request of another handler',
      { compensates: 'r', compensatesType: 'stock.reserve', hasRun: true },
      'that is a stock.reserve',
    ],
  ])('take a message that %s, or say why not', (_, envelope, reason) => {
    const error = undoingError(undoing as never, envelope as never);
    expect(error?.message ?? 'taken').toMatch(reason ?? /^taken$/);
  });

  it('do not take a message that undoes a request where nobody keeps that from happening, unless it is known to have run', () => {
    const error = undoingError(step as never, { compensates: 'r' } as never);
    expect(isHoldfastError(error, 'HF_COMPENSATION_UNGUARDED') && error.message).toMatch(
      'cards.charge is to undo the request r (of unknown type) of the saga (not named), and does not undo such requests: it has no @Compensate, so it cannot know whether there is anything to undo.',
    );
    expect(undoingError(step as never, { compensates: 'r', hasRun: true } as never)).toBeUndefined();
  });
});
