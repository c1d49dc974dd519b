import { eventually } from '@holdfast-internal/test-support';
import { openUnits, type Units } from './support.js';

let units: Units;

beforeAll(async () => {
  units = await openUnits({ withSubscriber: false });
});

afterEach(() => units.clean());

afterAll(() => units.close());

const query = <Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]> => units.dataSource.query(sql, values);
const insert = (id: unknown) => query('insert into account (id) values ($1) returning id', [id]);

/** What each of them was answered: the id, or the code of the error. */
async function answers(statements: readonly Promise<Record<string, unknown>[]>[]): Promise<unknown[]> {
  const settled = await Promise.allSettled(statements);
  return settled.map((each) =>
    each.status === 'fulfilled' ? each.value[0]?.id : ((each.reason as { code?: string }).code ?? each.reason),
  );
}

/** The same, in a unit that is committed if it can be. */
function inUnit(work: () => readonly Promise<Record<string, unknown>[]>[]): Promise<unknown[]> {
  let given: unknown[] = [];
  const unit = units.engine.run(async () => {
    given = await answers(work());
  });
  return unit.then(
    () => given,
    () => given,
  );
}

const many = (count: number) => Array.from({ length: count }, (_, index) => `a${String(index).padStart(3, '0')}`);

describe('statements of one unit that are made at once', () => {
  it('are answered each with its own rows, in their order', async () => {
    const ids = many(150);
    expect(await inUnit(() => ids.map(insert))).toEqual(ids);
    expect(await units.accounts()).toEqual(ids);
  });

  it('go out together: those that waited while the first was answered', async () => {
    await units.engine.run(async () => {
      await query('select 1');
      const { transaction } = units.engine.current() as unknown as { transaction: { client: { query(statement: unknown): unknown } } };
      const sent = jest.spyOn(transaction.client, 'query');
      await Promise.all(many(20).map(insert));
      expect(sent).toHaveBeenCalledTimes(2);
      sent.mockRestore();
    });
    expect(await units.accounts()).toEqual(many(20));
  });

  it('are all told when their unit ends before it is their turn, however many they are', async () => {
    const COUNT = 10_000;
    let told = 0;
    const unit = units.engine.run({ timeout: '1s' }, async () => {
      const statements = [query('select pg_sleep(10)'), ...Array.from({ length: COUNT }, () => query('select 1'))];
      await Promise.allSettled(statements.map((each) => each.finally(() => (told += 1))));
    });
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
    expect(
      await eventually(
        () => told,
        (count) => count === COUNT + 1,
      ),
    ).toBe(COUNT + 1);
  });

  it('may be of many kinds', async () => {
    const rows = await units.engine.run(() =>
      Promise.all([
        query('select $1::int as a', [1]),
        query('select $1::int as a, $2::text[] as list', [2, ['x', 'y']]),
        query('select $1::int as a where false', [3]),
        query(`select 'no parameter' as a`),
        query('select $1::jsonb as a', [{ deep: { er: true } }]),
        query('insert into account (id) values ($1)', ['plain']),
        query('select $1::timestamptz as a', [new Date('2026-01-02T03:04:05.678Z')]),
        query('select id as a from account where id = $1', ['plain']),
      ]),
    );
    expect(rows).toEqual([
      [{ a: 1 }],
      [{ a: 2, list: ['x', 'y'] }],
      [],
      [{ a: 'no parameter' }],
      [{ a: { deep: { er: true } } }],
      [],
      [{ a: new Date('2026-01-02T03:04:05.678Z') }],
      [{ a: 'plain' }],
    ]);
  });

  it('fail one by one, as if each had waited for the one before', async () => {
    expect(await inUnit(() => ['a', 'b', 'a', 'c', 'd'].map(insert))).toEqual(['a', 'b', '23505', '25P02', '25P02']);
    expect(await units.accounts()).toEqual([]);
  });

  it('leave the others alone when a parameter cannot be sent', async () => {
    const circular: Record<string, unknown> = {};
    circular.self = circular;
    const [a, b, refused, c] = await inUnit(() => ['a', 'b', circular, 'c'].map(insert));
    expect([a, b, c]).toEqual(['a', 'b', 'c']);
    expect(String(refused)).toContain('circular');
    expect(await units.accounts()).toEqual(['a', 'b', 'c']);
  });

  it('stay within their part when one of them is undone', async () => {
    await units.engine.run(async () => {
      const doomed = units.engine.run({ propagation: 'NESTED' }, async () => {
        await Promise.all(['n1', 'n2', 'n3'].map(insert));
        throw new Error('undone');
      });
      await Promise.all([expect(doomed).rejects.toThrow('undone'), ...['a', 'b', 'c'].map(insert)]);
      await insert('d');
    });
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('all fail when the connection breaks', async () => {
    const given = await inUnit(() => [
      insert('a'),
      insert('b'),
      query('select pg_terminate_backend(pg_backend_pid())::text as id, $1::int', [1]),
      insert('c'),
      insert('d'),
    ]);
    expect(given.slice(0, 2)).toEqual(['a', 'b']);
    expect(given.slice(2).every((each) => each !== 'c' && each !== 'd')).toBe(true);
    expect(await units.accounts()).toEqual([]);
    await inUnit(() => [insert('next')]);
    expect(await units.accounts()).toEqual(['next']);
  });

  it('are prepared once where they have a name, also when the first of that name was not run', async () => {
    await units.engine.run(async () => {
      const { transaction } = units.engine.current() as unknown as {
        transaction: { run(statement: object): Promise<{ rows: Record<string, unknown>[] }> };
      };
      const named = (id: string) => transaction.run({ name: 'together', text: 'insert into account (id) values ($1)', values: [id] });
      const part = units.engine.run({ propagation: 'NESTED' }, async () => {
        const afterThose = new Promise((resolve) => setImmediate(resolve));
        expect(await answers([insert('a'), insert('a'), afterThose.then(() => named('never')).then(({ rows }) => rows)])).toEqual([
          'a',
          '23505',
          '25P02',
        ]);
        throw new Error('undone');
      });
      await expect(part).rejects.toThrow('undone');
      await Promise.all([named('b'), named('c'), insert('d')]);
    });
    expect(await units.accounts()).toEqual(['b', 'c', 'd']);
  });
});
