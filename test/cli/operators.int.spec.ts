import { Holdfast, Message, NonRetryableError, silentLogger } from '@holdfast/core';
import { database as overDatabase } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import { DataSource } from 'typeorm';
import { CallingProgram, fixture, type Outcome, runHoldfast, withClient } from './support.js';

// Foreign text that would clear the screen and set its title.
const HOSTILE = '\u001b[2J\u001b]0;owned\u0007';

@Message('order.placed')
class OrderPlaced {
  constructor(readonly orderId: string) {}
}

let database: TestDatabase;
let dataSource: DataSource;
let program: CallingProgram;

beforeAll(async () => {
  database = await createTestDatabase();
  dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  await makeDeadLetters();
  program = new CallingProgram({ DATABASE_URL: database.url, HOLDFAST_SERVICE: 'billing' });
});

afterAll(async () => {
  await program?.stop();
  await dataSource?.destroy();
  await database?.drop();
});

/** A service with two subscriptions ran, failed on four messages, and has stopped. */
async function makeDeadLetters(): Promise<void> {
  const bus = new Holdfast(
    { service: 'billing', transport: overDatabase(), store: typeorm({ dataSource, lanes: 4 }) },
    { logger: silentLogger },
  );
  bus.on(OrderPlaced, () => undefined, { name: 'billing.notice' });
  const refuse = ({ orderId }: OrderPlaced) => {
    if (orderId === 'hostile') throw new NonRetryableError(HOSTILE);
    throw Object.assign(new NonRetryableError('card refused'), { code: 'CARD' });
  };
  bus.on(OrderPlaced, refuse, { name: 'billing.charge' });
  await bus.start();
  for (const orderId of ['one', 'two', 'three', 'hostile']) await bus.bus.publish(new OrderPlaced(orderId), { key: orderId });
  await eventually(async () => (await bus.deadLetters.list()).items.length === 4, Boolean);
  await bus.stop();
}

function run(...args: string[]): Promise<Outcome> {
  return program.run([...args, '-d', fixture('named.cjs')]);
}

async function letters(): Promise<readonly { id: string; message: { key: string } }[]> {
  const { out } = await run('dead-letters', 'list', '--json');
  return JSON.parse(out).items;
}

async function idOf(key: string): Promise<string> {
  return (await letters()).find(({ message }) => message.key === key)?.id as string;
}

function audit(): Promise<string[]> {
  return withClient(database.url, async (client) => {
    const { rows } = await client.query('select actor, action, target, reason from holdfast_audit order by id');
    return rows.map(({ actor, action, target, reason }) => `${actor} ${action} ${target} ${reason}`);
  });
}

describe('holdfast outbox', () => {
  beforeEach(() =>
    withClient(database.url, async (client) => {
      await client.query('truncate holdfast_parked');
      await client.query(
        `insert into holdfast_parked (lane, row_id, written_at, type, key, attributes, body, reason, error, next_attempt_at)
         select 1, n, now(), 'card.charge', 'k' || n, '{}', '\\x7b7d', 'unroutable', 'no queue takes it', now() + interval '1 hour' from generate_series(1, 3) n`,
      );
    }),
  );

  const parkedIds = async () =>
    JSON.parse((await run('outbox', 'parked', '--json')).out).items.map(({ id }: { id: string }) => id) as string[];

  it('tells what waits and who sends which lane', async () => {
    const { code, out } = await run('outbox', 'show');
    expect(code).toBe(0);
    expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['BACKLOG', 'OLDEST', 'SCHEDULED', 'PARKED', 'HALF MESSAGES'],
      ['0', '0ms', '0', '3', '0'],
      [''],
      ['LANE', 'BACKLOG', 'SENT BY'],
      ...[0, 1, 2, 3].map((lane) => [String(lane), '0', '-']),
      [''],
    ]);
  });

  it('lists what is parked, makes it due, and gives it up', async () => {
    const { out } = await run('outbox', 'parked', '--key', 'k2');
    expect(out).toMatch(/card\.charge +k2 +unroutable +0 +no queue takes it/);
    expect((await run('outbox', 'resume', '--type', 'card.charge')).out).toBe('3 parked messages are due now.\n');
    const [first] = await parkedIds();
    expect((await run('outbox', 'discard', first as string, '--reason', 'a test')).out).toBe('1 parked message is discarded.\n');
    expect(await parkedIds()).toHaveLength(2);
    expect(await audit()).toContain(`tester discard parked ${first} a test`);
  });

  it('refuses an id that is none, both an id and a filter, and neither of them', async () => {
    expect(await run('outbox', 'discard', '999999', '--reason', 'a test')).toMatchObject({
      code: 1,
      error: expect.stringContaining('HF_PARKED_UNKNOWN'),
    });
    expect(await run('outbox', 'resume', '999999', '--key', 'k')).toMatchObject({ code: 2 });
    expect(await run('outbox', 'resume')).toMatchObject({ code: 2, error: expect.stringContaining('--type') });
  });
});

describe('holdfast subscriptions', () => {
  it('lists them with their state and their dead letters', async () => {
    const { code, out, error } = await run('subscriptions', 'list');
    expect([code, error]).toEqual([0, '']);
    expect(out.split('\n').map((line) => line.split(/ {2,}/))).toEqual([
      ['NAME', 'STATE', 'BACKLOG', 'OLDEST', 'DEAD LETTERS', 'TYPES'],
      ['billing.charge', 'missing', '0', '-', '4', 'order.placed'],
      ['billing.notice', 'missing', '0', '-', '0', 'order.placed'],
      [''],
    ]);
    expect(JSON.parse((await run('subscriptions', 'list', '--json')).out)).toMatchObject([
      { name: 'billing.charge', deadLetters: 4 },
      { name: 'billing.notice' },
    ]);
    expect((await run('subscriptions', 'list', '--service', 'nobody')).out).toBe('The service nobody has no subscriptions.\n');
  });

  it('pauses, resumes and retires one, and writes down who did it', async () => {
    expect(await run('subscriptions', 'pause', 'billing.notice', '--by', 'ada', '--reason', 'mail server down')).toEqual({
      code: 0,
      out: 'billing.notice is paused.\n',
      error: '',
    });
    expect((await run('subscriptions', 'list')).out).toMatch(/billing\.notice +paused/);
    expect((await run('subscriptions', 'resume', 'billing.notice')).code).toBe(0);
    expect((await run('subscriptions', 'retire', 'billing.notice', '--by', 'ada')).out).toBe('billing.notice is retired.\n');
    expect((await run('subscriptions', 'list')).out).toMatch(/billing\.notice +retired/);
    expect((await audit()).slice(-3)).toEqual([
      'ada pause billing.notice mail server down',
      'tester resume billing.notice null',
      'ada retire billing.notice null',
    ]);
  });

  it('names a subscription there is not, and one that is served', async () => {
    const unknown = await run('subscriptions', 'retire', 'billing.gone');
    expect(unknown).toEqual({ code: 1, out: '', error: expect.stringContaining('There is no subscription named billing.gone.') });
    await withClient(database.url, (client) =>
      client.query(`with node as (insert into holdfast_node (id, service) values (gen_random_uuid(), 'billing') returning id)
        update holdfast_subscription set served_by = array[(select id from node)] where name = 'billing.charge'`),
    );
    const served = await run('subscriptions', 'retire', 'billing.charge');
    expect(served.error).toContain('(HF_SUBSCRIPTION_IN_USE)');
    expect(served.code).toBe(1);
    await withClient(database.url, (client) => client.query('delete from holdfast_node'));
  });
});

describe('holdfast dead-letters', () => {
  it('lists them, newest first, a page at a time', async () => {
    const { code, out } = await run('dead-letters', 'list');
    expect(code).toBe(0);
    expect(out).toMatch(/^ID +DEAD SINCE +SUBSCRIPTION +TYPE +KEY +ATTEMPTS +CODE +ERROR\n/);
    expect(out.trim().split('\n')).toHaveLength(5);

    const first = await run('dead-letters', 'list', '--limit', '3');
    const cursor = JSON.parse(/--cursor (".*")/.exec(first.error)?.[1] as string);
    const second = await run('dead-letters', 'list', '--limit', '3', '--cursor', cursor);
    expect([first, second].map((page) => page.out.trim().split('\n').length - 1)).toEqual([3, 1]);
    expect(second.error).toBe('');
  });

  it('filters them by every field, and groups them by error', async () => {
    const filters = [
      ['--code', 'CARD'],
      ['--key', 'one'],
      ['--type', 'order.other'],
      ['--subscription', 'billing.charge'],
      ['--since', '2020-01-01'],
      ['--until', '2020-01-01T00:00:00Z'],
    ];
    const counts = await Promise.all(
      filters.map(async (filter) => JSON.parse((await run('dead-letters', 'list', '--json', ...filter)).out).items.length),
    );
    expect(counts).toEqual([3, 1, 0, 4, 4, 0]);
    const groups = JSON.parse((await run('dead-letters', 'groups', '--json')).out) as { count: number; group: string }[];
    expect(groups.map(({ count }) => count)).toEqual([3, 1]);
    const { out } = await run('dead-letters', 'groups', '--group', groups[0]?.group as string);
    expect(out.split('\n')[1]).toMatch(/^3 +billing\.charge:.* order\.placed +CARD +\d+ +card refused$/);
  });

  it('shows one whole, with nothing in it that a terminal would obey', async () => {
    const shown = await run('dead-letters', 'show', await idOf('hostile'));
    expect(shown.code).toBe(0);
    expect(shown.out).toContain('subscription  billing.charge\n');
    expect(shown.out).toContain('{"orderId":"hostile"}');
    expect(shown.out).toContain('\\u001b[2J');
    const all = `${shown.out}${(await run('dead-letters', 'list')).out}${(await run('dead-letters', 'groups')).out}`;
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    expect(all).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/);

    const asJson = JSON.parse((await run('dead-letters', 'show', await idOf('one'), '--json')).out);
    expect(Buffer.from(asJson.body, 'base64').toString()).toBe('{"orderId":"one"}');
  });

  it('redrives one by id', async () => {
    const id = await idOf('one');
    expect(await run('dead-letters', 'redrive', id, '--by', 'ada', '--reason', 'card fixed')).toEqual({
      code: 0,
      out: '1 dead letter was handed to its subscription again.\n',
      error: '',
    });
    expect((await audit()).at(-1)).toBe(`ada redrive ${id} card fixed`);
    const again = await run('dead-letters', 'redrive', id);
    expect(again).toEqual({ code: 1, out: '', error: expect.stringContaining(`There is no dead letter ${id}.`) });
  });

  it('redrives and discards all that match', async () => {
    expect((await run('dead-letters', 'redrive', '--key', 'two')).out).toContain('1 dead letter was');
    expect((await run('dead-letters', 'discard', '--code', 'CARD', '--reason', 'test order')).out).toBe('1 dead letter was discarded.\n');
    expect((await run('dead-letters', 'discard', '--key', 'nobody', '--reason', 'test order')).out).toBe(
      '0 dead letters were discarded.\n',
    );
    expect((await letters()).map(({ message }) => message.key)).toEqual(['hostile']);
  });

  it('refuses to act on everything, on two choices, or without a reason where one is due', async () => {
    const outcomes = await Promise.all([
      run('dead-letters', 'redrive'),
      run('dead-letters', 'discard', '7', '--key', 'one', '--reason', 'x'),
      run('dead-letters', 'discard', '7'),
      run('dead-letters', 'list', '--limit', '5000'),
      run('dead-letters', 'list', '--since', 'yesterday'),
    ]);
    expect(outcomes.map(({ code }) => code)).toEqual([2, 2, 2, 2, 2]);
    const errors = outcomes.map(({ error }) => error);
    expect(errors[0]).toMatch(/^holdfast: No dead letter is named\. Give its id, or at least one of: --subscription, --type/);
    expect(errors[1]).toBe('holdfast: Both the id 7 and --key are given. Give the id, or a filter.\n');
    expect(errors[2]).toMatch(/^holdfast: --reason is missing: why, for the audit table\. Add --reason <text>\.\n$/);
    expect(errors[3]).toContain('Give a limit from 1 to 1000');
    expect(errors[4]).toContain('--since is "yesterday", which is no time.');
  });
});

it('says that the tables are behind, and wants to know the service', async () => {
  const empty = await createTestDatabase();
  try {
    const env = { DATABASE_URL: empty.url };
    const args = ['dead-letters', 'list', '-d', fixture('named.cjs')];
    const behind = await runHoldfast([...args, '--service', 'billing'], env);
    expect(behind.error).toContain('(HF_SCHEMA_BEHIND)');
    expect(behind.code).toBe(1);
    const nameless = await runHoldfast(args, env);
    expect(nameless.error).toMatch(
      /^holdfast: --service is missing: the service it is about, .*\. Add --service <name>, or set HOLDFAST_SERVICE\.\n$/,
    );
    expect(nameless.code).toBe(2);
  } finally {
    await empty.drop();
  }
});

describe('holdfast transport', () => {
  it('shows what carries each subscription, and moves nothing before all processes are ready', async () => {
    const shown = await run('transport', 'show');
    expect(shown).toMatchObject({ code: 0, error: '' });
    expect(shown.out).toMatch(/^The log is read by its subscriptions\.\n/);
    expect(shown.out).toMatch(/billing +billing\.charge +active +log +0/);
    const { code, error } = await run('transport', 'switch', '--to', 'rabbitmq', '--by', 'anna');
    expect(code).toBe(1);
    expect(error).toContain('no process of billing with rabbitmq serves billing.charge (none runs at all); start one, or retire it');
    expect((await run('transport', 'switch', '--by', 'anna')).error).toContain('--to is missing');
  });

  it('moves the log when they are, and keeps who did it', async () => {
    await withClient(database.url, async (client) => {
      await client.query(`insert into holdfast_node (id, service, transport) values (gen_random_uuid(), 'billing', 'rabbitmq')`);
      await client.query('update holdfast_subscription set served_by = array(select id from holdfast_node)');
    });
    expect(await run('transport', 'switch', '--to', 'rabbitmq', '--by', 'anna', '--reason', 'growth')).toMatchObject({
      code: 0,
      out: expect.stringContaining('What is written from now on goes over rabbitmq.'),
    });
    expect(await audit()).toContain('anna switch rabbitmq growth');
    expect(JSON.parse((await run('transport', 'show', '--json')).out)).toMatchObject({
      carrier: 'broker',
      subscriptions: [{ carrier: 'log', transports: ['rabbitmq'] }],
    });
  });
});

describe('holdfast transport, of several', () => {
  it('makes the lanes of a further transport once, and refuses a name that stands in no destination', async () => {
    expect((await run('transport', 'add', 'events')).out).toMatch(/^events has its lanes now \(/);
    expect((await run('transport', 'add', 'events')).out).toMatch(/^events has its lanes already \(/);
    expect(await run('transport', 'add', 'the:events')).toMatchObject({ code: 2, error: expect.stringContaining('HF_TRANSPORT_NAME') });
    const { out } = await run('outbox', 'show');
    expect(out).toMatch(/TRANSPORT +BACKLOG +OLDEST +PARKED\ndefault +0 +0ms +[23]\nevents +0 +0ms +0\n/);
    expect(out).toMatch(/\n3 +default +0 +-\n4 +events +0 +-\n/);
  });

  it('gives up what waits for one that no process has, with the reason', async () => {
    await withClient(database.url, (client) =>
      client.query(
        `insert into holdfast_outbox (lane, id, type, attributes, body) values (5, nextval('holdfast_lane_5'), 'shop.viewed', '{}', '')`,
      ),
    );
    expect(await run('transport', 'discard', 'events')).toMatchObject({ code: 2, error: expect.stringContaining('--reason') });
    expect((await run('transport', 'discard', 'events', '--reason', 'the cluster is gone')).out).toBe('1 message for events given up.\n');
    expect(await audit()).toContain('tester discard transport events the cluster is gone');
    expect(await run('transport', 'discard', 'default', '--reason', 'a test')).toMatchObject({
      code: 1,
      error: expect.stringContaining('HF_TRANSPORT_DISCARD'),
    });
  });

  it('lists what one of them did not take', async () => {
    expect((await run('outbox', 'parked', '--transport', 'events')).out).toBe('No such message is parked.\n');
    expect((await run('outbox', 'parked', '--transport', 'default')).out).toMatch(/default +card\.charge/);
  });
});
