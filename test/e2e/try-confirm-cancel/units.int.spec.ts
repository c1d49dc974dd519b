import { setTimeout as sleep } from 'node:timers/promises';
import { gate, until } from '@holdfast-internal/test-support';
import { Command, type HoldfastError, Message, NonRetryableError, type UnitOptions } from '@holdfast/core';
import { type Bank, type BankProcess, ended, openBank } from './support/bank.js';

let bank: Bank;

beforeEach(async () => {
  bank = await openBank();
});

afterEach(() => bank.close());

const UNTOUCHED = { balances: { ann: 100, ben: 100, cleo: 100 }, frozen: 0, taken: 0, lost: 0 };
const TAKEN = { balances: { ann: 70, ben: 100, cleo: 100 }, frozen: 0, taken: 30, lost: 0 };

@Message('bank.take')
class Take extends Command {}

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: HoldfastError) => error.code ?? error.message,
  );

/** For a cancel that does not wait to be done. */
const LONG_ENOUGH_MS = 500;

describe('the tries of a unit of work', () => {
  it('are confirmed when it has committed, and what the try returned is there', async () => {
    const { bus, freeze, hold, calls } = await bank.open();
    const results = await bus.unitOfWork.run(async () => [await freeze('ann', 30), await hold('o-1')]);
    expect(results).toEqual([{ left: 70 }, { hold: 'h-o-1' }]);
    expect(await ended(bank, 2)).toEqual(['points.freeze confirmed', 'card.hold confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
    expect(calls).toEqual(['hold o-1', 'capture o-1 h-o-1']);
  });

  it('are cancelled when it was rolled back', async () => {
    const { bus, freeze, hold, calls } = await bank.open();
    const work = bus.unitOfWork.run(async () => {
      await freeze('ann', 30);
      await hold('o-1');
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await ended(bank, 2)).toEqual(['points.freeze cancelled', 'card.hold cancelled']);
    expect(await bank.books()).toEqual(UNTOUCHED);
    expect(calls).toEqual(['hold o-1', 'release o-1 h-o-1']);
  });

  it('are cancelled when its COMMIT is refused by the database', async () => {
    const { bus, freeze, dataSource } = await bank.open();
    await dataSource.query('create table veto (n int primary key, other int references veto deferrable initially deferred)');
    const work = bus.unitOfWork.run(async () => {
      await freeze('ann', 30);
      await dataSource.query('insert into veto values (1, 2)');
    });
    await expect(work).rejects.toThrow('foreign key');
    expect(await ended(bank, 1)).toEqual(['points.freeze cancelled']);
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it('are cancelled when it was doomed by an error that somebody swallowed', async () => {
    const { bus, freeze, dataSource } = await bank.open();
    const work = bus.unitOfWork.run(async () => {
      await freeze('ann', 30);
      await dataSource.query('select no_such_column').catch(() => undefined);
    });
    expect(await codeOf(work)).toBe('HF_UOW_ROLLBACK_ONLY');
    expect(await ended(bank, 1)).toEqual(['points.freeze cancelled']);
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it('that refuse what a request is about are cancelled, and the request is refused without a dead letter', async () => {
    const trying = () => {
      throw new NonRetryableError('not enough points');
    };
    const { bus } = await bank.open({ trying }, {}, ({ bus: opening, freeze }) =>
      opening.on(Take, async () => void (await freeze('ann', 30)), { name: 'bank.take', transactional: true, idempotent: true }),
    );
    await expect(bus.bus.request(new Take())).rejects.toMatchObject({
      code: 'HF_REQUEST_REJECTED',
      details: { reason: 'not enough points' },
    });
    expect(await ended(bank, 1)).toEqual(['points.freeze cancelled']);
    expect([await bank.books(), (await bus.deadLetters.list()).items]).toEqual([UNTOUCHED, []]);
  });

  it('that failed are cancelled, whatever the unit does about it', async () => {
    const obstacles = { trying: () => undefined as undefined | never };
    const { bus, freeze, hold, calls } = await bank.open(obstacles);
    await bus.unitOfWork.run(async () => {
      await freeze('ben', 10);
      obstacles.trying = () => {
        throw new Error('broken');
      };
      for (const failing of [freeze('ann', 30), hold('o-1')]) await failing.catch(() => undefined);
      // Not only when it has ended.
      await until('the cancels', async () => (await bank.branches()).filter(({ status }) => status === 'cancelled').length === 2);
    });
    expect(await ended(bank, 3)).toEqual(['points.freeze confirmed', 'points.freeze cancelled', 'card.hold cancelled']);
    expect(await bank.books()).toEqual({ balances: { ann: 100, ben: 90, cleo: 100 }, frozen: 0, taken: 10, lost: 0 });
    // Nobody knows what it did at the foreign bank before it failed.
    expect(calls).toEqual(['hold o-1', 'release o-1 unknown']);
  });

  it('in a part of it that was undone are cancelled, and those around it confirmed', async () => {
    const { bus, freeze } = await bank.open();
    await bus.unitOfWork.run(async () => {
      await freeze('ann', 30);
      const part = bus.unitOfWork.run({ propagation: 'NESTED' }, async () => {
        await freeze('ben', 10);
        throw new Error('undone');
      });
      await part.catch(() => undefined);
      await bus.unitOfWork.run({ propagation: 'NESTED' }, () => freeze('cleo', 5));
    });
    expect(await ended(bank, 3)).toEqual(['points.freeze confirmed', 'points.freeze cancelled', 'points.freeze confirmed']);
    expect(await bank.books()).toEqual({ balances: { ann: 70, ben: 100, cleo: 95 }, frozen: 0, taken: 35, lost: 0 });
  });

  it('are decided by the innermost unit: one of its own commits though that around it does not', async () => {
    const { bus, freeze } = await bank.open();
    const work = bus.unitOfWork.run(async () => {
      await freeze('ben', 10);
      await bus.unitOfWork.run({ propagation: 'REQUIRES_NEW' }, () => freeze('ann', 30));
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect((await ended(bank, 2)).sort()).toEqual(['points.freeze cancelled', 'points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
  });

  it('that it did not wait for are cancelled, also when they are in the midst', async () => {
    const midst = gate();
    const { bus, freeze } = await bank.open({ trying: () => midst.pass(), timeout: '1s' });
    let floating: Promise<string | undefined> | undefined;
    await bus.unitOfWork.run(async () => {
      floating = codeOf(freeze('ann', 30));
      await midst.reached;
    });
    expect(await ended(bank, 1)).toEqual(['points.freeze cancelled']);
    expect(await floating).toBe('HF_UOW_TIMEOUT');
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it('that still run when it has failed are waited for: the cancel finds what they did', async () => {
    const midst = gate();
    const { bus, hold, calls } = await bank.open({ trying: () => midst.pass() });
    const unit = bus.unitOfWork.run(() =>
      Promise.all([
        hold('o-1'),
        midst.reached.then(() => {
          throw new Error('no room');
        }),
      ]),
    );
    await expect(unit).rejects.toThrow('no room');
    await sleep(LONG_ENOUGH_MS);
    expect(await bank.branches()).toEqual([{ method: 'card.hold', status: 'trying' }]);
    midst.open();
    expect(await ended(bank, 1)).toEqual(['card.hold cancelled']);
    expect(calls).toEqual(['hold o-1', 'release o-1 h-o-1']);
  });

  it.each(['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'] as const)('are decided by its commit at %s', async (isolation) => {
    const { bus, freeze, dataSource } = await bank.open();
    await bus.unitOfWork.run({ isolation }, async () => {
      await dataSource.query('select 1');
      await freeze('ann', 30);
    });
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
  });

  it('are decided together with its half messages', async () => {
    const { bus, freeze } = await bank.open();
    await bus.unitOfWork.run({ protocol: 'half-message' }, async () => {
      await freeze('ann', 30);
      await bus.bus.publish(new Placed('o-1'));
    });
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
  });
});

@Message('bank.placed')
class Placed {
  constructor(readonly order: string) {}
}

describe('a transaction of the user’s own that is joined', () => {
  const joined = ({ bus, dataSource, freeze }: BankProcess, then: () => void) =>
    dataSource.transaction(async (manager) => {
      await bus.unitOfWork.join(manager, () => freeze('ann', 30));
      then();
    });

  it('decides by its COMMIT', async () => {
    await joined(await bank.open(), () => undefined);
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
  });

  it('and by its ROLLBACK', async () => {
    const work = joined(await bank.open(), () => {
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await ended(bank, 1)).toEqual(['points.freeze cancelled']);
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it('is waited for while it is open', async () => {
    const { bus, dataSource, freeze } = await bank.open();
    await dataSource.transaction(async (manager) => {
      await bus.unitOfWork.join(manager, () => freeze('ann', 30));
      await until('a look at the open transaction', async () => (await bank.look(WAITING)).length > 0);
      expect(await bank.branches()).toEqual([{ method: 'points.freeze', status: 'trying' }]);
    });
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
  });
});

/** Whoever asks about a decision that is written and not committed. */
const WAITING = `select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database() and query like '%rolled-back%'`;

describe('a try is refused', () => {
  const nothingHappened = async () => {
    expect(await bank.branches()).toEqual([]);
    expect(await bank.books()).toEqual(UNTOUCHED);
  };

  it('outside any unit of work, and where one is suspended', async () => {
    const { bus, freeze } = await bank.open();
    expect(await codeOf(freeze('ann', 30))).toBe('HF_TCC_NO_UNIT');
    const suspended = bus.unitOfWork.run(() => bus.unitOfWork.run({ propagation: 'NOT_SUPPORTED' }, () => freeze('ann', 30)));
    expect(await codeOf(suspended)).toBe('HF_TCC_NO_UNIT');
    expect(await codeOf(bus.unitOfWork.run({ propagation: 'SUPPORTS' }, () => freeze('ann', 30)))).toBe('HF_TCC_NO_UNIT');
    await nothingHappened();
  });

  it('in a unit that writes nothing', async () => {
    const { bus, freeze } = await bank.open();
    const options: UnitOptions = { readOnly: true };
    expect(await codeOf(bus.unitOfWork.run(options, () => freeze('ann', 30)))).toBe('HF_UOW_READ_ONLY');
    await nothingHappened();
  });

  it('with arguments that JSON would change, or that are not those it declares', async () => {
    const { bus, hold } = await bank.open();
    const call = (...args: unknown[]) => codeOf(bus.unitOfWork.run(() => (hold as (...given: unknown[]) => Promise<unknown>)(...args)));
    const bad = [new Date(), Number.NaN, 1n, new Map(), () => 1, undefined, 'x'.repeat(300_000), [undefined]];
    for (const value of bad) expect(await call(value)).toBe('HF_TCC_ARGUMENTS');
    expect(await call()).toBe('HF_TCC_ARGUMENTS');
    expect(await call('a', 'b')).toBe('HF_TCC_ARGUMENTS');
    await nothingHappened();
  });

  it('within another one', async () => {
    const inner: { call?: () => Promise<unknown> } = {};
    const { bus, freeze, hold } = await bank.open({ trying: async () => void (await inner.call?.()) });
    inner.call = () => {
      inner.call = undefined;
      return hold('o-1');
    };
    expect(await codeOf(bus.unitOfWork.run(() => freeze('ann', 30)))).toBe('HF_TCC_NESTED');
    expect(await ended(bank, 1)).toEqual(['points.freeze cancelled']);
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it('before the start and after the stop', async () => {
    const { bus, freeze } = await bank.open();
    await bus.stop();
    expect(await codeOf(bus.unitOfWork.run(() => freeze('ann', 30)))).toBe('HF_STOPPING');
    await nothingHappened();
  });
});
