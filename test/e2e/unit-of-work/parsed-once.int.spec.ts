import { openUnits, type Units } from './support.js';

let units: Units;

beforeAll(async () => {
  units = await openUnits({ withSubscriber: false });
});

afterEach(() => units.clean());

afterAll(() => units.close());

/** None that is kept prepared from one unit to the next. */
const INSERT = 'insert into account (id) select $1';
const query = (sql: string, values?: unknown[]) => units.dataSource.query(sql, values);
const insert = (id: string) => query(INSERT, [id]);
const select = () => query('select id from account where id = $1', ['a']);

interface Inside {
  readonly transaction: {
    readonly client: { readonly connection: { parse(message: { text: string }): void } };
    run(statement: object): Promise<unknown>;
  };
}

const inside = () => units.engine.current() as unknown as Inside;

/** How often the server was given the INSERT to parse while `work` ran. */
async function parses(work: () => Promise<unknown>): Promise<number> {
  const parse = jest.spyOn(inside().transaction.client.connection, 'parse');
  await work();
  const count = parse.mock.calls.filter(([{ text }]) => text === INSERT).length;
  parse.mockRestore();
  return count;
}

/** What comes between two equal inserts, and how often the second one has to be parsed. */
const BETWEEN: readonly [what: string, work: () => Promise<unknown>, again: number][] = [
  ['nothing', async () => undefined, 0],
  ['a statement of the framework', () => inside().transaction.run({ name: 'framework', text: 'select $1::int', values: [1] }), 0],
  ['another INSERT', () => query('insert into note (id) values ($1)', [1]), 1],
  ['a SELECT', select, 1],
  ['a text without parameters', () => query('select 1'), 1],
  ['a nested part', () => units.engine.run({ propagation: 'NESTED' }, () => query('select 1')), 1],
  ['one that was undone', () => units.engine.run({ propagation: 'NESTED' }, () => insert('a')).catch(() => undefined), 1],
];

describe('an INSERT that comes again in a unit', () => {
  it.each(BETWEEN)('after %s', async (_, work, again) => {
    await units.engine.run(async () => {
      await insert('a');
      await work();
      expect(await parses(() => insert('b'))).toBe(again);
    });
    expect(await units.accounts()).toEqual(['a', 'b']);
  });

  it('is parsed once among those that go out together, and not again behind them', async () => {
    await units.engine.run(async () => {
      await query('select 1');
      expect(await parses(() => Promise.all(['a', 'b', 'c', 'd'].map(insert)))).toBe(1);
      expect(await parses(() => insert('e'))).toBe(0);
      await Promise.all([insert('f'), insert('g'), select()]);
      expect(await parses(() => insert('h'))).toBe(1);
    });
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h']);
  });

  it('is parsed again in the next unit', async () => {
    await units.engine.run(() => insert('a'));
    await units.engine.run(async () => {
      await query('select 1');
      expect(await parses(() => insert('b'))).toBe(1);
    });
  });

  it('is parsed each time in a transaction that was lent, whose owner may use the connection himself', async () => {
    await units.dataSource.manager.transaction(async (manager) => {
      await units.engine.join(manager, async () => {
        await insert('a');
        expect(await parses(() => insert('b'))).toBe(1);
      });
    });
    expect(await units.accounts()).toEqual(['a', 'b']);
  });
});
