import { EventEmitter } from 'node:events';
import { subscribe } from '@holdfast/core';
import type { TypeormTransaction } from '../../../packages/typeorm/src/unit-of-work/owned-transaction.js';
import { Account, Audit, Entry, EntrySubscriber } from './entities.js';
import { eachWithUnits, gate, openUnits, type Units } from './support.js';

let units: Units;
eachWithUnits((opened) => {
  units = opened;
});

const accounts = () => units.dataSource.getRepository(Account);
const save = (id: string) => accounts().save({ id });
const run = <T>(work: () => Promise<T>): Promise<T> => units.engine.run(work);
const nested = <T>(work: () => Promise<T>): Promise<T> => units.engine.run({ propagation: 'NESTED' }, work);
const refused = new Error('refused');

describe('a part of a unit', () => {
  it('that fails and is caught leaves the rest, rows and messages', async () => {
    await run(async () => {
      await save('a');
      units.publish('a');
      const part = nested(async () => {
        await save('b');
        units.publish('b');
        throw refused;
      });
      await part.catch(() => {});
      await save('c');
      units.publish('c');
    });
    expect(await units.accounts()).toEqual(['a', 'c']);
    expect(await units.messages()).toEqual(['a', 'c']);
  });

  it('survives a database error inside: the unit goes on and commits', async () => {
    await run(async () => {
      await save('a');
      await nested(() => accounts().insert({ id: 'a' })).catch(() => {});
      await nested(() => accounts().insert({ id: 'b' }));
    });
    expect(await units.accounts()).toEqual(['a', 'b']);
  });

  it('that swallows a database error is undone and told so, and the unit goes on', async () => {
    let told: unknown;
    await run(async () => {
      await save('a');
      const part = nested(async () => {
        units.publish('gone');
        await save('b');
        await accounts()
          .insert({ id: 'a' })
          .catch(() => {});
      });
      told = await part.catch((error: unknown) => error);
      await save('after');
      units.publish('after');
    });
    expect(told).toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY', cause: { code: '23505' } });
    expect(await units.accounts()).toEqual(['a', 'after']);
    expect(await units.messages()).toEqual(['after']);
  });

  it('that swallows one in a part of its own goes on where that was undone', async () => {
    await run(async () => {
      await save('a');
      await nested(async () => {
        await save('b');
        const inner = nested(() =>
          accounts()
            .insert({ id: 'a' })
            .catch(() => {}),
        );
        await inner.catch(() => {});
        await save('c');
      });
    });
    expect(await units.accounts()).toEqual(['a', 'b', 'c']);
  });

  it('has siblings under Promise.all that fail without it', async () => {
    const part = (id: string, error?: Error) =>
      nested(async () => {
        await save(`${id}1`);
        await save(`${id}2`);
        if (error) throw error;
      });
    await run(() => Promise.allSettled([part('a'), part('b', refused), part('c'), part('d', refused)]));
    expect(await units.accounts()).toEqual(['a1', 'a2', 'c1', 'c2']);
  });

  it('that rolls back does not take plain statements beside it with it', async () => {
    await run(async () => {
      const part = nested(async () => {
        await save('gone1');
        await save('gone2');
        throw refused;
      });
      await Promise.allSettled([save('kept1'), part, save('kept2'), units.dataSource.query(`insert into account (id) values ('kept3')`)]);
    });
    expect(await units.accounts()).toEqual(['kept1', 'kept2', 'kept3']);
  });

  it('is what dataSource.transaction() makes, whichever way it is called', async () => {
    await run(async () => {
      await save('a');
      const failing = units.dataSource.transaction(async (manager) => {
        await manager.save(Account, { id: 'b' });
        await manager.transaction(async (inner) => {
          await inner.save(Account, { id: 'c' });
        });
        throw refused;
      });
      await failing.catch(() => {});
      await units.dataSource.transaction(async () => {
        await save('d');
      });
    });
    expect(await units.accounts()).toEqual(['a', 'd']);
  });

  it('has the isolation of its unit, or is refused', async () => {
    const unit = run(() => units.dataSource.transaction('SERIALIZABLE', async () => {}));
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_OPTIONS_DIFFER' });
    await units.engine.run({ isolation: 'SERIALIZABLE' }, () => units.dataSource.transaction('SERIALIZABLE', () => save('a')));
    expect(await units.accounts()).toEqual(['a']);
  });
});

describe('a unit of its own (REQUIRES_NEW)', () => {
  it('is kept when the one around rolls back', async () => {
    const unit = run(async () => {
      await save('gone');
      await units.engine.run({ propagation: 'REQUIRES_NEW' }, async () => {
        await save('kept');
        units.publish('kept');
      });
      throw refused;
    });
    await expect(unit).rejects.toBe(refused);
    expect(await units.accounts()).toEqual(['kept']);
    expect(await units.messages()).toEqual(['kept']);
  });

  it("does not take what goes through the outer one's manager", async () => {
    const unit = run(() =>
      units.dataSource.transaction(async (outer) => {
        await units.engine.run({ propagation: 'REQUIRES_NEW' }, async () => {
          await outer.save(Account, { id: 'outer' });
          await save('inner');
        });
        throw refused;
      }),
    );
    await expect(unit).rejects.toBe(refused);
    expect(await units.accounts()).toEqual(['inner']);
  });
});

describe('a unit inside another', () => {
  it("that uses the outer one's manager waits for the turn of the outer one", async () => {
    await run(async () => {
      const outer = (units.engine.current() as unknown as { transaction: TypeormTransaction }).transaction.manager;
      const part = nested(async () => {
        await save('gone1');
        await new Promise((resolve) => setTimeout(resolve, 50));
        await save('gone2');
        throw refused;
      });
      const other = units.engine.run({ propagation: 'REQUIRES_NEW' }, async () => {
        await save('inner');
        await outer.save(Account, { id: 'outer' });
      });
      await Promise.allSettled([part, other]);
    });
    expect(await units.accounts()).toEqual(['inner', 'outer']);
  });
});

describe('what is outside a unit', () => {
  it('stays there: a query runner made by hand', async () => {
    const unit = run(async () => {
      const runner = units.dataSource.createQueryRunner();
      try {
        await runner.startTransaction();
        await runner.manager.save(Account, { id: 'independent' });
        await runner.commitTransaction();
      } finally {
        await runner.release();
      }
      await save('gone');
      throw refused;
    });
    await expect(unit).rejects.toBe(refused);
    expect(await units.accounts()).toEqual(['independent']);
  });

  it('stays there: dataSource.transaction()', async () => {
    await units.dataSource.transaction((manager) => manager.save(Account, { id: 'a' }));
    const failing = units.dataSource.transaction(async (manager) => {
      await manager.save(Account, { id: 'b' });
      throw refused;
    });
    await expect(failing).rejects.toBe(refused);
    expect(await units.accounts()).toEqual(['a']);
  });

  it('stays there: a connection opened in a unit does not keep its context', async () => {
    const fresh = await openUnits({ poolSize: 3 });
    try {
      const runner = fresh.dataSource.createQueryRunner();
      const client = await fresh.engine.run(async () => {
        await fresh.dataSource.query('select 1'); // the one idle connection is taken
        return (await runner.connect()) as { query(sql: string, callback: () => void): void };
      });
      const isActive = await new Promise((resolve) => client.query('select 1', () => resolve(fresh.engine.isActive)));
      await runner.release();
      expect(isActive).toBe(false);
    } finally {
      await fresh.close();
    }
  });

  it('is where NOT_SUPPORTED and detached work are', async () => {
    const unit = run(async () => {
      await save('gone');
      await units.engine.run({ propagation: 'NOT_SUPPORTED' }, () => save('suspended'));
      await units.engine.detached(() => save('detached'));
      throw refused;
    });
    await expect(unit).rejects.toBe(refused);
    expect(await units.accounts()).toEqual(['detached', 'suspended']);
  });
});

describe('two units at once', () => {
  it('keep apart, also when a repository was first looked up in one of them', async () => {
    const metadata = units.dataSource.getMetadata(Audit);
    (units.dataSource.manager as unknown as { repositories: Map<unknown, unknown> }).repositories.delete(metadata.target);
    const write = (what: string) => units.dataSource.getRepository(Audit).createQueryBuilder().insert().values({ what }).execute();
    const first = gate();
    const second = gate();
    const a = run(async () => {
      await write('a');
      first.open();
      await second.opened;
      throw refused;
    });
    await first.opened;
    await run(() => write('b'));
    second.open();
    await expect(a).rejects.toBe(refused);
    await write('c');
    expect(await units.look('select what from audit order by what')).toEqual([{ what: 'b' }, { what: 'c' }]);
  });

  it('fifty of them, half rolled back', async () => {
    const ids = Array.from({ length: 50 }, (_, index) => String(index).padStart(2, '0'));
    await Promise.allSettled(
      ids.map((id, index) =>
        run(async () => {
          await save(`${id}a`);
          units.publish(id);
          await nested(() => save(`${id}b`));
          await Promise.allSettled([save(`${id}c`), nested(() => save(`${id}d`).then(() => Promise.reject(refused)))]);
          if (index % 2) throw refused;
        }),
      ),
    );
    const even = ids.filter((_, index) => index % 2 === 0);
    expect(await units.accounts()).toEqual(even.flatMap((id) => [`${id}a`, `${id}b`, `${id}c`]));
    expect((await units.messages()).sort()).toEqual(even);
  });
});

describe('work that outlives its unit', () => {
  it('is told so, and the connection is clean', async () => {
    const ended = gate();
    let background: Promise<unknown> | undefined;
    await run(async () => {
      background = ended.opened.then(() => save('late'));
      await save('a');
    });
    ended.open();
    await expect(background).rejects.toMatchObject({ code: 'HF_UOW_ENDED' });
    expect(await units.accounts()).toEqual(['a']);
  });

  it('is told so when it kept the query runner', async () => {
    const ended = gate();
    let background: Promise<unknown> | undefined;
    await run(() =>
      units.dataSource.transaction(async (manager) => {
        const { queryRunner } = manager;
        background = ended.opened.then(() => queryRunner?.query(`insert into account (id) values ('late')`));
      }),
    );
    ended.open();
    await expect(background).rejects.toMatchObject({ code: 'HF_UOW_ENDED' });
    expect(await units.accounts()).toEqual([]);
  });

  it('of a Promise.all that failed early runs nothing more', async () => {
    const failed = gate();
    let straggler: Promise<unknown> | undefined;
    const unit = run(() => {
      straggler = failed.opened.then(() => save('straggler'));
      return Promise.all([straggler, Promise.reject(refused)]);
    });
    await expect(unit).rejects.toBe(refused);
    failed.open();
    await expect(straggler).rejects.toMatchObject({ code: 'HF_UOW_ENDED' });
    expect(await units.accounts()).toEqual([]);
  });

  it('is told so while it stands in line behind another statement', async () => {
    let stragglers: Promise<unknown>[] = [];
    const unit = run(async () => {
      stragglers = [units.dataSource.query('select pg_sleep(0.2)'), save('late'), units.dataSource.query('select 1')];
      const told = Promise.allSettled(stragglers);
      await new Promise((resolve) => setTimeout(resolve, 50));
      void told;
      throw refused;
    });
    await expect(unit).rejects.toBe(refused);
    const ended = { status: 'rejected', reason: { code: 'HF_UOW_ENDED' } };
    expect(await Promise.allSettled(stragglers)).toMatchObject([{ status: 'fulfilled' }, ended, ended]);
    expect(await units.accounts()).toEqual([]);
  });

  it('may load lazy relations of what it read', async () => {
    await save('a');
    await units.dataSource.getRepository(Entry).save({ id: 'e' });
    await units.look(`update entry set "accountId" = 'a'`);
    const account = await run(() => accounts().findOneByOrFail({ id: 'a' }));
    expect((await account.entries).map(({ id }) => id)).toEqual(['e']);
  });
});

describe('refused in a unit', () => {
  it('stream(): it would own the connection while the loop wants it', async () => {
    const unit = run(() => accounts().createQueryBuilder('a').stream());
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_STREAM_RETURNED' });
  });

  it.each(['startTransaction', 'commitTransaction', 'rollbackTransaction'] as const)('%s() on its query runner', async (name) => {
    const unit = run(() => units.dataSource.transaction(async (manager) => manager.queryRunner?.[name]()));
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_CONTROL', details: { call: `queryRunner.${name}()` } });
  });

  it('writes, when it is read-only', async () => {
    await expect(units.engine.run({ readOnly: true }, () => save('a'))).rejects.toThrow('read-only transaction');
  });
});

describe('a unit', () => {
  it('has the isolation it asked for', async () => {
    const shown = await units.engine.run({ isolation: 'SERIALIZABLE', readOnly: true }, () =>
      units.dataSource.query('select current_setting($1) as isolation, current_setting($2) as read_only', [
        'transaction_isolation',
        'transaction_read_only',
      ]),
    );
    expect(shown).toEqual([{ isolation: 'serializable', read_only: 'on' }]);
  });

  it('tells subscribers of its own transaction only, once', async () => {
    await run(() => nested(() => units.dataSource.transaction(() => save('a'))));
    await run(() => Promise.reject(refused)).catch(() => {});
    expect(EntrySubscriber.told).toEqual([
      ...['before start', 'after start', 'before commit', 'after commit'],
      ...['before start', 'after start', 'before rollback', 'after rollback'],
    ]);
  });

  it('stays committed when a subscriber fails afterwards, which is told', async () => {
    const told: unknown[] = [];
    const stop = subscribe('hook:failed', (event) => void told.push(event));
    EntrySubscriber.failsWith = refused;
    await run(() => save('a'));
    stop();
    expect(told).toEqual([{ hook: 'afterCommit', error: refused }]);
    expect(await units.accounts()).toEqual(['a']);
  });

  it('is in scope for listeners called within it', async () => {
    const events = new EventEmitter();
    const listened: Promise<unknown>[] = [];
    events.on('saved', (id: string) => listened.push(save(id)));
    const unit = run(async () => {
      events.emit('saved', 'listener');
      await Promise.all(listened);
      throw refused;
    });
    await expect(unit).rejects.toBe(refused);
    expect(await units.accounts()).toEqual([]);
  });

  it('runs again after a serialization failure, until it succeeds', async () => {
    await accounts().save({ id: 'counter', balance: 0 });
    const increment = () =>
      units.engine.run({ isolation: 'SERIALIZABLE', retries: 50 }, async () => {
        const { balance } = await accounts().findOneByOrFail({ id: 'counter' });
        await accounts().update('counter', { balance: balance + 1 });
        units.publish('incremented');
      });
    await Promise.all(Array.from({ length: 8 }, increment));
    expect(await accounts().findOneByOrFail({ id: 'counter' })).toMatchObject({ balance: 8 });
    expect(await units.messages()).toHaveLength(8);
  });
});
