import { Account } from './entities.js';
import { eachWithUnits, gate, type Units } from './support.js';

let units: Units;
eachWithUnits((opened) => {
  units = opened;
});

const accounts = () => units.dataSource.getRepository(Account);
const save = (id: string) => accounts().save({ id });
const run = <T>(work: () => Promise<T>): Promise<T> => units.engine.run(work);
const nested = <T>(work: () => Promise<T>): Promise<T> => units.engine.run({ propagation: 'NESTED' }, work);
const refused = new Error('refused');

describe('joining a transaction of the user', () => {
  it('writes rows and messages into it; his commit decides', async () => {
    const runner = units.dataSource.createQueryRunner();
    await runner.startTransaction();
    await units.engine.join(runner.manager, async () => {
      await runner.manager.save(Account, { id: 'his' });
      await save('injected');
      await nested(() => save('part').then(() => Promise.reject(refused))).catch(() => {});
      units.publish('m');
    });
    await runner.manager.save(Account, { id: 'after' });
    expect(await units.messages()).toEqual([]);
    await runner.commitTransaction();
    await runner.release();
    expect(await units.accounts()).toEqual(['after', 'his', 'injected']);
    expect(await units.messages()).toEqual(['m']);
  });

  it('lets his query runner take turns with parts that are undone', async () => {
    await units.dataSource.transaction((manager) =>
      units.engine.join(manager, async () => {
        const part = nested(async () => {
          await save('gone1');
          await new Promise((resolve) => setTimeout(resolve, 20));
          throw refused;
        });
        await Promise.allSettled([part, manager.save(Account, { id: 'kept' })]);
      }),
    );
    expect(await units.accounts()).toEqual(['kept']);
  });

  it('ends with the time of a method in it, and leaves him his transaction to roll back', async () => {
    const [late, ended] = [gate(), gate()];
    const joining = units.dataSource.transaction((manager) =>
      units.engine.join(manager, async () => {
        await save('gone');
        await units.engine.run({ timeout: 50 }, async () => {
          await late.opened;
          await expect(save('late')).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
          ended.open();
        });
      }),
    );
    await expect(joining).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT', details: { timeoutMs: 50 } });
    late.open();
    await ended.opened;
    expect(await units.accounts()).toEqual([]);
    expect(await units.openTransactions()).toBe(0);
  });

  it('lets no statement behind his rollback that was to come behind one on its way', async () => {
    const ended = gate();
    const joining = units.dataSource.transaction((manager) =>
      units.engine.join(manager, () =>
        units.engine.run({ timeout: 50 }, async () => {
          await manager.query('select pg_sleep(0.3)').catch(() => undefined);
          await expect(manager.query(`insert into account (id) values ('late')`)).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
          ended.open();
        }),
      ),
    );
    await expect(joining).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
    await ended.opened;
    expect(await units.accounts()).toEqual([]);
    expect(await units.openTransactions()).toBe(0);
    await save('next');
    expect(await units.accounts()).toEqual(['next']);
  });

  it('refuses another join of it beside one that is at work, and leaves nothing open', async () => {
    const [begun, tried] = [gate(), gate()];
    let joins: Promise<unknown>[] = [];
    const transaction = units.dataSource.transaction((manager) => {
      const first = units.engine.join(manager, async () => {
        await save('first');
        begun.open();
        await tried.opened;
        units.publish('first');
      });
      const second = begun.opened.then(() => {
        const joined = units.engine.join(manager, async () => {
          await first;
          units.publish('second');
        });
        tried.open();
        return joined;
      });
      joins = [first, second];
      return Promise.all(joins);
    });
    await expect(transaction).rejects.toMatchObject({
      code: 'HF_UOW_JOIN_HANDLE',
      message: expect.stringContaining('another join of it is still at work'),
    });
    await Promise.allSettled(joins);
    expect(await units.openTransactions()).toBe(0);
    await run(() => save('next'));
    expect(await units.accounts()).toEqual(['next']);
    expect(await units.messages()).toEqual([]);
  });

  it('takes joins of it one after another and one within another, also when the one within outlives the one around', async () => {
    const [ended, done] = [gate(), gate()];
    await units.dataSource.transaction(async (manager) => {
      const join = (id: string, then?: () => Promise<unknown>) =>
        units.engine.join(manager, async () => {
          await save(id);
          units.publish(id);
          await then?.();
        });
      await join('1', () => join('2'));
      await join('3');
      let within: Promise<unknown> | undefined;
      await join('4', async () => {
        within = join('5', () => ended.opened.then(() => save('6')).finally(done.open));
        await save('7');
      });
      ended.open();
      await done.opened;
      await manager.save(Account, { id: '8' });
      await within;
      await manager.save(Account, { id: '9' });
    });
    expect(await units.accounts()).toEqual(['1', '2', '3', '4', '5', '6', '7', '8', '9']);
    expect((await units.messages()).sort()).toEqual(['1', '2', '3', '4', '5']);
  });

  it('can be ended by him while a join within another one is still at work', async () => {
    const ended = gate();
    let within: Promise<unknown> | undefined;
    await units.dataSource.transaction((manager) =>
      units.engine.join(manager, async () => {
        await save('his');
        const begun = gate();
        within = units.engine.join(manager, async () => {
          await save('too');
          begun.open();
          await ended.opened;
          units.publish('late');
        });
        within.catch(() => {});
        await begun.opened;
      }),
    );
    expect(await units.openTransactions()).toBe(0);
    expect(await units.accounts()).toEqual(['his', 'too']);
    ended.open();
    await expect(within).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY' });
    expect(await units.messages()).toEqual([]);
  });

  it('is gone with his rollback', async () => {
    const transaction = units.dataSource.transaction(async (manager) => {
      await units.engine.join(manager, async () => {
        await save('a');
        units.publish('m');
      });
      throw refused;
    });
    await expect(transaction).rejects.toBe(refused);
    expect(await units.accounts()).toEqual([]);
    expect(await units.messages()).toEqual([]);
  });

  it('writes no message when he ended it inside', async () => {
    const runner = units.dataSource.createQueryRunner();
    await runner.startTransaction();
    const joined = units.engine.join(runner.manager, async () => {
      units.publish('m');
      await runner.commitTransaction();
    });
    await expect(joined).rejects.toMatchObject({ code: 'HF_UOW_ROLLBACK_ONLY' });
    await runner.release();
    expect(await units.messages()).toEqual([]);
  });

  it.each([
    ['the manager of the data source', () => units.dataSource.manager],
    ['a runner with no transaction', () => units.dataSource.createQueryRunner().manager],
    ['something else', () => ({}) as never],
  ])('refuses %s', async (_, handle) => {
    await expect(units.engine.join(handle(), async () => {})).rejects.toMatchObject({ code: 'HF_UOW_JOIN_HANDLE' });
  });

  it('refuses the unit in scope', async () => {
    const unit = run(() => units.dataSource.transaction((manager) => units.engine.join(manager, async () => {})));
    await expect(unit).rejects.toMatchObject({ code: 'HF_UOW_JOIN_HANDLE' });
  });
});
