import { type EntityManager, Repository } from 'typeorm';
import { Account, Audit, Category, Entry, Note } from './entities.js';
import { openUnits, type Units } from './support.js';

let units: Units;

beforeAll(async () => {
  units = await openUnits();
});
beforeEach(() => units.clean());
afterAll(() => units.close());

/** Ways to write a row through the user's own objects. Each runs in a unit that commits, in one that rolls back, and outside any. */
interface Path {
  readonly name: string;
  /** What is made before the unit begins. */
  readonly prepare?: () => unknown;
  readonly write: (made: unknown) => Promise<unknown>;
  /** What must be there after a commit, and must not after a rollback; default: account x. */
  readonly found?: string;
}

const accounts = () => units.dataSource.getRepository(Account);
const x = { id: 'x', balance: 1 };
const account = "select 1 from account where id = 'x'";

/** What a user puts on a repository of his own: it saves through itself. */
const Opening = {
  open(this: Pick<ReturnType<typeof accounts>, 'save'>, id: string): Promise<unknown> {
    return this.save({ id });
  },
};

/** A repository as it is written since TypeORM 0.3, to be injected: with a manager of its own. */
class OwnRepository extends Repository<Account> {
  constructor() {
    super(Account, units.dataSource.createEntityManager());
  }
}

const own = () => new OwnRepository();

/** The repository as its manager makes it when nobody has asked for it before. */
function firstLookUp(): ReturnType<typeof accounts> {
  const { target } = units.dataSource.getMetadata(Account);
  (units.dataSource.manager as unknown as { repositories: Map<unknown, unknown> }).repositories.delete(target);
  return accounts();
}

const PATHS: readonly Path[] = [
  { name: 'repository.save', prepare: accounts, write: (made) => (made as ReturnType<typeof accounts>).save(x) },
  { name: 'repository.insert', write: () => accounts().insert(x) },
  { name: 'repository.upsert', write: () => accounts().upsert(x, ['id']) },
  {
    name: 'repository.update of a row written here',
    write: async () => {
      await accounts().insert(x);
      await accounts().update({ id: 'x' }, { balance: 7 });
    },
    found: `${account} and balance = 7`,
  },
  {
    name: 'repository.softDelete of a row written here',
    write: async () => {
      await accounts().insert(x);
      await accounts().softDelete({ id: 'x' });
    },
    found: `${account} and "deletedAt" is not null`,
  },
  {
    name: 'repository finds what was written here',
    write: async () => {
      await accounts().save(x);
      const found = await accounts().findOneByOrFail({ id: 'x' });
      await accounts().save({ ...found, balance: found.balance + 10 });
    },
    found: `${account} and balance = 11`,
  },
  {
    // A manager keeps the repositories it has made: one made in a unit must not keep that unit's connection for its later users.
    name: 'repository first looked up in another unit',
    prepare: () => units.engine.run(async () => firstLookUp()),
    write: (made) => (made as ReturnType<typeof accounts>).createQueryBuilder().insert().values(x).execute(),
  },
  { name: 'repository first looked up here', write: () => firstLookUp().createQueryBuilder().insert().values(x).execute() },
  { name: 'manager.save', write: () => units.dataSource.manager.save(Account, x) },
  { name: 'manager.query', write: () => units.dataSource.manager.query(`insert into account (id) values ('x')`) },
  { name: 'manager.sql', write: () => units.dataSource.manager.sql`insert into account (id) values (${'x'})` },
  { name: 'dataSource.query', write: () => units.dataSource.query(`insert into account (id) values ($1)`, ['x']) },
  { name: 'dataSource.sql', write: () => units.dataSource.sql`insert into account (id) values (${'x'})` },
  { name: 'query builder of the repository', write: () => accounts().createQueryBuilder().insert().values(x).execute() },
  {
    name: 'query builder of the manager',
    write: () => units.dataSource.manager.createQueryBuilder().insert().into(Account).values(x).execute(),
  },
  {
    name: 'query builder of the data source',
    write: () => units.dataSource.createQueryBuilder().insert().into(Account).values(x).execute(),
  },
  {
    name: 'query builder made before the unit',
    prepare: () => units.dataSource.createQueryBuilder().insert().into(Account).values(x),
    write: (made) => (made as { execute(): Promise<unknown> }).execute(),
  },
  {
    name: 'select query builder made before the unit',
    prepare: () => accounts().createQueryBuilder('a').where(`a.id = 'x'`),
    write: async (made) => {
      await accounts().insert(x);
      const found = await (made as { getMany(): Promise<Account[]> }).getMany();
      await accounts().update({ id: 'x' }, { balance: found.length });
    },
    found: `${account} and balance = 1`,
  },
  { name: 'ActiveRecord', write: () => Object.assign(new Note(), { id: 'x' }).save(), found: `select 1 from note where id = 'x'` },
  {
    name: 'custom repository by extend()',
    prepare: () => accounts().extend(Opening),
    write: (made) => (made as { open(id: string): Promise<unknown> }).open('x'),
  },
  { name: 'save of a repository with a manager of its own', prepare: own, write: (made) => (made as OwnRepository).save(x) },
  {
    name: 'insert and save of a repository with a manager of its own',
    prepare: own,
    write: async (made) => {
      await (made as OwnRepository).insert(x);
      await (made as OwnRepository).save({ ...x, balance: 5 });
    },
    found: `${account} and balance = 5`,
  },
  {
    name: 'remove of a repository with a manager of its own',
    prepare: own,
    write: async (made) => {
      const repository = made as OwnRepository;
      await repository.remove(await repository.save({ ...x }));
      await repository.save({ ...x, balance: 3 });
    },
    found: `${account} and balance = 3`,
  },
  {
    name: 'softRemove and recover of a repository with a manager of its own',
    prepare: own,
    write: async (made) => {
      const repository = made as OwnRepository;
      await repository.recover(await repository.softRemove(await repository.save({ ...x, balance: 4 })));
    },
    found: `${account} and balance = 4 and "deletedAt" is null`,
  },
  {
    // On another connection it would wait for the row that was written here.
    name: 'clear of a manager of its own',
    prepare: own,
    write: async (made) => {
      await units.dataSource.query(`insert into note (id) values ('x')`);
      await (made as OwnRepository).manager.clear(Note);
      await (made as OwnRepository).save(x);
    },
  },
  {
    name: 'transaction of a manager of its own',
    prepare: () => units.dataSource.createEntityManager(),
    write: (made) => (made as EntityManager).transaction((manager) => manager.save(Account, x)),
  },
  {
    name: 'query of a manager of its own',
    write: () => units.dataSource.createEntityManager().query(`insert into account (id) values ('x')`),
  },
  {
    name: 'cascade',
    write: () => accounts().save({ id: 'x', lines: [{ id: 'l' }] }),
    found: `${account} and exists (select 1 from line where "accountId" = 'x')`,
  },
  {
    name: "subscriber's event.manager",
    write: () => units.dataSource.getRepository(Entry).save({ id: 'e' }),
    found: `select 1 from audit where what = 'entry e'`,
  },
  {
    name: 'tree repository',
    write: () => units.dataSource.getTreeRepository(Category).save(Object.assign(new Category(), { id: 'x' })),
    found: `select 1 from category where id = 'x'`,
  },
  { name: 'dataSource.transaction', write: () => units.dataSource.transaction((manager) => manager.save(Account, x)) },
  { name: 'manager.transaction', write: () => units.dataSource.manager.transaction((manager) => manager.save(Account, x)) },
  {
    name: 'dataSource.transaction within itself',
    write: () => units.dataSource.transaction((outer) => outer.transaction((inner) => inner.save(Account, x))),
  },
  {
    name: 'manager.withRepository inside dataSource.transaction',
    write: () => units.dataSource.transaction((manager) => manager.withRepository(accounts()).save(x)),
  },
  {
    name: 'lazy relation',
    write: async () => {
      await accounts().save({ id: 'x' });
      await units.dataSource.query(`insert into entry (id, "accountId") values ('e', 'x')`);
      const found = await accounts().findOneByOrFail({ id: 'x' });
      const entries = await found.entries;
      await units.dataSource.getRepository(Audit).save({ what: `${entries.length} entries` });
    },
    found: `select 1 from audit where what = '1 entries'`,
  },
  {
    name: 'after an await on something else',
    write: async () => {
      await new Promise((resolve) => setTimeout(resolve, 1));
      await accounts().save(x);
    },
  },
  {
    name: 'repository.remove of a row written here',
    write: async () => {
      const saved = await accounts().save({ ...x });
      await accounts().remove(saved);
      await accounts().insert({ id: 'x', balance: 3 });
    },
    found: `${account} and balance = 3`,
  },
];

/** In a transaction of TypeORM's own that a unit has joined. */
const joined = (work: () => Promise<void>) => units.dataSource.transaction((manager) => units.engine.join(manager, work));

describe.each(PATHS)('$name', ({ prepare, write, found = account }) => {
  const look = async (): Promise<boolean> => (await units.look(found)).length > 0;

  it('commits with the unit, and is seen by nobody before', async () => {
    const made = await prepare?.();
    let seenBefore: boolean | undefined;
    await units.engine.run(async () => {
      await write(made);
      seenBefore = await look();
    });
    expect({ seenBefore, seenAfter: await look() }).toEqual({ seenBefore: false, seenAfter: true });
  });

  it('is gone with the rollback', async () => {
    const made = await prepare?.();
    const unit = units.engine.run(async () => {
      await write(made);
      throw new Error('rolled back');
    });
    await expect(unit).rejects.toThrow('rolled back');
    expect(await look()).toBe(false);
  });

  it('commits with the transaction that a unit has joined, and leaves it to its owner', async () => {
    const made = await prepare?.();
    let seenBefore: boolean | undefined;
    await joined(async () => {
      await write(made);
      seenBefore = await look();
    });
    expect({ seenBefore, seenAfter: await look() }).toEqual({ seenBefore: false, seenAfter: true });
  });

  it('is gone with the rollback of the transaction that a unit has joined', async () => {
    const made = await prepare?.();
    const unit = joined(async () => {
      await write(made);
      throw new Error('rolled back');
    });
    await expect(unit).rejects.toThrow('rolled back');
    expect(await look()).toBe(false);
  });

  it('commits by itself outside a unit', async () => {
    await write(await prepare?.());
    expect(await look()).toBe(true);
  });

  it('is a transaction of its own again after the application has stopped', async () => {
    const made = await prepare?.();
    units.uninstall();
    try {
      await write(made);
      expect(await look()).toBe(true);
    } finally {
      units.reinstall();
    }
  });

  afterEach(async () => {
    expect(units.busy()).toEqual({ out: 0, waiting: 0 });
    expect(await units.openTransactions()).toBe(0);
  });
});
