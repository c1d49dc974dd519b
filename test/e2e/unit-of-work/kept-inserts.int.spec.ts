import { openUnits, type Units } from './support.js';

const TIMES = 4;

let units: Units;

beforeAll(async () => {
  // One connection, so that it sees every statement.
  units = await openUnits({ withSubscriber: false, poolSize: 1 });
});

afterAll(() => units.close());

const query = <Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]> => units.dataSource.query(sql, values);
/** In a unit of its own. */
const inUnit = <Row = Record<string, unknown>>(sql: string, values?: unknown[]) => units.engine.run(() => query<Row>(sql, values));
const kept = async () =>
  (await query<{ statement: string }>('select statement from pg_prepared_statements')).map(({ statement }) => statement);
const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: { code?: string }) => error.code,
  );

let tables = 0;

/** A new table with one column, into which something was put so often that it is kept if it can be. */
async function tableWith(type: string, { value, times = TIMES }: { value: unknown; times?: number }) {
  tables += 1;
  const table = `kept_${tables}`;
  await units.look(`create table ${table} (id serial, value ${type})`);
  const sql = `insert into ${table} (value) values ($1) returning id`;
  for (let time = 0; time < times; time += 1) await inUnit(sql, [value]);
  return {
    sql,
    /** As texts, in the order in which they came. */
    values: async () =>
      (await units.look<{ value: string | null }>(`select value::text from ${table} order by id`)).map((row) => row.value),
    change: (to: string) => units.look(`alter table ${table} alter value type ${to}`),
  };
}

describe('an INSERT that comes again on a connection', () => {
  it('is kept prepared from the third time on, and answers as before', async () => {
    const { sql, values } = await tableWith('text', { value: 'a', times: 2 });
    expect(await kept()).not.toContain(sql);
    expect(await inUnit(sql, ['b'])).toEqual([{ id: 3 }]);
    expect(await kept()).toContain(sql);
    expect(await inUnit(sql, [null])).toEqual([{ id: 4 }]);
    expect(await values()).toEqual(['a', 'a', 'b', null]);
  });

  it('is sent under its name then, also among others that go out together', async () => {
    const { sql, values } = await tableWith('int', { value: 1 });
    await units.engine.run(async () => {
      const { transaction } = units.engine.current() as unknown as Inside;
      const parse = jest.spyOn(transaction.client.connection, 'parse');
      await query('select 1');
      await query(sql, [2]);
      await Promise.all([3, 4, 5].map((value) => query(sql, [value])));
      expect(parse.mock.calls.filter(([{ text }]) => text === sql)).toEqual([]);
      parse.mockRestore();
    });
    expect(await values()).toEqual(['1', '1', '1', '1', '2', '3', '4', '5']);
  });

  it('does not lose the offset of a timestamp when its column has changed', async () => {
    const { sql, values, change } = await tableWith('timestamp', { value: '2026-12-01T12:00:00' });
    await change('timestamptz');
    await inUnit(sql, ['2026-12-01T12:00:00+09']);
    const [seconds] = await units.look<{ epoch: string }>(`select extract(epoch from '2026-12-01T03:00:00Z'::timestamptz)::text as epoch`);
    const last = new Date((await values()).at(-1) as string).getTime() / 1000;
    expect(last).toBe(Number(seconds?.epoch));
  });

  it('does not lose the zeros of digits when its column has changed', async () => {
    const { sql, values, change } = await tableWith('int', { value: 1234 });
    await change('text');
    await inUnit(sql, ['01234']);
    expect((await values()).at(-1)).toBe('01234');
  });

  it('does not lose the capitals of an id when its column has changed', async () => {
    const id = 'abcdefab-0000-4000-8000-000000000000';
    const { sql, values, change } = await tableWith('uuid', { value: id });
    await change('text');
    await inUnit(sql, [id.toUpperCase()]);
    expect((await values()).at(-1)).toBe(id.toUpperCase());
  });

  it.each([
    ['text', 'a', 'int using 0', '5', '42804'],
    ['int', 1, 'bigint', 2 ** 40, '22003'],
  ] as const)(
    'of %s fails once when its column has become another, and is parsed each time from then on',
    async (type, value, to, next, code) => {
      const { sql, values, change } = await tableWith(type, { value });
      await change(to);
      expect(await codeOf(inUnit(sql, [next]))).toBe(code);
      await inUnit(sql, [next]);
      expect((await values()).at(-1)).toBe(String(next));
    },
  );

  it('that fails by its values is not affected by that', async () => {
    const { sql, values } = await tableWith('int unique', { value: 1, times: 1 });
    for (let value = 2; value < 6; value += 1) await inUnit(sql, [value]);
    expect(await codeOf(inUnit(sql, [1]))).toBe('23505');
    await inUnit(sql, [6]);
    expect(await values()).toEqual(['1', '2', '3', '4', '5', '6']);
  });

  it.each([
    ['selects', 'insert into account (id) select $1::text where false'],
    ['has a text that is read when it is prepared', `insert into account (id) values (coalesce($1, 'now')) on conflict do nothing`],
    [
      'has a parameter behind its rows',
      'insert into account as a (id) values ($1) on conflict (id) do update set id = excluded.id where a.id <> $1',
    ],
    ['answers all columns of a table', 'insert into account (id) values ($1) on conflict do nothing returning id, account.*'],
    ['answers all of its columns', 'insert into account (id) values ($1) on conflict do nothing returning *'],
    ['takes a numeric', 'insert into account (id) values ($1::numeric) on conflict do nothing'],
  ])('is never kept when it %s', async (_, sql) => {
    for (let time = 0; time < TIMES; time += 1) await inUnit(sql, ['1']);
    const parse = await parsesOf(sql, () => query(sql, ['1']));
    expect(parse).toBe(1);
  });

  it('is not kept outside units, nor in a transaction of the user’s own', async () => {
    const sql = `insert into account (id) values ($1) on conflict do nothing returning id as own`;
    for (let time = 0; time < TIMES; time += 1) {
      await query(sql, ['1']);
      await units.dataSource.transaction((manager) => units.engine.join(manager, () => manager.query(sql, ['1'])));
    }
    expect(await kept()).not.toContain(sql);
  });
});

interface Inside {
  readonly transaction: { readonly client: { readonly connection: { parse(message: { text: string }): void } } };
}

/** How often the server was given the text to parse while `work` ran in a unit. */
function parsesOf(sql: string, work: () => Promise<unknown>): Promise<number> {
  return units.engine.run(async () => {
    const { transaction } = units.engine.current() as unknown as Inside;
    const parse = jest.spyOn(transaction.client.connection, 'parse');
    await work();
    const count = parse.mock.calls.filter(([{ text }]) => text === sql).length;
    parse.mockRestore();
    return count;
  });
}
