import { openUnits, type Units } from './support.js';

let units: Units;

beforeEach(async () => {
  // One connection, so that it is known which one a statement was prepared on.
  units = await openUnits({ withSubscriber: false, poolSize: 1 });
});

afterEach(() => units.close());

const INSERT = 'insert into account (id) values ($1)';
const query = (sql: string, values?: unknown[]) => units.dataSource.query(sql, values);
const insert = (id: string) => query(INSERT, [id]);
const inUnits = async (ids: readonly string[]) => {
  for (const id of ids) await units.engine.run(() => insert(id));
};

interface Inside {
  readonly transaction: { readonly client: { readonly connection: { parse(message: { text: string; name?: string }): void } } };
}

/** How often the server was given `text` to parse while `work` ran in a unit. */
async function parses(text: string, work: () => Promise<unknown>): Promise<number> {
  return units.engine.run(async () => {
    const { connection } = (units.engine.current() as unknown as Inside).transaction.client;
    const parse = jest.spyOn(connection, 'parse');
    await work();
    const count = parse.mock.calls.filter(([message]) => message.text === text).length;
    parse.mockRestore();
    return count;
  });
}

describe('an INSERT that comes again and again', () => {
  it('is sent twice as it is, and then prepared once per connection', async () => {
    expect(await parses(INSERT, () => insert('a'))).toBe(1);
    expect(await parses(INSERT, () => insert('b'))).toBe(1);
    expect(await parses(INSERT, () => insert('c'))).toBe(1);
    expect(await parses(INSERT, () => insert('d'))).toBe(0);
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is prepared once among those that go out together', async () => {
    await inUnits(['a', 'b']);
    const together = async () => {
      await query('select 1');
      await Promise.all(['c', 'd', 'e', 'f'].map(insert));
    };
    expect(await parses(INSERT, together)).toBe(1);
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
  });

  it('is prepared in a transaction that was lent too', async () => {
    await inUnits(['a', 'b', 'c']);
    await units.dataSource.manager.transaction(async (manager) => {
      await units.engine.join(manager, () => insert('d'));
    });
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('is refused each time with the word of the server, and works when what it lacks is there', async () => {
    await inUnits(['a', 'b', 'c']);
    for (let time = 0; time < 2; time += 1)
      await expect(units.engine.run(() => insert('c'))).rejects.toMatchObject({ driverError: { code: '23505' } });
    await units.engine.run(() => insert('d'));
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd']);
  });

  it('goes into the table that the search path means now', async () => {
    await query('create schema other');
    await query('create table other.account (id text primary key, balance int not null default 0)');
    await inUnits(['a', 'b', 'c']);
    await units.engine.run(async () => {
      await query('set local search_path to other');
      await insert('d');
    });
    expect([await units.accounts(), await units.look('select id from other.account')]).toEqual([['a', 'b', 'c'], [{ id: 'd' }]]);
  });

  it.each([
    ['a number', 'int', 'bigint', '1', '9007199254740993', '22003'],
    ['a text that was a number', 'int', 'text', '1', 'one', '22P02'],
    ['a number that was a text', 'text', 'int', '1', '2', '42804'],
  ])('fails once over a connection on which its column got another type, and not again: %s', async (...given) => {
    const [, before, after, first, second, code] = given;
    await query(`create table typed (n ${before})`);
    const into = (value: string) => units.engine.run(() => query('insert into typed (n) values ($1)', [value]));
    for (let time = 0; time < 3; time += 1) await into(first);
    await query(`alter table typed alter column n type ${after} using n::${after}`);
    await expect(into(second)).rejects.toMatchObject({ driverError: { code } });
    await into(second);
    expect(await units.look(`select n::text as n from typed where n::text = '${second}'`)).toEqual([{ n: second }]);
  });

  it('fails once over a connection that has forgotten it, and not again', async () => {
    await inUnits(['a', 'b', 'c']);
    await query('deallocate all');
    await expect(units.engine.run(() => insert('d'))).rejects.toMatchObject({ driverError: { code: '26000' } });
    await units.engine.run(() => insert('d'));
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd']);
  });
});

describe('a statement of the framework', () => {
  it('fails once over a connection that has forgotten it, which is replaced', async () => {
    const publish = (message: string) => units.engine.run(async () => units.publish(message));
    await publish('a');
    await query('deallocate all');
    await expect(publish('b')).rejects.toMatchObject({ code: '26000' });
    await publish('c');
    expect(await units.messages()).toEqual(['a', 'c']);
  });
});

describe('what is never prepared for user code', () => {
  it.each([
    ['a SELECT', 'select id from account where id = $1'],
    ['an UPDATE', 'update account set balance = 1 where id = $1'],
    ['an INSERT of rows that are there', 'insert into account (id) select id || $1 from account'],
    ['an INSERT that gives something back', 'insert into account (id) values ($1) returning *'],
  ])('%s', async (_, text) => {
    const counts: number[] = [];
    for (let time = 0; time < 5; time += 1) counts.push(await parses(text, () => query(text, [`${time}`])));
    expect(counts).toEqual([1, 1, 1, 1, 1]);
  });

  it('more than a hundred texts, and what has many rows', async () => {
    const texts = Array.from({ length: 101 }, (_, index) => `insert into account (id, balance) values ($1, ${index})`);
    const long = `insert into account (id) values ($1)${', ($1)'.repeat(400)} on conflict do nothing`;
    const last = texts.at(-1) as string;
    for (const text of texts) for (let time = 0; time < 3; time += 1) await units.engine.run(() => query(text, [`${text} ${time}`]));
    expect(await parses(texts[0] as string, () => query(texts[0] as string, ['first again']))).toBe(0);
    expect(await parses(last, () => query(last, ['last again']))).toBe(1);
    for (let time = 0; time < 3; time += 1) await units.engine.run(() => query(long, [`many ${time}`]));
    expect(await parses(long, () => query(long, ['many again']))).toBe(1);
  });
});
