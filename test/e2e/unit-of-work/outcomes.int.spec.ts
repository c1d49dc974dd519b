import { eventually } from '@holdfast-internal/test-support';
import type { SqlTransaction } from '../../../packages/typeorm/src/postgres/sql/transaction-sql.js';
import type { PgTransaction } from '../../../packages/typeorm/src/unit-of-work/pg-transaction.js';
import { Account } from './entities.js';
import { isOldPg, openUnits, type Units } from './support.js';

let units: Units;

beforeAll(async () => {
  units = await openUnits({ poolSize: 4 });
  await units.look(`
    create function slow() returns trigger language plpgsql as $$ begin perform pg_sleep(20); return null; end $$;
    create table slow_commit (id text);
    create constraint trigger slow after insert on slow_commit deferrable initially deferred for each row execute function slow();
    create table parent (id text primary key);
    create table child (id text references parent deferrable initially deferred);
  `);
});
beforeEach(() => units.clean());
afterEach(async () => {
  // The server's side of a destroyed connection is ended over another one of the pool, and hears of it a moment later.
  const look = async () => ({ open: await units.openTransactions(), ...units.busy() });
  let seen = await look();
  for (let looks = 0; looks < 1000 && seen.open + seen.out + seen.waiting > 0; looks += 1) {
    await new Promise((resolve) => setTimeout(resolve, 20));
    seen = await look();
  }
  expect(seen).toEqual({ open: 0, out: 0, waiting: 0 });
});
afterAll(() => units.close());

const accounts = () => units.dataSource.getRepository(Account);
const query = (sql: string, values?: unknown[]) => units.dataSource.query(sql, values);
const insert = (id: string) => accounts().insert({ id });

async function circularParameter(): Promise<void> {
  const circular: { self?: unknown } = {};
  circular.self = circular;
  await query('select $1', [circular]).catch(() => {});
}

/** What somebody does in a unit after inserting `before`, and what becomes of the unit. */
type Doom = [what: string, work: () => Promise<unknown>, outcome: 'commits' | 'HF_UOW_ROLLBACK_ONLY'];
const CIRCULAR: Doom = ['gives a parameter that cannot be serialised', circularParameter, 'commits'];
const DOOM: readonly Doom[] = [
  ['catches a unique violation', () => insert('before').catch(() => {}), 'HF_UOW_ROLLBACK_ONLY'],
  [
    'uses a savepoint of his own',
    async () => {
      await query('savepoint mine');
      await insert('before').catch(() => {});
      await query('rollback to mine');
    },
    'commits',
  ],
  [
    'has a statement time-out inside a savepoint of his own',
    async () => {
      await query('savepoint mine');
      await query(`set local statement_timeout = 10`);
      await query('select pg_sleep(5)').catch(() => {});
      await query('rollback to mine');
    },
    'commits',
  ],
  ...(isOldPg ? [] : [CIRCULAR]),
  ['uses ON CONFLICT', () => query(`insert into account (id) values ('before') on conflict do nothing`), 'commits'],
  [
    'uses EXCEPTION in plpgsql',
    () => query(`do $$ begin insert into account (id) values ('before'); exception when unique_violation then null; end $$`),
    'commits',
  ],
  ['catches a syntax error', () => query('selec 1').catch(() => {}), 'HF_UOW_ROLLBACK_ONLY'],
];

describe('a user who', () => {
  /** Runs a row of the table, and what the unit does after it; what became of the unit, its hooks, rows and messages. */
  async function endOf(work: () => Promise<unknown>, after: () => Promise<unknown>) {
    const hooks: string[] = [];
    const unit = units.engine.run(async () => {
      units.engine.afterCommit(() => void hooks.push('afterCommit'));
      units.engine.afterRollback(() => void hooks.push('afterRollback'));
      await insert('before');
      await work();
      await after();
    });
    const outcome = await unit.then(
      () => 'commits',
      (error: { code: string }) => error.code,
    );
    return { outcome, hooks, accounts: await units.accounts(), messages: await units.messages() };
  }
  const committed = (accounts: string[], messages: string[]) => ({ outcome: 'commits', hooks: ['afterCommit'], accounts, messages });
  const rolledBack = (outcome: string) => ({ outcome, hooks: ['afterRollback'], accounts: [], messages: [] });

  it.each(DOOM)('%s, and goes on', async (_, work, outcome) => {
    let isRefused = false;
    const end = await endOf(work, async () => {
      units.publish('m');
      await insert('after').catch(() => {
        isRefused = true;
      });
    });
    expect(end).toEqual(outcome === 'commits' ? committed(['after', 'before'], ['m']) : rolledBack(outcome));
    expect(isRefused).toBe(outcome !== 'commits');
  });

  // Nothing is published: the next thing the server gets is COMMIT.
  it.each(DOOM)('%s, as the last thing', async (_, work, outcome) => {
    const end = await endOf(work, async () => {});
    expect(end).toEqual(outcome === 'commits' ? committed(['before'], []) : rolledBack(outcome));
  });

  const ENDINGS = ['commit', 'rollback', 'end', 'commit and chain'];

  it.each(ENDINGS)('sends %s himself is refused at the next statement, and no message goes out', async (sql) => {
    const told: string[] = [];
    const unit = units.engine.run(async () => {
      await insert('before');
      await query(sql);
      if (sql === 'commit and chain') return; // not to be told from a transaction of ours; what comes then is still atomic
      told.push(
        await insert('after').then(
          () => 'ran',
          (error: { code: string }) => error.code,
        ),
      );
      units.publish('m');
    });
    if (sql === 'commit and chain') await unit;
    else await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY', message: expect.stringContaining('inside the unit') });
    expect(told).toEqual(sql === 'commit and chain' ? [] : ['HF_UOW_ROLLBACK_ONLY']);
    expect(await units.accounts()).not.toContain('after');
    expect(await units.messages()).toEqual([]);
  });

  it.each(['commit', 'rollback'])('sends %s himself as the last thing is refused too', async (sql) => {
    const unit = units.engine.run(async () => {
      await insert('before');
      await query(sql);
    });
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY', message: expect.stringContaining('inside the unit') });
  });

  it('catches a database error is told of it at the end', async () => {
    const unit = units.engine.run(async () => {
      await insert('a');
      await insert('a').catch(() => {});
      await insert('b').catch(() => {});
    });
    await expect(unit).rejects.toMatchObject({
      message: expect.stringContaining('a statement in it had failed'),
      cause: { code: '23505' },
    });
  });

  it('sends a commit that fails is refused, also when the failure is the last thing', async () => {
    const unit = units.engine.run(async () => {
      units.publish('m');
      await query(`insert into child values ('orphan')`);
      await query('commit').catch(() => {});
    });
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY' });
    expect(await units.messages()).toEqual([]);
  });
});

describe('COMMIT', () => {
  it('refused by a deferred constraint is a rollback with that error', async () => {
    const hooks: string[] = [];
    const unit = units.engine.run(async () => {
      units.engine.afterRollback(() => void hooks.push('afterRollback'));
      units.publish('m');
      await query(`insert into child values ('orphan')`);
    });
    await expect(unit).rejects.toMatchObject({ code: '23503' });
    expect(hooks).toEqual(['afterRollback']);
    expect(await units.messages()).toEqual([]);
  });

  it('whose connection breaks has an unknown outcome, and no hook runs', async () => {
    const hooks: string[] = [];
    const unit = units.engine.run(async () => {
      units.engine.afterCommit(() => void hooks.push('afterCommit'));
      units.engine.afterRollback(() => void hooks.push('afterRollback'));
      await query(`insert into slow_commit values ('x')`);
    });
    const told = expect(unit).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN', details: { dataSource: 'default' } });
    await kill(`query ilike 'commit%' and state = 'active'`);
    await told;
    expect(hooks).toEqual([]);
  });

  it('takes what is to be run last with it, in one go', async () => {
    await units.engine.run(async () => {
      const transaction = units.engine.current()?.transaction as unknown as SqlTransaction;
      await insert('a');
      await transaction.runLast({ text: 'insert into account (id) values ($1)', values: ['last'] });
    });
    expect(await units.accounts()).toEqual(['a', 'last']);
  });

  it('takes several that are prepared under one name with it, also when the server knows the name', async () => {
    const insertion = { name: 'insertion', text: 'insert into account (id) values ($1)' };
    for (const ids of [
      ['a', 'b'],
      ['c', 'd', 'e'],
    ])
      await units.engine.run(async () => {
        const transaction = units.engine.current()?.transaction as unknown as SqlTransaction;
        for (const id of ids) await transaction.runLast({ ...insertion, values: [id] });
      });
    expect(await units.accounts()).toEqual(['a', 'b', 'c', 'd', 'e']);
  });

  it('takes values of every kind with it, and gives each its own answer', async () => {
    await units.dataSource.query('create table of_kinds (bytes bytea, list text[], at timestamptz)');
    const insertion = { text: 'insert into of_kinds values ($1, $2, $3) returning list' };
    const answers: unknown[] = [];
    const bytes = Buffer.from('C:\\temp "\0"');
    const at = new Date('2026-01-01T00:00:00.123Z');
    await units.engine.run(async () => {
      const transaction = units.engine.current()?.transaction as unknown as SqlTransaction;
      for (const list of [['a', '"b"'], ['c']])
        await transaction.runLast({ ...insertion, values: [bytes, list, at], answered: (row) => answers.push(...row) });
    });
    expect(answers).toEqual(['{a,"\\"b\\""}', '{c}']);
    expect(await units.dataSource.query('select * from of_kinds')).toEqual([
      { bytes, list: ['a', '"b"'], at },
      { bytes, list: ['c'], at },
    ]);
  });

  it('is not sent when what is to be run last fails', async () => {
    const unit = units.engine.run(async () => {
      const transaction = units.engine.current()?.transaction as unknown as SqlTransaction;
      await insert('a');
      await transaction.runLast({ text: 'insert into account (id) values ($1)', values: ['a'] });
    });
    await expect(unit).rejects.toMatchObject({ code: '23505' });
    expect(await units.accounts()).toEqual([]);
  });
});

describe('a connection that breaks', () => {
  it('before COMMIT is a rollback', async () => {
    const hooks: string[] = [];
    const unit = units.engine.run(async () => {
      units.engine.afterRollback(() => void hooks.push('afterRollback'));
      await insert('a');
      await query('select pg_terminate_backend(pg_backend_pid())').catch(() => {});
      await insert('b');
    });
    await expect(unit).rejects.toThrow();
    expect(hooks).toEqual(['afterRollback']);
    expect(await units.accounts()).toEqual([]);
  });

  it('while nothing runs ends neither the process nor the pool', async () => {
    const unit = units.engine.run(async () => {
      await insert('a');
      await kill(`state = 'idle in transaction'`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    });
    await expect(unit).rejects.toThrow();
    await units.engine.run(() => insert('b'));
    expect(await units.accounts()).toEqual(['b']);
  });
});

describe('a time-out', () => {
  it('ends a statement that waits for a lock, on the server too', async () => {
    await insert('locked');
    const first = units.engine.run(async () => {
      await accounts().update('locked', { balance: 1 });
      const second = units.engine.run({ propagation: 'REQUIRES_NEW', timeout: 200 }, () => accounts().update('locked', { balance: 2 }));
      await expect(second).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
      await eventually(async () => (await units.openTransactions()) === 1, Boolean);
    });
    await first;
    expect(await accounts().findOneByOrFail({ id: 'locked' })).toMatchObject({ balance: 1 });
  });

  it('between two statements rolls back and keeps the connection', async () => {
    const pids: number[] = [];
    const pid = async () => pids.push((await query('select pg_backend_pid() as pid'))[0].pid);
    const told: string[] = [];
    let late: Promise<unknown> | undefined;
    const unit = units.engine.run({ timeout: 5000 }, async () => {
      await pid();
      late = new Promise((resolve) => setTimeout(resolve, 6000))
        .then(() => insert('late'))
        .catch((error: { code: string }) => told.push(error.code));
      await late;
    });
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
    await late;
    await units.engine.run(pid);
    expect(told).toEqual(['HF_UOW_TIMEOUT']);
    expect(pids[0]).toBe(pids[1]);
    expect(await units.accounts()).toEqual([]);
  });

  it('during COMMIT leaves the outcome unknown', async () => {
    const unit = units.engine.run({ timeout: 5000 }, () => query(`insert into slow_commit values ('x')`));
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
    await eventually(async () => (await units.openTransactions()) === 0, Boolean);
  });

  it('gives up waiting for a connection of an exhausted pool', async () => {
    const held = await Promise.all(
      Array.from({ length: 4 }, () => units.transactions.begin({ dataSource: 'default', isolation: undefined, readOnly: false })),
    );
    await expect(units.engine.run({ timeout: 100 }, () => insert('a'))).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
    await Promise.all(held.map((transaction) => transaction.rollback()));
    await eventually(async () => units.busy().out === 0, Boolean);
    expect(await units.accounts()).toEqual([]);
  });

  it('does not wait for a straggler that holds the rollback up', async () => {
    await insert('locked');
    await units.engine.run(async () => {
      await accounts().update('locked', { balance: 1 });
      let straggler: Promise<unknown> | undefined;
      const second = units.engine.run({ propagation: 'REQUIRES_NEW' }, async () => {
        straggler = accounts().update('locked', { balance: 2 });
        straggler.catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 50));
        throw new Error('early');
      });
      await expect(second).rejects.toThrow('early');
      await expect(straggler).rejects.toThrow();
    });
  });
});

describe('the raw path', () => {
  it('runs named statements on the connection of the unit', async () => {
    const result = await units.engine.run(async () => {
      await insert('a');
      const transaction = units.engine.current()?.transaction as PgTransaction;
      return transaction.run<{ id: string }>({ name: 'accounts', text: 'select id from account where id = $1', values: ['a'] });
    });
    expect(result).toEqual({ rows: [{ id: 'a' }], rowCount: 1 });
  });
});

async function kill(where: string): Promise<void> {
  const sql = `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and application_name = 'holdfast units' and ${where}`;
  await eventually(async () => (await units.look(sql)).length > 0, Boolean);
}
