import { ears } from '@holdfast-internal/test-support';
import { Command, Holdfast, Message, silentLogger } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { inMemory } from '@holdfast/transport-in-memory';
import { typeorm } from '@holdfast/typeorm';
import { DataSource, type DataSourceOptions } from 'typeorm';
import { SCHEMA_VERSION } from '../../../packages/typeorm/src/postgres/schema/migrations.js';
import { openScene, OrderPlaced, type Scene, sentenceOf } from './support/scene.js';

class Undeclared {}

@Message('shop.any')
class Anything {}

@Message('shop.any')
class Anyhow {}

@Message('shop.charge')
class Charge extends Command {}

@Message('shop.refund')
class Refund extends Command {}

const handler = async () => undefined;
const billing = { name: 'billing', transactional: true } as const;

const hear = ears();

let scene: Scene;
beforeEach(async () => {
  scene = await openScene();
});
afterEach(() => scene.close());

/** What a start says is wrong, one sentence each. */
async function problemsOf(bus: Holdfast): Promise<readonly string[]> {
  try {
    await bus.start();
  } catch (error) {
    const { code, details } = error as { code: string; details: { problems: string[] } };
    expect(code).toBe('HF_CONFIG_INVALID');
    return details.problems;
  }
  throw new Error('nothing was refused');
}

const DURATION =
  "Give milliseconds as a number, or a whole number with a unit such as '250ms', '30s', '15m', '6h' or '7d', up to a hundred years.";

type Start = readonly [what: string, make: () => Holdfast, problems: readonly string[]];

const STARTS: readonly Start[] = [
  [
    'a subscription name twice',
    () => scene.bus().on(OrderPlaced, handler, billing).on(Anything, handler, billing),
    ['the subscription name "billing" is used by 2 handlers; give each its own'],
  ],
  [
    'a command with two handlers, and a limit of requests that lets none through',
    () => scene.bus({ requestLimit: 0 }).on([Charge, Refund], handler, billing).on(Charge, handler, { name: 'cards' }),
    [
      'requestLimit is 0; use a whole number from 1',
      'the command shop.charge has 2 handlers: billing, cards; a command has one owner, so keep one',
    ],
  ],
  [
    'negative and malformed times, all of them told together',
    () =>
      scene
        .bus({ stopTimeout: -1, retention: '5 years' as never })
        .on(OrderPlaced, handler, { ...billing, timeout: -5, retry: { attempts: 0, backoff: { delay: -1, factor: 0.5 } } })
        .on(Anything, handler, { name: 'audit', transactional: { timeout: '-1s' as never }, idempotent: { ttl: 'soon' as never } }),
    [
      `stopTimeout is not a length of time: -1. ${DURATION}`,
      `retention is not a length of time: 5 years. ${DURATION}`,
      'subscription "billing": attempts is 0; it counts the first attempt, so use a whole number from 1',
      `subscription "billing": backoff.delay is not a length of time: -1. ${DURATION}`,
      'subscription "billing": backoff.factor is 0.5; a delay may not shrink, so use at least 1',
      `subscription "billing": timeout is not a length of time: -5. ${DURATION}`,
      `subscription "audit": transactional.timeout is not a length of time: -1s. ${DURATION}`,
      `subscription "audit": ttl is not a length of time: soon. ${DURATION}`,
    ],
  ],
  [
    'a handler for two classes of one type',
    () => scene.bus().on([Anything, Anyhow] as never, handler as never, billing as never),
    [
      'subscription "billing": Two classes of one subscription declare the type shop.any: Anything and Anyhow. Name only one of them, or make two subscriptions.',
    ],
  ],
  [
    'a class that is no message',
    () => scene.bus().on(Undeclared as never, handler as never, billing as never),
    [
      `subscription "billing": Undeclared is not declared as a message. Put @Message('<type>') on the class itself; a declaration is not inherited.`,
    ],
  ],
  [
    'batchSize without transactional',
    () => scene.bus().on(Anything, handler, { name: 'billing', batchSize: 5 }),
    ['subscription "billing": batchSize is 5 and needs @Transactional, because a batch is one commit; add it, or leave batchSize out'],
  ],
  [
    'more concurrency than connections',
    () => scene.bus().on(Anything, handler, { ...billing, concurrency: 50 }),
    [`subscription "billing": concurrency is 50, and the pool has 7 connections for handlers; lower it, or raise the pool's size`],
  ],
  [
    'a pool that is too small to listen, keep house and work',
    () => scene.bus({ store: typeorm({ dataSource: new DataSource({ ...scene.dataSource.options, poolSize: 2 } as DataSourceOptions) }) }),
    [
      "the store's pool has no connection left for handlers: one listens for other processes and one keeps house; raise the pool's size, to 4 or more",
    ],
  ],
  [
    'a DataSource that nobody has initialised',
    () => scene.bus({ store: typeorm({ dataSource: new DataSource(scene.dataSource.options) }) }),
    ['the DataSource default is not initialized; await dataSource.initialize() before the start'],
  ],
  [
    'words that are none',
    () => scene.bus().on(Anything, handler, { ...billing, ordering: 'keys', from: 'yesterday' } as never),
    [`subscription "billing": from is yesterday; use 'now' or 'earliest'`, `subscription "billing": ordering is keys; use 'none' or 'key'`],
  ],
  [
    'lanes that cannot be',
    () => scene.bus({ store: typeorm({ dataSource: scene.dataSource, lanes: 0 }) }),
    ['typeorm({ lanes }) is 0; use a whole number from 1 to 64'],
  ],
  [
    'a schema that is no name',
    () => scene.bus({ store: typeorm({ dataSource: scene.dataSource, schema: 'a"; drop table x; --' }) }),
    ['schema "a\\"; drop table x; --" is not a plain PostgreSQL name: use lower-case letters, digits and _, at most 63'],
  ],
  [
    'no store where one is needed',
    () => scene.bus({ store: undefined }).on(Anything, handler, billing),
    [
      'the transport database needs a store; add one, such as store: typeorm()',
      'subscription "billing": @Transactional needs a store; add one to HoldfastModule.forRoot, such as store: typeorm()',
    ],
  ],
  [
    'functions that were not called',
    () => scene.bus({ transport: database as never, store: typeorm as never }),
    [
      'transport is not a transport; call the function, as in transport: database()',
      'store is not a store; call the function, as in store: typeorm()',
    ],
  ],
  [
    'a promise the transport cannot keep',
    () =>
      new Holdfast({ service: 'shop', transport: inMemory() }, { logger: silentLogger }).on(Anything, handler, {
        name: 'billing',
        from: 'earliest',
      }),
    [`subscription "billing": from: 'earliest' is not possible with in-memory, which keeps nothing; leave it out`],
  ],
  [
    'a refusal for which nobody sees the writes',
    () => new Holdfast({ service: 'shop', transport: inMemory(), outsideTransaction: 'throw' }, { logger: silentLogger }),
    ["outsideTransaction is 'throw' and there is no store to see the writes; add one, such as store: typeorm(), or leave it out"],
  ],
  [
    'limits out of bounds',
    () => scene.bus({ limits: { bodyBytes: -1, headers: 1e9 } }),
    [
      'limits.bodyBytes must be a whole number from 1 to 268435456, it is -1',
      'limits.headers must be a whole number from 1 to 1024, it is 1000000000',
    ],
  ],
];

it.each(STARTS)('a start with %s is refused, and touches nothing', async (_, make, problems) => {
  expect(await problemsOf(make())).toEqual(problems);
  expect(await scene.look(`select relname from pg_class where relname like 'holdfast%'`)).toEqual([]);
});

it('a database behind its schema is refused when it may not be migrated, and one ahead always', async () => {
  const start = (migrate: boolean) => () => scene.bus({ migrate }).on(Anything, handler, billing).start();
  expect(await sentenceOf(start(false))).toBe(
    `HF_SCHEMA_BEHIND: The holdfast tables have version 0, this version of Holdfast needs ${SCHEMA_VERSION}. Run holdfast migrate of the package @holdfast/cli before starting, or set migrate: true.`,
  );
  await scene.bus().start();
  await scene.look(`update holdfast_meta set value = '99' where name = 'version'`);
  for (const migrate of [true, false]) {
    expect(await sentenceOf(start(migrate))).toBe(
      `HF_SCHEMA_AHEAD: The holdfast tables have version 99, this version of Holdfast only knows ${SCHEMA_VERSION}. Start a newer version of Holdfast: the tables are never migrated back.`,
    );
  }
});

it('a start without its tables is refused, and nothing else is said', async () => {
  const said: string[] = [];
  const note = (message: string) => void said.push(message);
  const logger = { ...silentLogger, warn: note, error: note };
  const bus = scene.bus({ migrate: false }, logger).on(Anything, handler, billing);
  await expect(bus.start()).rejects.toMatchObject({ code: 'HF_SCHEMA_BEHIND' });
  await bus.stop();
  expect(said).toEqual([]);
});

it('a subscription that vanished is refused with three answers, each of which helps, and told', async () => {
  const missing = hear('subscription:missing');
  const first = scene.bus().on(Anything, handler, billing);
  await first.start();
  await first.stop();
  expect(await sentenceOf(() => scene.bus().start())).toBe(
    "HF_SUBSCRIPTION_MISSING: This service has a subscription named billing, and neither this version nor any running node has a handler for it. If it was renamed, write formerly: 'billing' on the new one; if it is meant to be gone, retire it: holdfast subscriptions retire billing; if not, roll back to the version that had it.",
  );
  expect(missing).toEqual([{ subscription: 'billing' }]);
  const renamed = scene.bus().on(Anything, handler, { ...billing, name: 'charging', formerly: 'billing' });
  await renamed.start();
  await renamed.subscriptions.list();
  await renamed.stop();
  const back = scene.bus().on(Anything, handler, { ...billing, name: 'charging' });
  await back.start();
  await back.stop();
  const without = scene.bus();
  await scene.bus().subscriptions.retire('charging', { by: 'test', reason: 'gone' });
  await without.start();
});
