import { type BranchInfo, defineSaga, defineTry, Holdfast, NonRetryableError, type SagaContext, silentLogger } from '@holdfast/core';
import { database as overDatabase } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { createTestDatabase, type TestDatabase, eventually } from '@holdfast-internal/test-support';
import { DataSource } from 'typeorm';
import { CallingProgram, fixture, type Outcome, withClient } from './support.js';

interface Order {
  waits: boolean;
}

/** An id that a shell takes for something else. */
const NAMED = "Dora's 4th";

let database: TestDatabase;
let dataSource: DataSource;
let program: CallingProgram;
let bus: Holdfast;
/** What is in the way of the last step, and of the confirm. */
let isVanBroken = true;
let isBankClosed = true;

/** Its pivot is the charge; the step behind it fails for good while the van is broken, and one before it may wait for days. */
function orders() {
  return defineSaga<Order>('order', { version: 1 })
    .step('reserve', () => undefined, { compensate: () => undefined })
    .step('wait', (saga: SagaContext<Order>) => (saga.state.waits ? saga.sleep('3d') : undefined))
    .step('charge', () => undefined, { pivot: true })
    .step('ship', () => {
      if (isVanBroken) throw new NonRetryableError('the van is broken');
    });
}

function shop(saga = orders()) {
  const store = typeorm({ dataSource, lanes: 4 });
  const made = new Holdfast({ service: 'shop', transport: overDatabase(), store }, { logger: silentLogger });
  made.saga(saga);
  const hold = made.tryConfirmCancel(
    defineTry('card.hold', async (_trip: string) => ({ hold: 'h-1' }), {
      confirm: (_trip) => {
        if (isBankClosed) throw new NonRetryableError('the bank is closed');
      },
      cancel: (_trip) => undefined,
    }),
  );
  return { made, hold };
}

beforeAll(async () => {
  database = await createTestDatabase();
  dataSource = await new DataSource({ type: 'postgres', url: database.url }).initialize();
  const saga = orders();
  const { made, hold } = shop(saga);
  bus = made;
  await bus.start();
  for (const id of ['a', 'b', 'c', NAMED]) {
    await bus.sagas.start(saga, { waits: false }, { id });
    await bus.sagas.result(id);
  }
  await bus.sagas.start(saga, { waits: true }, { id: 'w' });
  await eventually(async () => (await bus.sagas.get('w'))?.step === 'wait', Boolean);
  for (const trip of ['one', 'two']) await bus.unitOfWork.run(() => hold(trip));
  await eventually(async () => (await bus.branches.list({ status: 'parked' })).items.length === 2, Boolean);
  program = new CallingProgram({ DATABASE_URL: database.url, HOLDFAST_SERVICE: 'shop' });
});

afterAll(async () => {
  await program?.stop();
  await bus?.stop();
  await dataSource?.destroy();
  await database?.drop();
});

function run(...args: string[]): Promise<Outcome> {
  return program.run([...args, '-d', fixture('named.cjs')]);
}

const cells = (line: string | undefined) => line?.split(/ {2,}/);
const statusOf = async (id: string) => (await bus.sagas.get(id))?.status;
const lastOf = async (id: string) => (await bus.sagas.get(id))?.history.map(({ event, detail }) => `${event} ${detail}`) ?? [];

const NOT_YET =
  "A process of shop that has this version of the saga, unchanged, does it when it looks next. `holdfast sagas show 'Dora'\\''s 4th'` tells.\n";

/** Resumes one, and changes the database when the word is left. */
async function whileItWaits(id: string, change: string, [word, ...also]: readonly [string, ...string[]] = ['resume']): Promise<Outcome> {
  const outcome = run('sagas', word, id, ...also);
  await eventually(async () => (await audit(id)).some((line) => line.includes(`saga ${word}`)), Boolean);
  await withClient(database.url, (client) => client.query(change));
  return outcome;
}

function audit(target: string): Promise<string[]> {
  return withClient(database.url, async (client) => {
    const { rows } = await client.query('select actor, action, reason from holdfast_audit where target = $1 order by id', [target]);
    return rows.map(({ actor, action, reason }) => `${actor} ${action} ${reason}`);
  });
}

describe('holdfast sagas', () => {
  it('lists them, the last started first, with why they stand where they do', async () => {
    const { code, out, error } = await run('sagas', 'list');
    expect([code, error]).toEqual([0, '']);
    const lines = out.trim().split('\n').map(cells);
    expect(lines[0]).toEqual(['ID', 'SAGA', 'STATUS', 'STEP', 'ATTEMPTS', 'CHANGED', 'WHY']);
    expect(lines.slice(1).map((line) => line?.slice(0, 4))).toEqual([
      ['w', 'order 1', 'waiting', 'wait'],
      ...[NAMED, 'c', 'b', 'a'].map((id) => [id, 'order 1', 'parked', 'ship']),
    ]);
    expect(lines.at(-1)?.at(-1)).toBe('the van is broken');
    expect(lines[1]?.at(-1)).toMatch(/^wait: \d{4}-.*Z$/);
    const first = await run('sagas', 'list', '--status', 'parked', '--saga', 'order', '--limit', '3', '--json');
    const { items, next } = JSON.parse(first.out);
    expect(items.map(({ id }: { id: string }) => id)).toEqual([NAMED, 'c', 'b']);
    const second = await run('sagas', 'list', '--status', 'parked', '--cursor', next);
    expect(second.out.split('\n').map((line) => cells(line)?.[0])).toEqual(['ID', 'a', '']);
    expect((await run('sagas', 'list', '--since', '2999-01-01')).out).toBe('The service shop has no such sagas.\n');
  });

  it('shows one with its history', async () => {
    const { out } = await run('sagas', 'show', 'a');
    expect(out).toContain('failure       ship: the van is broken (NonRetryableError)\n');
    expect(out.split('\n').flatMap((line) => (line.startsWith('20') ? [cells(line)?.slice(1)] : []))).toEqual([
      ['-', 'started', '-'],
      ['reserve', 'done', '-'],
      ['wait', 'done', '-'],
      ['charge', 'done', '-'],
      ['ship', 'failed', 'the van is broken'],
      ['ship', 'parked', 'the van is broken'],
    ]);
    expect(JSON.parse((await run('sagas', 'show', 'w', '--json')).out)).toMatchObject({ id: 'w', status: 'waiting', step: 'wait' });
    expect(await run('sagas', 'show', 'x')).toMatchObject({ code: 1, error: expect.stringContaining('HF_SAGA_UNKNOWN') });
  });

  it('has a process that knows the saga try the failed step once, or go on with it, and waits until it has', async () => {
    const tried = 'a is tried once more, and has parked since: the van is broken\n';
    expect(await run('sagas', 'retry', 'a', '--by', 'ada')).toEqual({ code: 0, out: tried, error: '' });
    expect((await lastOf('a')).slice(-3)).toEqual(['retried ada', 'failed the van is broken', 'parked the van is broken']);
    isVanBroken = false;
    expect(await run('sagas', 'resume', 'a', '--reason', 'a new van')).toEqual({ code: 0, out: 'a is resumed.\n', error: '' });
    expect(await bus.sagas.result('a')).toMatchObject({ status: 'completed' });
    expect(await lastOf('a')).toContain('resumed tester: a new van');
    expect(await audit('a')).toEqual(['ada saga retry null', 'tester saga resume a new van']);
  });

  it('takes a step as done by hand, with a reason', async () => {
    expect(await run('sagas', 'skip', 'b')).toMatchObject({ code: 2, error: expect.stringContaining('--reason is missing') });
    expect(await run('sagas', 'skip', 'b', '--reason', 'brought by bike')).toMatchObject({ code: 0, out: 'b is past that step.\n' });
    expect(await bus.sagas.result('b')).toMatchObject({ status: 'completed' });
    expect(await lastOf('b')).toContain('skipped tester: brought by bike');
  });

  it('undoes one that waits, and deletes it when it has ended', async () => {
    expect(await run('sagas', 'purge', 'w', '--reason', 'tidy')).toMatchObject({
      code: 1,
      error: expect.stringContaining('HF_SAGA_NOT_ENDED'),
    });
    expect(await run('sagas', 'cancel', 'w', '--by', 'ada', '--reason', 'not wanted')).toMatchObject({
      code: 0,
      out: 'w is being undone.\n',
    });
    expect(await bus.sagas.result('w')).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_CANCELLED' } });
    expect(await run('sagas', 'purge', 'w', '--reason', 'tidy')).toMatchObject({ code: 0, out: 'w is deleted.\n' });
    expect(await bus.sagas.get('w')).toBeUndefined();
    expect(await audit('w')).toEqual(['ada saga cancel not wanted', 'tester saga purge tidy']);
  });

  it('refuses what does not fit, and writes nothing down', async () => {
    expect(await run('sagas', 'resume', 'a')).toMatchObject({ code: 1, error: expect.stringContaining('HF_SAGA_NOT_PARKED') });
    expect(await run('sagas', 'cancel', 'a', '--reason', 'late')).toMatchObject({
      code: 1,
      error: expect.stringContaining('HF_SAGA_NOT_RUNNING'),
    });
    expect(await run('sagas', 'retry', 'x')).toMatchObject({ code: 1, error: expect.stringContaining('HF_SAGA_UNKNOWN') });
    expect(await audit('a')).toHaveLength(2);
  });

  it('says so when a saga past its pivot is not undone', async () => {
    const { code, error } = await run('sagas', 'cancel', 'c', '--reason', 'late', '--wait', '2');
    expect(code).toBe(1);
    expect(error).toContain('unless the saga is past its pivot');
    expect(await statusOf('c')).toBe('parked');
  });

  it('tells that one that was resumed has parked again, also when lines of its history are gone', async () => {
    await bus.stop();
    const outcome = await whileItWaits(
      'c',
      `with gone as (delete from holdfast_saga_history where saga_id = 'c' and event = 'done')
       insert into holdfast_saga_history (service, saga_id, step, event, detail, at)
       select 'shop', 'c', 'ship', event, detail, clock_timestamp() from (values ('resumed', 'tester'), ('parked', 'no driver')) lines (event, detail)`,
    );
    expect(outcome).toEqual({ code: 1, out: '', error: 'c is resumed, and has parked since: no driver\n' });
  });

  it('tells that one is not past a step that was committed in another database, and ends with 1', async () => {
    const outcome = await whileItWaits(
      'c',
      `insert into holdfast_saga_history (service, saga_id, step, event, detail, at)
       select 'shop', 'c', 'ship', event, detail, clock_timestamp() from (values ('skipped', 'tester: by bike'), ('parked', 'it was committed')) lines (event, detail)`,
      ['skip', '--reason', 'by bike'],
    );
    expect(outcome).toEqual({ code: 1, out: '', error: 'c is not past that step: it was committed\n' });
  });

  it('says that the word is left also when the database is lost while it waits', async () => {
    const { code, error } = await whileItWaits(NAMED, 'alter table holdfast_saga_history rename to lost');
    await withClient(database.url, (client) => client.query('alter table lost rename to holdfast_saga_history'));
    expect([code, error.startsWith(NOT_YET), error.includes('"holdfast_saga_history" does not exist')]).toEqual([1, true, true]);
  });

  it('keeps what is asked until a process looks', async () => {
    isVanBroken = false;
    expect(await run('sagas', 'resume', NAMED, '--wait', '1')).toEqual({ code: 1, out: '', error: NOT_YET });
    bus = shop().made;
    await bus.start();
    await eventually(async () => (await statusOf(NAMED)) === 'completed', Boolean);
    expect(await lastOf(NAMED)).toContain('resumed tester');
  });

  it('tells each of two people who ask at once what became of his own word', async () => {
    isVanBroken = true;
    await bus.stop();
    const saga = orders();
    bus = shop(saga).made;
    await bus.start();
    await bus.sagas.start(saga, { waits: false }, { id: 'd' });
    await eventually(async () => (await statusOf('d')) === 'parked', Boolean);
    await bus.stop();
    const first = run('sagas', 'resume', 'd', '--reason', 'a new van', '--wait', '60');
    await eventually(async () => (await audit('d')).length === 1, Boolean);
    const other = new CallingProgram({ DATABASE_URL: database.url, HOLDFAST_SERVICE: 'shop' });
    const second = other.run([
      'sagas',
      'skip',
      'd',
      '--by',
      'ada',
      '--reason',
      'brought by bike',
      '--wait',
      '60',
      '-d',
      fixture('named.cjs'),
    ]);
    await eventually(async () => (await audit('d')).length === 2, Boolean);
    bus = shop().made;
    await bus.start();
    expect(await second).toEqual({ code: 0, out: 'd is past that step.\n', error: '' });
    const dropped = 'd stands otherwise by now, so this resume was dropped. `holdfast sagas show d` tells what was done instead.\n';
    expect(await first).toEqual({ code: 1, out: '', error: dropped });
    await other.stop();
  });
});

describe('holdfast branches', () => {
  const parked = async (): Promise<readonly BranchInfo[]> =>
    JSON.parse((await run('branches', 'list', '--status', 'parked', '--json')).out).items;

  it('lists them, and shows what one was called with', async () => {
    const { code, out } = await run('branches', 'list', '--method', 'card.hold');
    expect(code).toBe(0);
    const [head, first] = out.split('\n').map(cells);
    expect(head).toEqual(['ID', 'METHOD', 'STATUS', 'ENDS WITH', 'ATTEMPTS', 'CHANGED', 'ERROR']);
    expect(first?.slice(1, 5)).toEqual(['card.hold', 'parked', 'confirm', '1']);
    expect(first?.at(-1)).toBe('the bank is closed');
    const shown = await run('branches', 'show', first?.[0] as string);
    expect(shown.out).toContain('arguments     ["two"]\n');
    expect(shown.out).toContain('result        {"hold":"h-1"}\n');
    expect((await run('branches', 'list', '--status', 'trying')).out).toBe('The service shop has no such branches.\n');
    expect(await run('branches', 'show', 'x')).toMatchObject({ code: 1, error: expect.stringContaining('HF_TCC_UNKNOWN') });
  });

  it('are tried again, or taken as done by hand', async () => {
    const [second, first] = await parked();
    const id = first?.id as string;
    isBankClosed = false;
    expect(await run('branches', 'retry', id, '--by', 'ada')).toEqual({ code: 0, out: `${id} is due now.\n`, error: '' });
    await eventually(async () => (await bus.branches.get(id))?.status === 'confirmed', Boolean);
    expect(await run('branches', 'skip', second?.id as string, '--reason', 'by phone')).toMatchObject({
      code: 0,
      out: `${second?.id} is ended by hand.\n`,
    });
    expect(await parked()).toEqual([]);
    expect(await audit(id)).toEqual(['ada branch retry null']);
    expect(await run('branches', 'retry', id)).toMatchObject({ code: 1, error: expect.stringContaining('HF_TCC_NOT_PARKED') });
  });
});
