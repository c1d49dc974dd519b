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
      const before = units.scopes.hasWritten();
      await write();
      return [before, units.scopes.hasWritten()];
    });
    expect(seen).toEqual([false, true]);
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
      return units.scopes.hasWritten();
    });
    expect(seen).toBe(false);
  });

  it('but not by a write inside a unit, also where the unit is suspended', async () => {
    const seen = await inOwnContext(() =>
      units.engine.run(async () => {
        await units.dataSource.query(`insert into account (id) values ('x')`);
        await accounts().save({ id: 'y' });
        return units.engine.run({ propagation: 'NOT_SUPPORTED' }, async () => units.scopes.hasWritten());
      }),
    );
    expect(seen).toBe(false);
  });

  it('and nowhere else', async () => {
    await inOwnContext(() => accounts().save(x));
    expect(units.scopes.hasWritten()).toBe(false);
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
