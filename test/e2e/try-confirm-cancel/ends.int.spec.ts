import { countingProxy, ears, until } from '@holdfast-internal/test-support';
import { armFailpoint, defineSaga, type HoldfastError, Message, NonRetryableError, subscribe, type TryBranch } from '@holdfast/core';
import { type Bank, type BankProcess, ended, type Obstacles, openBank } from './support/bank.js';

const hear = ears();

let bank: Bank;

beforeEach(async () => {
  bank = await openBank();
});

afterEach(() => bank.close());

const UNTOUCHED = { balances: { ann: 100, ben: 100, cleo: 100 }, frozen: 0, taken: 0, lost: 0 };
const TAKEN = { balances: { ann: 70, ben: 100, cleo: 100 }, frozen: 0, taken: 30, lost: 0 };
const BY = { by: 'ann', reason: 'the bank is open' };

const codeOf = (work: Promise<unknown>) =>
  work.then(
    () => undefined,
    (error: HoldfastError) => error.code ?? error.message,
  );

/** Freezes 30 points of Ann in a unit that commits. */
const commit = ({ bus, freeze }: BankProcess) => bus.unitOfWork.run(() => freeze('ann', 30));
/** The same in one that does not. */
const rollBack = ({ bus, freeze }: BankProcess) =>
  bus.unitOfWork.run(async () => {
    await freeze('ann', 30);
    throw new Error('no');
  });

describe('a confirm', () => {
  it('that fails is undone and tried again, with the same key and the result of the try, and all of it is told', async () => {
    const [tried, failed, ends] = [hear('branch:tried'), hear('branch:failed'), hear('branch:ended')];
    const seen: Pick<TryBranch<unknown>, 'attempt' | 'idempotencyKey' | 'result' | 'isTried'>[] = [];
    const process = await bank.open({
      confirming: ({ attempt, idempotencyKey, result, isTried }) => {
        seen.push({ attempt, idempotencyKey, result, isTried });
        if (attempt < 3) throw new Error('the bank is closed');
      },
    });
    await commit(process);
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
    const idempotencyKey = seen[0]?.idempotencyKey as string;
    expect(idempotencyKey).toMatch(/^[0-9a-f]{32}$/);
    expect(seen).toEqual([1, 2, 3].map((attempt) => ({ attempt, idempotencyKey, result: { left: 70 }, isTried: true })));
    const facts = { branch: tried[0]?.branch, method: 'points.freeze' };
    await until('the end to be told', () => ends.length > 0);
    expect([tried, ends]).toEqual([
      [{ branch: expect.any(String), method: 'points.freeze', durationMs: expect.any(Number) }],
      [{ ...facts, status: 'confirmed', how: 'called' }],
    ]);
    const failure = { ...facts, operation: 'confirm', code: 'Error', category: 'transient', delayMs: expect.any(Number) };
    expect(failed).toMatchObject([1, 2].map((attempt) => ({ ...failure, attempt })));
  });

  it('whose COMMIT was done and never answered has its effect once', async () => {
    let cuts = 0;
    const proxy = await countingProxy(bank.url, (sent) => cuts === 0 && sent.includes('confirmed') && /commit/i.test(sent));
    const stop = subscribe('unit:commit-unknown', () => {
      cuts += 1;
    });
    try {
      const process = await bank.open({}, { url: proxy.url });
      await commit(process);
      expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
      expect(cuts).toBe(1);
      expect(await bank.books()).toEqual(TAKEN);
      await process.close();
    } finally {
      stop();
      await proxy.close();
    }
  });

  it('comes though the caller never hears of his COMMIT', async () => {
    let cuts = 0;
    const proxy = await countingProxy(bank.url, (sent) => cuts === 0 && sent.includes(`then 'committed'`));
    const stop = subscribe('unit:commit-unknown', () => {
      cuts += 1;
    });
    try {
      const process = await bank.open({}, { url: proxy.url });
      expect(await codeOf(commit(process))).toBe('HF_UOW_COMMIT_UNKNOWN');
      expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
      expect(await bank.books()).toEqual(TAKEN);
      await process.close();
    } finally {
      stop();
      await proxy.close();
    }
  });

  it('that a process gives back when it stops is left to another one', async () => {
    let arrived: () => void = () => undefined;
    const isInHand = new Promise<void>((resolve) => {
      arrived = resolve;
    });
    const one = await bank.open({
      confirming: () => {
        arrived();
        return new Promise(() => undefined);
      },
    });
    await commit(one);
    await isInHand;
    await one.bus.stop({ timeout: 100 });
    expect(await bank.branches()).toEqual([{ method: 'points.freeze', status: 'trying' }]);
    await bank.open();
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
  });
});

it('a unit with one try, and nothing else, is four commits in six round trips', async () => {
  const proxy = await countingProxy(bank.url);
  try {
    const process = await bank.open({}, { url: proxy.url });
    await process.bus.unitOfWork.run(() => process.hold('o-1'));
    await ended(bank, 1);
    await process.close();
    const sent = proxy.conversations.flat().map((roundTrip) => roundTrip.sent);
    const ofTries = sent.filter(
      (text) => /holdfast_branch|try-confirm-cancel|is_tried = true/.test(text) && !/with due as|delete from|count\(\*\)|create/.test(text),
    );
    const whats = ofTries.map((text) => (/insert into \S*branch/.test(text) ? 'register' : /for update/.test(text) ? 'lock' : 'end'));
    expect(whats.sort()).toEqual(['end', 'end', 'end', 'lock', 'lock', 'register']);
    // The first commits by itself.
    expect(ofTries.filter((text) => text.includes('COMMIT'))).toHaveLength(3);
  } finally {
    await proxy.close();
  }
});

describe('a cancel', () => {
  it('that fails is undone and tried again', async () => {
    let attempts = 0;
    const process = await bank.open({
      cancelling: () => {
        attempts += 1;
        if (attempts < 3) throw new Error('the bank is closed');
      },
    });
    expect(await codeOf(rollBack(process))).toBe('no');
    expect(await ended(bank, 1)).toEqual(['points.freeze cancelled']);
    expect(attempts).toBe(3);
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it('of a try that never began calls nothing', async () => {
    const { bus, hold, calls, dataSource } = await bank.open({ timeout: 3000 }, { poolSize: 6 });
    const hogs: ReturnType<typeof dataSource.createQueryRunner>[] = [];
    // Between its branch and its transaction somebody takes all connections.
    armFailpoint('try:after-register', () => {
      for (let n = 0; n < 12; n += 1) {
        const hog = dataSource.createQueryRunner();
        hogs.push(hog);
        void hog.connect().catch(() => undefined);
      }
    });
    const refused = bus.unitOfWork.run(() => hold('o-1'));
    expect(await codeOf(refused)).toBe('HF_UOW_TIMEOUT');
    for (const hog of hogs) await hog.connect().then(() => hog.release());
    expect(await ended(bank, 1)).toEqual(['card.hold cancelled']);
    expect(calls).toEqual([]);
  });
});

describe('a branch that is parked', () => {
  const closed = { isClosed: true };
  const obstacles: Obstacles = {
    confirming: () => {
      if (closed.isClosed) throw new Error('the bank is closed');
    },
  };

  beforeEach(() => {
    closed.isClosed = true;
  });

  async function parked(given: Obstacles = obstacles) {
    const parkings: string[] = [];
    const stop = subscribe('branch:parked', ({ operation, failure }) => void parkings.push(`${operation}: ${failure.message}`));
    const process = await bank.open(given);
    await commit(process);
    await ended(bank, 1);
    stop();
    const { branches } = process.bus;
    const [branch] = (await branches.list({ status: 'parked' })).items;
    return { process, branches, parkings, branch, id: branch?.id as string };
  }

  it('is seen with what it was called with and why it failed', async () => {
    const { branches, branch, id, parkings } = await parked();
    expect(branch).toMatchObject({
      method: 'points.freeze',
      status: 'parked',
      operation: 'confirm',
      attempts: 3,
      failure: { code: 'Error', message: 'the bank is closed' },
      arguments: ['ann', 30],
      result: { left: 70 },
      isTried: true,
    });
    expect(parkings).toEqual(['confirm: the bank is closed']);
    expect(await branches.get(id)).toEqual(branch);
    expect((await branches.list({ status: 'confirmed' })).items).toEqual([]);
    expect(await bank.books()).toMatchObject({ frozen: 30, taken: 0, lost: 0 });
  });

  it('goes on when a person says so, and it is written down who', async () => {
    const { branches, id } = await parked();
    closed.isClosed = false;
    await branches.retry(id, BY);
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
    expect(await audit()).toEqual([{ actor: 'ann', action: 'branch retry', target: id, reason: 'the bank is open' }]);
  });

  it('parks again after as many attempts', async () => {
    let calls = 0;
    const { branches, id } = await parked({
      confirming: () => {
        calls += 1;
        throw new Error('the bank is closed');
      },
    });
    await branches.retry(id, BY);
    await until('another three attempts', async () => calls === 6 && (await branches.get(id))?.status === 'parked');
    expect(await branches.get(id)).toMatchObject({ attempts: 3, operation: 'confirm' });
  });

  it('is taken as done when a person says so', async () => {
    const { branches, id } = await parked();
    await branches.skip(id, BY);
    expect(await ended(bank, 1)).toEqual(['points.freeze confirmed']);
    expect(await bank.books()).toMatchObject({ frozen: 30, taken: 0 });
    expect(await audit()).toMatchObject([{ action: 'branch skip', target: id }]);
  });

  it('parks at once where trying again is no use', async () => {
    let attempts = 0;
    const { branch } = await parked({
      confirming: () => {
        attempts += 1;
        throw new NonRetryableError('no such account');
      },
    });
    expect(branch).toMatchObject({ attempts: 1, failure: { message: 'no such account' } });
    expect(attempts).toBe(1);
  });

  it('is changed by nobody without a name, nor inside a unit, nor when it is not parked', async () => {
    const { process, branches, id } = await parked();
    expect(await codeOf(branches.retry(id, { by: '' }))).toBe('HF_OPERATOR_REASON');
    expect(await codeOf(process.bus.unitOfWork.run(() => branches.skip(id, BY)))).toBe('HF_TCC_REPAIR_IN_TRANSACTION');
    expect(await codeOf(branches.retry('0199-unknown', BY))).toBe('HF_TCC_UNKNOWN');
    await branches.skip(id, BY);
    expect(await codeOf(branches.retry(id, BY))).toBe('HF_TCC_NOT_PARKED');
    expect(await audit()).toHaveLength(1);
  });

  const audit = () => bank.look('select actor, action, target, reason from holdfast_audit order by id');
});

describe('a unit that takes longer than its try allows', () => {
  it('is decided against by any process, and cannot commit', async () => {
    const slow = await bank.open({ timeout: 6000 });
    // What would end its branches here has stopped; units go on.
    await slow.bus.drain();
    await bank.open();
    const late = slow.bus.unitOfWork.run(async () => {
      await slow.dataSource.query(`insert into account values ('late', 0, 0, 0)`);
      await slow.freeze('ann', 30);
      await ended(bank, 1);
    });
    expect(await codeOf(late)).toBe('HF_TCC_DECIDED');
    expect(await bank.branches()).toEqual([{ method: 'points.freeze', status: 'cancelled' }]);
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it.each(['REPEATABLE READ', 'SERIALIZABLE'] as const)('cannot commit at %s either', async (isolation) => {
    const { bus, freeze, dataSource } = await bank.open({ timeout: 6000 });
    const late = bus.unitOfWork.run({ isolation }, async () => {
      await dataSource.query('select 1');
      await freeze('ann', 30);
      await ended(bank, 1);
      // So that there is something to commit.
      await dataSource.query(`insert into account values ('late', 0, 0, 0)`);
    });
    expect(await codeOf(late)).toBe('HF_TCC_DECIDED');
    expect(await bank.books()).toEqual(UNTOUCHED);
  });

  it('has all its tries cancelled, those too whose time is not up', async () => {
    const slow = await bank.open({ timeout: 6000 });
    const patient = await bank.open();
    const late = slow.bus.unitOfWork.run(async () => {
      await slow.freeze('ann', 30);
      await slow.hold('o-1');
      await until('the first cancel', async () => (await bank.branches()).some(({ status }) => status === 'cancelled'));
    });
    expect(await codeOf(late)).toBe('HF_TCC_DECIDED');
    expect((await ended(bank, 2)).sort()).toEqual(['card.hold cancelled', 'points.freeze cancelled']);
    expect([...slow.calls, ...patient.calls]).toEqual(['hold o-1', 'release o-1 h-o-1']);
    expect(await bank.books()).toEqual(UNTOUCHED);
  });
});

@Message('bank.order')
class Ordered {
  constructor(readonly order: string) {}
}

describe('a try can be called', () => {
  it('by a handler, each delivery with a branch of its own', async () => {
    let deliveries = 0;
    const process = await bank.open({}, {}, ({ bus, freeze }) =>
      bus.on(
        Ordered,
        async () => {
          await freeze('ann', 30);
          deliveries += 1;
          if (deliveries === 1) throw new Error('no');
        },
        { name: 'bank.orders', transactional: true, idempotent: true, retry: { attempts: 3, backoff: { delay: 10 } } },
      ),
    );
    await process.bus.bus.publish(new Ordered('o-1'));
    expect((await ended(bank, 2)).sort()).toEqual(['points.freeze cancelled', 'points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
  });

  it('by a step of a saga, each attempt with a branch of its own', async () => {
    let attempts = 0;
    const saga = defineSaga<{ order: string }>('order', { version: 1 });
    const process = await bank.open({}, {}, ({ bus, freeze }) =>
      bus.saga(
        saga.step(
          'freeze',
          async () => {
            await freeze('ann', 30);
            attempts += 1;
            if (attempts === 1) throw new Error('no');
          },
          { retry: { attempts: 3, backoff: { delay: 10 } } },
        ),
      ),
    );
    const { id } = await process.bus.sagas.start(saga, { order: 'o-1' }, { id: 'o-1' });
    expect((await process.bus.sagas.result(id)).status).toBe('completed');
    expect((await ended(bank, 2)).sort()).toEqual(['points.freeze cancelled', 'points.freeze confirmed']);
    expect(await bank.books()).toEqual(TAKEN);
  });
});
