import { installInterception } from '../../../packages/typeorm/src/unit-of-work/interception.js';
import { Account, Note } from './entities.js';
import { openUnits, type Units } from './support.js';

let units: Units;

beforeAll(async () => {
  units = await openUnits();
});
beforeEach(() => units.clean());
afterAll(() => units.close());

const accounts = () => units.dataSource.getRepository(Account);
const x = { id: 'x' };

/** Each starts in a context of its own, as a request does. */
const inOwnContext = <T>(work: () => Promise<T>): Promise<T> => units.scopes.root(work);

describe('a write outside any unit is remembered in its context', () => {
  it.each<[string, () => Promise<unknown>]>([
    ['repository.save', () => accounts().save(x)],
    ['repository.insert', () => accounts().insert(x)],
    ['repository.update', () => accounts().update('x', { balance: 1 })],
    ['repository.delete', () => accounts().delete('x')],
    ['repository.softDelete', () => accounts().softDelete('x')],
    ['repository.upsert', () => accounts().upsert(x, ['id'])],
    ['manager.save', () => units.dataSource.manager.save(Account, x)],
    ['ActiveRecord', () => Object.assign(new Note(), x).save()],
    ['query builder', () => units.dataSource.createQueryBuilder().insert().into(Account).values(x).execute()],
    ['dataSource.query', () => units.dataSource.query(`insert into account (id) values ('x')`)],
    ['a writing CTE', () => units.dataSource.query(`with w as (insert into account (id) values ('x') returning id) select * from w`)],
    ['dataSource.transaction', () => units.dataSource.transaction((manager) => manager.save(Account, x))],
  ])('by %s', async (_, write) => {
    const seen = await inOwnContext(async () => {
      await Promise.resolve();
      const before = units.scopes.seenWrite();
      await write();
      return [before, units.scopes.seenWrite()];
    });
    expect(seen).toEqual(['none', 'own']);
  });

  it.each<[string, () => Promise<unknown>]>([
    ['repository.find', () => accounts().find()],
    ['query builder', () => accounts().createQueryBuilder('a').getMany()],
    ['dataSource.query', () => units.dataSource.query('select 1')],
    ['a unit', () => units.engine.run(() => accounts().save(x))],
    ['detached work', () => units.engine.detached(() => accounts().save(x))],
  ])('but not by %s', async (_, read) => {
    const seen = await inOwnContext(async () => {
      await read();
      return units.scopes.seenWrite();
    });
    expect(seen).toBe('none');
  });

  it.each<[string, () => Promise<unknown>]>([
    ['repository.save', () => accounts().save({ id: null } as never)],
    ['repository.insert', () => accounts().insert(x)],
    ['query builder', () => units.dataSource.createQueryBuilder().insert().into(Account).values(x).execute()],
    ['dataSource.query', () => units.dataSource.query(`insert into account (id) values ('x')`)],
    ['dataSource.transaction', () => units.dataSource.transaction((manager) => manager.insert(Account, x))],
  ])('but not by %s that failed', async (_, write) => {
    await units.look(`insert into account (id) values ('x')`);
    const seen = await inOwnContext(async () => {
      await expect(write()).rejects.toThrow();
      return units.scopes.seenWrite();
    });
    expect(seen).toBe('none');
  });

  it('but not by a write inside a unit, also where the unit is suspended', async () => {
    const seen = await inOwnContext(() =>
      units.engine.run(async () => {
        await units.dataSource.query(`insert into account (id) values ('x')`);
        await accounts().save({ id: 'y' });
        return units.engine.run({ propagation: 'NOT_SUPPORTED' }, async () => units.scopes.seenWrite());
      }),
    );
    expect(seen).toBe('none');
  });

  it('and not by an earlier one that stands, when a later one fails or only reads', async () => {
    const seen = await inOwnContext(async () => {
      await accounts().insert(x);
      await accounts()
        .insert(x)
        .catch(() => undefined);
      await units.dataSource.transaction((manager) => manager.find(Account));
      return units.scopes.seenWrite();
    });
    expect(seen).toBe('own');
  });

  it('within a transaction of TypeORM from the first statement that writes', async () => {
    const seen: string[] = [];
    await inOwnContext(() =>
      units.dataSource.transaction('SERIALIZABLE', async (manager) => {
        await manager.find(Account);
        seen.push(units.scopes.seenWrite());
        await manager.save(Account, x);
        seen.push(units.scopes.seenWrite());
      }),
    );
    expect(seen).toEqual(['none', 'own']);
  });

  it('but not by one that a unit has joined', async () => {
    const seen = await inOwnContext(async () => {
      await units.dataSource.transaction((manager) => units.engine.join(manager, () => manager.save(Account, x)));
      return units.scopes.seenWrite();
    });
    expect(seen).toBe('none');
    expect(await units.accounts()).toEqual(['x']);
  });

  it('from its end on, when it takes long', async () => {
    const seen = await inOwnContext(async () => {
      await units.dataSource.query(`insert into account (id) select 'x' from pg_sleep(1.2)`);
      return units.scopes.seenWrite();
    });
    expect(seen).toBe('own');
  });

  it('as one that may be of somebody else, in a context that nobody opened for one piece of work', async () => {
    const seen = new Promise((resolve) => {
      setTimeout(async () => {
        await accounts().save(x);
        resolve([units.scopes.seenWrite(), await units.engine.detached(async () => units.scopes.seenWrite())]);
      });
    });
    expect(await seen).toEqual(['near', 'none']);
  });

  it('only where the messages are kept', async () => {
    units.uninstall();
    const uninstall = installInterception(units.dataSource, { scopes: units.scopes as never, name: 'other', hasOutbox: false });
    const seen = await inOwnContext(async () => {
      await accounts().insert(x);
      await accounts().save({ id: 'y' });
      return units.scopes.seenWrite();
    });
    uninstall();
    units.reinstall();
    expect(seen).toBe('none');
  });

  it('and nowhere else', async () => {
    await inOwnContext(() => accounts().save(x));
    expect(units.scopes.seenWrite()).toBe('none');
  });

  it('and changes nothing for units', async () => {
    await inOwnContext(async () => {
      await accounts().save(x);
      expect(units.engine.isActive).toBe(false);
      await units.engine.run(async () => {
        expect(units.engine.isActive).toBe(true);
        await units.engine.run({ propagation: 'NOT_SUPPORTED' }, async () => {
          await accounts().save({ id: 'y' });
          expect(units.engine.isActive).toBe(false);
        });
      });
    });
  });
});
