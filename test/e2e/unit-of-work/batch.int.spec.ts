import { createTestDatabase, type TestDatabase } from '@holdfast-internal/test-support';
import { Client } from 'pg';
import { type Around, queryAround } from '../../../packages/typeorm/src/unit-of-work/pg-batch.js';
import { isOldPg } from './support.js';
import { type PgClient, transactionStatus, watch } from '../../../packages/typeorm/src/unit-of-work/pg-client.js';

let database: TestDatabase;
let client: Client;
let told: string[];

beforeAll(async () => {
  database = await createTestDatabase();
});
beforeEach(async () => {
  client = new Client({ connectionString: database.url });
  await client.connect();
  watch(client as unknown as PgClient);
  await client.query('drop table if exists t; create table t (n int primary key)');
  told = [];
});
afterEach(() => client.end());
afterAll(() => database.drop());

type Args = Parameters<PgClient['query']>;

const send = (args: Args, around: Pick<Around, 'begin' | 'before' | 'after'>) =>
  queryAround(
    client as unknown as PgClient,
    { ...around, sent: () => told.push('sent'), refused: (error) => told.push(`refused: ${error.message}`) },
    args,
  );
const status = () => transactionStatus(client as unknown as PgClient);
const rows = async () => (await client.query('select n from t order by n')).rows.map(({ n }) => n);
const circular: { self?: unknown } = {};
circular.self = circular;

const FORMS: readonly [string, Args][] = [
  ['a text', ['insert into t values (1) returning n']],
  ['a text with values', ['insert into t values ($1) returning n', [1]]],
  ['a statement', [{ text: 'insert into t values ($1) returning n', values: [1] }]],
  ['a named statement', [{ name: 'insert', text: 'insert into t values ($1) returning n', values: [1] }]],
];

describe.each(FORMS)('%s', (_, args) => {
  it('has BEGIN before it: its own result, and an open transaction', async () => {
    const result = await send(args, { begin: { text: 'BEGIN ISOLATION LEVEL SERIALIZABLE' } });
    expect(result).toMatchObject({ command: 'INSERT', rows: [{ n: 1 }], rowCount: 1 });
    expect([status(), told]).toEqual(['T', ['sent']]);
    expect((await client.query('show transaction_isolation')).rows).toEqual([{ transaction_isolation: 'serializable' }]);
    await client.query('ROLLBACK');
    expect(await rows()).toEqual([]);
  });

  it('has COMMIT after it', async () => {
    await client.query('BEGIN');
    expect(await send(args, { after: { text: 'COMMIT' } })).toMatchObject([{ command: 'INSERT', rows: [{ n: 1 }] }, { command: 'COMMIT' }]);
    expect([status(), await rows()]).toEqual(['I', [1]]);
  });

  it('has both', async () => {
    expect(await send(args, { begin: { text: 'BEGIN' }, after: { text: 'COMMIT' } })).toMatchObject([
      { command: 'INSERT' },
      { command: 'COMMIT' },
    ]);
    expect([status(), await rows()]).toEqual(['I', [1]]);
  });

  it('is not committed when it fails', async () => {
    await client.query('insert into t values (1)');
    await expect(send(args, { begin: { text: 'BEGIN' }, after: { text: 'COMMIT' } })).rejects.toMatchObject({ code: '23505' });
    await client.query('ROLLBACK');
    expect([told, await rows()]).toEqual([['sent'], [1]]);
  });

  it('is not run when BEGIN is refused', async () => {
    await expect(send(args, { begin: { text: 'BEGIN ISOLATION LEVEL NONSENSE' }, after: { text: 'COMMIT' } })).rejects.toMatchObject({
      code: '42601',
    });
    expect(told[0]).toBe('sent');
    expect([status(), await rows()]).toEqual(['I', []]);
  });

  it('may be sent many times', async () => {
    for (let time = 0; time < 3; time += 1) {
      await send(args, { begin: { text: 'BEGIN' } });
      await client.query('ROLLBACK');
      await send(args, { begin: { text: 'BEGIN' }, after: { text: 'ROLLBACK' } });
    }
    expect(await rows()).toEqual([]);
  });
});

it('tells that BEGIN was refused', async () => {
  await expect(send(['select $1::int', [1]], { begin: { text: 'BEGIN ISOLATION LEVEL NONSENSE' } })).rejects.toThrow();
  expect(told).toEqual(['sent', expect.stringContaining('refused: syntax error')]);
});

it('a statement whose name failed to be prepared can be prepared later', async () => {
  await expect(send([{ name: 'x', text: 'select * from nowhere', values: [] }], { begin: { text: 'BEGIN' } })).rejects.toThrow('nowhere');
  await client.query('ROLLBACK');
  await client.query('create table nowhere ()');
  await send([{ name: 'x', text: 'select * from nowhere', values: [] }], { begin: { text: 'BEGIN' }, after: { text: 'COMMIT' } });
  await client.query('drop table nowhere');
});

it('a COMMIT with a name is prepared once, behind a statement that is prepared too', async () => {
  const both = { begin: { name: 'b', text: 'BEGIN' }, after: { name: 'c', text: 'COMMIT' } };
  for (let n = 1; n <= 3; n += 1)
    expect(await send([{ name: 'x', text: 'insert into t values ($1)', values: [n] }], both)).toMatchObject([{}, { command: 'COMMIT' }]);
  const { rows: prepared } = await client.query('select name from pg_prepared_statements order by name');
  expect(prepared).toEqual([{ name: 'b' }, { name: 'c' }, { name: 'x' }]);
});

it('a COMMIT that was not run, because of the statement before it, is prepared the next time', async () => {
  const after = { name: 'c', text: 'COMMIT' };
  const args: Args = ['insert into t values ($1)', [1]];
  await client.query('insert into t values (1)');
  await expect(send(args, { begin: { text: 'BEGIN' }, after })).rejects.toMatchObject({ code: '23505' });
  await client.query('ROLLBACK');
  await client.query('delete from t');
  for (let n = 0; n < 2; n += 1) {
    expect(await send(args, { begin: { text: 'BEGIN' }, after })).toMatchObject([{}, { command: 'COMMIT' }]);
    await client.query('delete from t');
  }
});

it('a parameter that cannot be serialised begins, and commits nothing', async () => {
  await expect(send(['insert into t values ($1)', [circular]], { begin: { text: 'BEGIN' }, after: { text: 'COMMIT' } })).rejects.toThrow(
    /circular/i,
  );
  await client.query('select 1');
  expect([status(), told]).toEqual(['T', ['sent']]);
  await client.query('ROLLBACK');
});

it('what pg refuses to send is told as not sent', async () => {
  await client.query({ name: 'taken', text: 'select 1' });
  await expect(send([{ name: 'taken', text: 'select 2' }], { begin: { text: 'BEGIN' } })).rejects.toThrow('must be unique');
  expect([status(), told]).toEqual(['I', []]);
});

it('several statements in one text keep their results', async () => {
  const results = await send(['insert into t values (1); insert into t values (2)'], {
    begin: { text: 'BEGIN' },
    after: { text: 'COMMIT' },
  });
  expect(results).toMatchObject([{ command: 'INSERT' }, { command: 'INSERT' }, { command: 'COMMIT' }]);
  expect(await rows()).toEqual([1, 2]);
});

it('a named statement is prepared once per connection', async () => {
  for (let time = 0; time < 3; time += 1)
    await send([{ name: 'once', text: 'select $1::int as n', values: [time] }], { begin: { text: 'BEGIN' }, after: { text: 'COMMIT' } });
  const { rows: prepared } = await client.query(
    `select name, generic_plans + custom_plans as runs from pg_prepared_statements where name = 'once'`,
  );
  expect(prepared).toEqual([{ name: 'once', runs: '3' }]);
});

it('statements queue up behind it', async () => {
  const results = await Promise.all([
    send(['select 1 as n'], { begin: { text: 'BEGIN' } }),
    client.query('select 2 as n'),
    send(['select 3 as n'], { after: { text: 'COMMIT' } }),
  ]);
  expect(results).toMatchObject([{ rows: [{ n: 1 }] }, { rows: [{ n: 2 }] }, [{ rows: [{ n: 3 }] }, { command: 'COMMIT' }]]);
});

describe('statements before it', () => {
  const counted = { name: 'count', text: 'update t set n = n + $1', values: [10] };
  const inserted = { name: 'insert', text: 'insert into t values ($1) returning n', values: [5] };

  it('run after BEGIN and in order; the result is that of the last', async () => {
    await client.query('insert into t values (1)');
    for (let time = 0; time < 2; time += 1) {
      const results = await send([{ ...inserted, values: [time] }], {
        begin: { text: 'BEGIN' },
        before: [counted, { ...counted, values: [100] }],
        after: { text: 'COMMIT' },
      });
      expect(results).toMatchObject([{ command: 'INSERT', rows: [{ n: time }], rowCount: 1 }, { command: 'COMMIT' }]);
    }
    expect([status(), await rows()]).toEqual(['I', [1, 110, 221]]);
  });

  it.each([
    ['a statement before it', { before: [{ name: 'fails', text: 'update t set n = n / $1::int', values: [0] }] }],
    ['BEGIN', { begin: { text: 'BEGIN ISOLATION LEVEL NONSENSE' }, before: [counted] }],
  ])('%s that fails keeps the rest from being run, and from being taken for prepared', async (_, around) => {
    await client.query('insert into t values (1)');
    await client.query('BEGIN');
    await expect(send([inserted], { ...around, after: { text: 'COMMIT' } })).rejects.toMatchObject({ severity: 'ERROR' });
    await client.query('ROLLBACK');
    expect(await rows()).toEqual([1]);
    await send([inserted], { begin: { text: 'BEGIN' }, before: [counted], after: { text: 'COMMIT' } });
    expect(await rows()).toEqual([5, 11]);
  });

  it('can be prepared once, fail, and be used again', async () => {
    await client.query('insert into t values (1), (2)');
    const clash = { name: 'clash', text: 'update t set n = $1', values: [7] };
    await expect(send([inserted], { begin: { text: 'BEGIN' }, before: [clash], after: { text: 'COMMIT' } })).rejects.toMatchObject({
      code: '23505',
    });
    await client.query('ROLLBACK');
    await client.query('delete from t where n = 2');
    await send([inserted], { begin: { text: 'BEGIN' }, before: [clash], after: { text: 'COMMIT' } });
    expect(await rows()).toEqual([5, 7]);
  });

  it('are sent one by one before a text without parameters', async () => {
    await client.query('insert into t values (1)');
    await send(['insert into t values (2)'], { begin: { text: 'BEGIN' }, before: [counted], after: { text: 'COMMIT' } });
    expect([status(), await rows()]).toEqual(['I', [2, 11]]);
  });
});

it('is one write to the server', async () => {
  const { stream } = (client as unknown as { connection: { stream: { bytesWritten: number; _writev?: unknown } & NodeJS.WritableStream } })
    .connection;
  let writes = 0;
  const handle = (stream as unknown as { _handle: Record<string, (...args: unknown[]) => unknown> })._handle;
  for (const name of ['writev', 'writeBuffer', 'writeUtf8String', 'writeLatin1String']) {
    const original = handle[name]?.bind(handle);
    if (original)
      handle[name] = (...args) => {
        writes += 1;
        return original(...args);
      };
  }
  await send([{ name: 'w', text: 'insert into t values ($1)', values: [1] }], { begin: { text: 'BEGIN' }, after: { text: 'COMMIT' } });
  expect(writes).toBe(1);
});

(isOldPg ? it.skip : it)('a client in pipeline mode does the same', async () => {
  const piped = new Client({ connectionString: database.url, pipeline: true } as never);
  await piped.connect();
  try {
    const around = { begin: { text: 'BEGIN' }, after: { text: 'COMMIT' }, sent: () => told.push('sent'), refused: () => {} };
    const results = await queryAround(piped as unknown as PgClient, around, [{ text: 'insert into t values ($1)', values: [1] }]);
    expect(results).toMatchObject([{ command: 'INSERT' }, { command: 'COMMIT' }]);
    expect([told, await rows()]).toEqual([['sent'], [1]]);
  } finally {
    await piped.end();
  }
});
