import { Message } from '../message/message.js';
import { limitsFrom } from '../message/limits.js';
import type { TransportCapabilities } from '../transport/transport.port.js';
import { buildSubscription } from './subscription-builder.js';
import type { HandlerPolicies } from './subscription-options.js';

class Placed {}
Message('order.placed')(Placed);
class PlacedAgain {}
Message('order.placed')(PlacedAgain);
class Undeclared {}

const ALL: TransportCapabilities = {
  persistent: true,
  readsLog: true,
  sharedSubscriptions: true,
  partitionedDelivery: true,
  fromEarliest: true,
  withoutStore: false,
  renamedSubscriptions: true,
  replies: true,
};

function build(
  policies: Partial<HandlerPolicies<never>>,
  given: { types?: never; capabilities?: Partial<TransportCapabilities>; hasStore?: boolean; holdLimitMs?: number } = {},
) {
  const problems: string[] = [];
  const subscription = buildSubscription(
    {
      capabilities: { ...ALL, ...given.capabilities },
      transport: 'test',
      hasStore: given.hasStore ?? true,
      dataSource: 'orders',
      holdLimitMs: given.holdLimitMs,
      maxConcurrency: 7,
      limits: limitsFrom(),
      undoRetentionMs: 90 * 86_400_000,
      defaults: {},
      problem: (text) => problems.push(text),
    },
    { types: given.types ?? Placed, handler: () => undefined, policies: { name: 'orders.book', ...policies } as HandlerPolicies<never> },
  );
  return { subscription, problems };
}

describe('a handler', () => {
  it('gets the defaults', () => {
    const { subscription, problems } = build({});
    expect(problems).toEqual([]);
    expect(subscription).toMatchObject({
      timeoutMs: 30_000,
      onDeadLetter: 'block',
      unit: undefined,
      idempotency: undefined,
      spec: { name: 'orders.book', types: ['order.placed'], from: 'now', ordering: 'none', concurrency: 10, batchSize: 1 },
    });
  });

  it('may have more in work than there are connections where it takes none', () => {
    const { subscription, problems } = build({ concurrency: 50 });
    expect(problems).toEqual([]);
    expect(subscription?.spec.concurrency).toBe(50);
  });

  it.each<[string, Partial<HandlerPolicies<never>>, RegExp]>([
    ['no name', { name: '' }, /has no name; give it one that will survive refactoring/],
    ['a name with blanks', { name: 'my orders' }, /must be printable ASCII without blanks/],
    ['an order without idempotency', { ordering: 'key' }, /ordering: 'key' needs @Idempotent/],
    ['a batch without a transaction', { batchSize: 10 }, /batchSize is 10 and needs @Transactional, because a batch is one commit; add it/],
    ['a batch of nothing', { batchSize: 0, transactional: true }, /batchSize is 0; use a whole number from 1/],
    ['no concurrency', { concurrency: 0 }, /concurrency is 0; use a whole number from 1/],
    [
      'more concurrency than connections',
      { concurrency: 8, transactional: true },
      /concurrency is 8, and the pool has 7 connections for handlers; lower it, or raise the pool's size/,
    ],
    ['a negative time-out', { timeout: -1 }, /timeout is not a length of time: -1/],
    ['a malformed ttl', { idempotent: { ttl: '7 days' as never } }, /ttl is not a length of time: .*7 days/],
    ['no attempts', { retry: 0 }, /attempts is 0/],
    ['an order there is not', { ordering: 'keys' as never }, /ordering is keys; use 'none' or 'key'/],
    ['a start there is not', { from: 'yesterday' as never }, /from is yesterday; use 'now' or 'earliest'/],
    ['a dead-letter rule without order', { onDeadLetter: 'skip' as never }, /onDeadLetter: 'skip' is about keys and needs ordering: 'key'/],
    ['a former name that is none', { formerly: 5 as never }, /formerly names 5/],
    [
      'a negative unit',
      { transactional: { timeout: -1, retries: -1 } },
      /retries is -1;[\s\S]*transactional.timeout is not a length of time: -1/,
    ],
    [
      'an isolation there is not',
      { transactional: { isolation: 'SNAPSHOT' as never } },
      /transactional.isolation is SNAPSHOT; use 'READ UNCOMMITTED'/,
    ],
    [
      'a unit of another database',
      { transactional: { dataSource: 'reports' } },
      /dataSource is 'reports', .* consumed in 'orders'; leave @Transactional out and call a method with @Transactional\({ dataSource: 'reports' }\)/,
    ],
    ['a unit that may not write', { transactional: { readOnly: true } }, /transactional.readOnly is true, .*; leave readOnly out/],
    ...(['MANDATORY', 'NEVER', 'SUPPORTS', 'NOT_SUPPORTED', 'requiresNew'] as const).map(
      (propagation): [string, Partial<HandlerPolicies<never>>, RegExp] => [
        `the propagation ${propagation}`,
        { transactional: { propagation: propagation as never } },
        new RegExp(`transactional.propagation is ${propagation}, .*; leave propagation out, or @Transactional`),
      ],
    ),
    ...(['REPEATABLE READ', 'SERIALIZABLE'] as const).map((isolation): [string, Partial<HandlerPolicies<never>>, RegExp] => [
      `an order and the isolation ${isolation}`,
      { ordering: 'key', idempotent: true, transactional: { isolation } },
      new RegExp(`ordering: 'key' is not possible with transactional.isolation '${isolation}', .*; leave the isolation out`),
    ]),
  ])('with %s is refused with the value and the fix', (_what, policies, sentence) => {
    expect(build(policies).problems.join('\n')).toMatch(sentence);
  });

  it.each<[Partial<HandlerPolicies<never>>['transactional']]>([
    [{ dataSource: 'orders', readOnly: false }],
    [{ propagation: 'REQUIRED' }],
    [{ propagation: 'REQUIRES_NEW' }],
    [{ propagation: 'NESTED' }],
  ])('may say what its unit is anyway: %j', (transactional) => {
    expect(build({ transactional }).problems).toEqual([]);
  });

  it('for two classes of one type is refused', () => {
    expect(build({}, { types: [Placed, PlacedAgain] as never }).problems.join()).toMatch(
      /Two classes of one subscription declare the type order\.placed: Placed and PlacedAgain/,
    );
  });

  it('for an undeclared class is refused', () => {
    expect(build({}, { types: Undeclared as never }).problems.join()).toMatch(/Undeclared/);
  });

  it('is refused what its transport cannot keep', () => {
    expect(build({ from: 'earliest' }, { capabilities: { fromEarliest: false } }).problems.join()).toMatch(
      /from: 'earliest' is not possible with test/,
    );
    expect(build({ ordering: 'key', idempotent: true }, { capabilities: { partitionedDelivery: false } }).problems.join()).toMatch(
      /ordering: 'key' is not possible with test/,
    );
    expect(build({ formerly: 'orders.take' }, { capabilities: { renamedSubscriptions: false } }).problems.join()).toMatch(
      /formerly is not possible with test, .*; keep the old name/,
    );
  });

  it('is refused what needs a store when there is none', () => {
    const { problems } = build({ transactional: true, idempotent: true }, { hasStore: false });
    expect(problems).toHaveLength(2);
    expect(problems.join()).toMatch(/add one to HoldfastModule.forRoot, such as store: typeorm\(\)/);
  });

  it('is told everything that is wrong at once', () => {
    expect(build({ name: '', batchSize: 0, timeout: -1, retry: 0 }).problems.length).toBeGreaterThanOrEqual(4);
  });

  it.each<[string, Partial<HandlerPolicies<never>>, string]>([
    ['a transaction', { transactional: true }, '@Transactional needs a store'],
    ['an inbox', { idempotent: true }, '@Idempotent needs a store that remembers'],
    ['an order', { ordering: 'key' }, "ordering: 'key' needs a store, where what waits behind a failed message is kept"],
    ['a new name', { formerly: 'orders.before' }, 'formerly needs a store that knows the names there were'],
  ])('without a store cannot have %s', (_, policies, text) => {
    expect(build(policies, { hasStore: false }).problems.join('\n')).toContain(text);
  });
});

describe('a handler with a compensation', () => {
  const compensate = { undo: () => undefined };
  const KEPT: Partial<HandlerPolicies<never>> = { compensate, transactional: true, idempotent: true };

  it('knows what undoes it', () => {
    const { subscription, problems } = build(KEPT);
    expect(problems).toEqual([]);
    expect(subscription).toMatchObject({ undo: { name: 'orders.book.undo' }, isOnlyStored: false });
    expect(build({ transactional: true }).subscription?.undo).toBeUndefined();
  });

  it.each<[string, Partial<HandlerPolicies<never>>, string]>([
    ['outside any transaction', { transactional: false }, '@Compensate needs @Transactional, because what is done'],
    ['that repeats', { idempotent: false }, '@Compensate needs @Idempotent, because what a repeat does'],
    ['that knows repeats by a key', { idempotent: { key: () => 'k' } }, '@Compensate is not possible with @Idempotent({ key })'],
    ['that handles what may be a repeat', { idempotent: { onExpired: 'handle' } }, "@Compensate is not possible with onExpired: 'handle'"],
    [
      'that knows repeats for longer than aborts',
      { idempotent: { ttl: '91d' } },
      'is 7862400000 ms, and aborted sagas are remembered for 7776000000 ms',
    ],
    [
      'in a transaction of Kafka',
      { transactional: { protocol: 'kafka' } },
      "@Compensate is not possible with transactional.protocol 'kafka'",
    ],
    [
      'that is undone in a transaction of Kafka',
      { compensate: { ...compensate, transactional: { protocol: 'kafka' } as never } },
      "@Compensate is not possible with transactional.protocol 'kafka'",
    ],
    ['that undoes requests itself', { compensates: Placed as never }, 'and what undoes is not undone: leave one of them out'],
    ['without a function', { compensate: { undo: 'cancel' as never } }, 'compensate.undo is cancel; give a function'],
  ])('%s is refused', (_, policies, text) => {
    expect(build({ ...KEPT, ...policies } as Partial<HandlerPolicies<never>>).problems.join('\n')).toContain(text);
  });

  it('without a store is refused', () => {
    expect(build(KEPT, { hasStore: false }).problems.join('\n')).toContain('@Compensate needs a store, where it is recorded');
  });
});

describe('a message that a broker takes back from whoever holds it too long', () => {
  const policies = (attempts: number, maxDelay: number) =>
    ({ timeout: 100, retry: { attempts, backoff: { delay: 50, factor: 2, maxDelay, jitter: 'full' } } }) as const;

  it('is in hand for all its attempts without a store: more than there is time for is refused, and as much as there is is not', () => {
    // 4 × 100 ms, and 50 + 100 + 150 ms between them.
    expect(build(policies(4, 150), { hasStore: false, holdLimitMs: 700 }).problems).toEqual([]);
    const { problems } = build(policies(4, 150), { hasStore: false, holdLimitMs: 699 });
    expect(problems).toEqual([
      'subscription "orders.book": without a store the message is in hand for all its attempts: 4 of 100 ms and their waits are 700 ms, and with test a message may be in work for 699 ms; make that shorter, or raise the limit on both sides',
    ]);
    expect(build(policies(1e9, 150), { hasStore: false, holdLimitMs: 1e9 }).problems).toHaveLength(1);
    expect(build(policies(1e9, 150), { hasStore: false }).problems).toEqual([]);
  });

  it('is in hand for one attempt with a store', () => {
    expect(build(policies(100, 150), { holdLimitMs: 100 }).problems).toEqual([]);
    expect(build({ timeout: 101 }, { holdLimitMs: 100 }).problems.join()).toContain(
      'timeout is 101 ms, and with test a message may be in work for 100 ms',
    );
  });

  it('is in hand for as many attempts as its batch may have messages, each as long as its time-out or that of its transaction', () => {
    const batch = { timeout: 100, batchSize: 10 };
    expect(build({ ...batch, transactional: true }, { holdLimitMs: 1000 }).problems).toEqual([]);
    expect(build({ ...batch, transactional: true }, { holdLimitMs: 999 }).problems).toEqual([
      'subscription "orders.book": timeout is 100 ms, for each of 10 messages of a batch, and with test a message may be in work for 999 ms; make that shorter, or raise the limit on both sides',
    ]);
    const short = { ...batch, transactional: { timeout: '50ms' } } as const;
    expect(build(short, { holdLimitMs: 500 }).problems).toEqual([]);
    expect(build(short, { holdLimitMs: 499 }).problems).toHaveLength(1);
  });

  it('waits between two attempts at most so long that all of them have their time, whatever a function says', () => {
    const given = { timeout: 100, retry: { attempts: 4, backoff: () => '1d' as const } };
    const { subscription, problems } = build(given, { hasStore: false, holdLimitMs: 1000 });
    expect(problems).toEqual([]);
    expect(subscription?.longestWaitMs).toBe(200);
    expect(build(given, { hasStore: false }).subscription?.longestWaitMs).toBe(Number.POSITIVE_INFINITY);
  });
});
