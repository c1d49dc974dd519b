import { hfError } from '../errors/catalogue.js';
import type { ClaimEnd, ClaimTerm, InboxClaim } from '../inbox/inbox.store.port.js';
import { silentLogger } from '../monitoring/logger.js';
import type { Store } from '../store/store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import { recordingEngine } from '../unit-of-work/recording-transactions.spec.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { UnitOfWork, UnitOptions } from '../unit-of-work/unit-of-work.js';
import { GuardedMethod } from './guarded-method.js';
import { type RetryPolicy, retryPolicy } from './retry-policy.js';

const LEASE_MS = 3000;

/** An idempotent method that is in work until `end` is called; renewals of its claim are answered in turn. */
function scene(answers: readonly Error[]) {
  const transcript: string[] = [];
  const time = new VirtualTime();
  const left = [...answers];
  const inbox = {
    claim: async () => ({ state: 'claimed', token: 'mine' }),
    renew: async ({ token }: ClaimTerm) => {
      const error = left.shift();
      transcript.push(error === undefined ? `renewed ${token}` : 'not renewed');
      if (error !== undefined) throw error;
    },
    finish: async () => void transcript.push('finished'),
  };
  const method = new GuardedMethod(
    {
      store: { inbox, transactions: { dataSources: ['default'] } } as unknown as Store,
      unitOfWork: { isActive: false } as UnitOfWork,
      assertDatabase: () => undefined,
      currentUnit: () => undefined,
      scheduler: time,
      random: seededRandom(1),
      logger: { info: () => undefined, warn: (text) => void transcript.push(text), error: () => undefined },
    },
    'pay',
    {
      retry: undefined,
      idempotency: { key: () => 'k', ttlMs: LEASE_MS * 10, lockTtlMs: LEASE_MS, onExpired: 'park' },
      unit: undefined,
    },
  );
  method.scopeId = 1;
  let end = (): void => undefined;
  const result = method.call([], () => new Promise<void>((resolve) => (end = resolve)));
  const finish = async () => {
    end();
    await result;
  };
  return { transcript, time, finish };
}

describe('an idempotent method that takes longer than its lease', () => {
  it('keeps its claim over a renewal that failed', async () => {
    const { transcript, time, finish } = scene([new Error('connection lost')]);
    await time.advance(LEASE_MS);
    await finish();
    await time.advance(LEASE_MS);
    expect(transcript).toEqual([
      'not renewed',
      'the claim of a method could not be renewed; it is tried again',
      'renewed mine',
      'renewed mine',
      'finished',
    ]);
  });

  it('renews no claim that somebody else has', async () => {
    const { transcript, time, finish } = scene([hfError('HF_LEASE_LOST', { resource: 'the claim of k' })]);
    await time.advance(LEASE_MS * 2);
    await finish();
    expect(transcript).toEqual(['not renewed', 'finished']);
  });
});

/** An idempotent method in units of work, over an inbox with one key: what a unit finished is seen by itself at once, and by others when it has committed. */
function unitScene(unit?: UnitOptions, method: () => Promise<unknown> = async () => ({ paid: true }), retry?: RetryPolicy) {
  const { engine, transactions, time } = recordingEngine();
  const transcript: string[] = [];
  const logged: string[] = [];
  const finished = new Map<Transaction, string | undefined>();
  let isHeld = false;
  /** What was remembered outside any transaction. */
  let known: { readonly result: string | undefined } | undefined;
  const inbox = {
    claim: async (): Promise<InboxClaim> => {
      transcript.push(known === undefined ? (isHeld ? 'held' : 'claimed') : 'done');
      if (known !== undefined) return { state: 'done', result: known.result };
      if (isHeld) return { state: 'held', forMs: LEASE_MS };
      isHeld = true;
      return { state: 'claimed', token: 'mine' };
    },
    renew: async () => undefined,
    recall: async (tx: Transaction) => ({ isDone: finished.has(tx), isUndone: false, result: finished.get(tx) }),
    finish: async ({ done }: ClaimEnd, tx?: Transaction) => {
      if (done !== undefined && tx !== undefined) finished.set(tx, done.result);
      if (done === undefined) isHeld = false;
      else if (tx === undefined) known = done;
      transcript.push(done === undefined ? 'given back' : 'finished');
    },
  };
  const context = {
    store: { inbox, transactions } as unknown as Store,
    unitOfWork: engine,
    assertDatabase: () => undefined,
    currentUnit: (dataSource?: string) => engine.current(dataSource),
    scheduler: time,
    random: seededRandom(1),
    logger: { ...silentLogger, error: (text: string) => void logged.push(text) },
  };
  const idempotency = { key: () => 'k', ttlMs: LEASE_MS * 10, lockTtlMs: LEASE_MS, onExpired: 'park' } as const;
  const guarded = new GuardedMethod(context, 'pay', { retry, idempotency, unit });
  guarded.scopeId = 1;
  return { engine, transactions, time, transcript, logged, inbox, pay: () => guarded.call([], method) };
}

describe('an idempotent method in a unit of work', () => {
  const paysAndFails = (pay: () => Promise<unknown>) => async () => {
    await pay();
    throw new Error('out of stock');
  };

  it.each([[undefined], [{}], [{ propagation: 'NESTED' }]] as const)(
    'with the options %j gives its claim back when the unit rolls back',
    async (options) => {
      const { engine, transcript, pay } = unitScene(options);
      await expect(engine.run(paysAndFails(pay))).rejects.toThrow('out of stock');
      expect(await engine.run(pay)).toEqual({ paid: true });
      expect(transcript).toEqual(['claimed', 'finished', 'given back', 'claimed', 'finished']);
    },
  );

  it('is called again when the unit runs again after a serialization failure', async () => {
    const { engine, transactions, time, transcript, pay } = unitScene();
    transactions.commitFailsWith.push(new Error('deadlock'));
    const paid = engine.run({ retries: 1 }, pay);
    await time.advance(10_000);
    expect(await paid).toEqual({ paid: true });
    expect(transcript).toEqual(['claimed', 'finished', 'given back', 'claimed', 'finished']);
  });

  it.each([
    [1, ['claimed', 'finished', 'finished']],
    [2, ['claimed', 'finished', 'finished', 'given back']],
  ])('keeps its claim over the runs of its own unit, and gives it back after the last: of two, %i fail', async (failing, told) => {
    const { transactions, time, transcript, pay } = unitScene({ retries: 1 });
    for (let left = failing; left > 0; left -= 1) transactions.commitFailsWith.push(new Error('deadlock'));
    const outcome = pay().then(
      () => 'paid',
      (error: Error) => error.message,
    );
    await time.advance(10_000);
    expect(await outcome).toBe(failing === 1 ? 'paid' : 'deadlock');
    expect(transcript).toEqual(told);
  });

  it('keeps its claim while nobody knows whether the unit has committed', async () => {
    const { engine, transactions, transcript, pay } = unitScene();
    transactions.commitFailsWith.push(hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' }));
    await expect(engine.run(pay)).rejects.toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN' });
    expect(transcript).toEqual(['claimed', 'finished']);
  });

  it('keeps its claim over the end of the unit while it is still in work', async () => {
    let end = (): void => undefined;
    const { engine, time, transcript, pay } = unitScene(undefined, () => new Promise<void>((resolve) => (end = resolve)));
    let call: Promise<unknown> = Promise.resolve();
    const ended = engine.run({ timeout: 100 }, async () => {
      call = pay();
      await call;
    });
    ended.catch(() => undefined);
    await time.advance(200);
    await expect(ended).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
    expect(transcript).toEqual(['claimed']);
    end();
    await expect(call).rejects.toMatchObject({ code: 'HF_UOW_TIMEOUT' });
    expect(transcript).toEqual(['claimed', 'given back']);
  });

  it('runs in a transaction of its caller, of whose rollback nobody is told', async () => {
    const { engine, transcript, pay } = unitScene();
    await expect(engine.join({ isOpen: true } as never, paysAndFails(pay))).rejects.toThrow('out of stock');
    expect(transcript).toEqual(['claimed', 'finished']);
  });

  it('is not remembered in a transaction of its caller in another database, of whose commit nobody is told', async () => {
    const { engine, transactions, transcript, pay } = unitScene();
    const { adopt } = transactions;
    transactions.adopt = (handle) => Object.assign(adopt.call(transactions, handle), { dataSource: 'other' });
    await expect(engine.join({ isOpen: true } as never, paysAndFails(pay))).rejects.toThrow('out of stock');
    expect(transcript).toEqual(['claimed']);
  });

  it('gives what it gave before in the same unit, without another claim', async () => {
    const { engine, transcript, pay } = unitScene();
    expect(await engine.run(async () => [await pay(), await pay()])).toEqual([{ paid: true }, { paid: true }]);
    expect(transcript).toEqual(['claimed', 'finished']);
  });

  it('asks nothing of a unit around its own, in which nothing can be read any more', async () => {
    const { engine, inbox, transcript, pay } = unitScene({ propagation: 'REQUIRES_NEW' });
    inbox.recall = () => Promise.reject(new Error('the transaction is aborted'));
    expect(await engine.run(pay)).toEqual({ paid: true });
    expect(transcript).toEqual(['claimed', 'finished']);
  });

  it.each([[undefined], [{}]] as const)(
    'with the options %j asks and tells nothing of a unit of another database around it',
    async (options) => {
      const { engine, inbox, transcript, pay } = unitScene(options);
      const { recall, finish } = inbox;
      const assertOurs = (tx?: Transaction) => expect(tx?.dataSource).not.toBe('other');
      inbox.recall = async (tx) => {
        assertOurs(tx);
        return recall(tx);
      };
      inbox.finish = async (end, tx) => {
        assertOurs(tx);
        return finish(end, tx);
      };
      expect(await engine.run({ dataSource: 'other' }, pay)).toEqual({ paid: true });
      expect(transcript).toEqual(['claimed', 'finished']);
    },
  );

  /** A scene whose inbox never gets a transaction, and what was sent to the databases until a claim ended. */
  function elsewhere(own: UnitOptions | undefined, method?: () => Promise<unknown>) {
    const made = unitScene(own, method);
    const { finish } = made.inbox;
    const sent: (string | undefined)[] = [];
    made.inbox.finish = async (end, tx) => {
      expect(tx).toBeUndefined();
      sent.push(made.transactions.transcript.findLast((line) => line.startsWith('other')));
      return finish(end, tx);
    };
    return { ...made, sent };
  }

  it.each([
    ['of its own in another database', { dataSource: 'other' }, []],
    ['of its own in another database, within one of the claims', { dataSource: 'other' }, [{}]],
    ['of its caller in another database', undefined, [{ dataSource: 'other' }]],
    ['of its caller in another database, within one of the claims', undefined, [{}, { dataSource: 'other' }]],
    ['of its caller in another database, with one of the claims between', { dataSource: 'other' }, [{ dataSource: 'other' }, {}]],
  ] as readonly (readonly [string, UnitOptions | undefined, readonly UnitOptions[]])[])(
    'ends its claim when the unit %s has committed, and gives it back when that rolls back',
    async (_, own, around) => {
      const { engine, transactions, sent, transcript, pay } = elsewhere(own);
      const call = around.reduceRight<() => Promise<unknown>>((inner, options) => () => engine.run(options, inner), pay);
      const { begin } = transactions;
      let failing = true;
      transactions.begin = async (options) => {
        const transaction = await begin.call(transactions, options);
        const { commit } = transaction;
        if (options.dataSource === 'other' && failing)
          transaction.commit = async () => {
            failing = false;
            await commit.call(transaction);
            throw new Error('no space');
          };
        return transaction;
      };
      await expect(call()).rejects.toThrow('no space');
      expect(await call()).toEqual({ paid: true });
      expect(transcript.filter((line, index) => line !== transcript[index - 1])).toEqual(['claimed', 'given back', 'claimed', 'finished']);
      expect(sent.at(-1)).toMatch(/COMMIT$/);
    },
  );

  it('keeps its claim over the re-runs of its own unit in another database', async () => {
    const { transactions, time, transcript, pay } = elsewhere({ dataSource: 'other', retries: 1 });
    transactions.commitFailsWith.push(new Error('deadlock'));
    const paid = pay();
    await time.advance(10_000);
    expect(await paid).toEqual({ paid: true });
    expect(transcript).toEqual(['claimed', 'finished']);
  });

  it('gives what it gave before in the same unit of another database, but for a part of it that was undone', async () => {
    const { engine, transcript, pay } = elsewhere(undefined);
    const twice = await engine.run({ dataSource: 'other' }, async () => [await pay(), await pay()]);
    expect(twice).toEqual([{ paid: true }, { paid: true }]);
    expect(transcript).toEqual(['claimed', 'finished']);
    const { engine: units, pay: paying } = elsewhere(undefined);
    const again = units.run({ dataSource: 'other' }, async () => {
      await units.run({ dataSource: 'other', propagation: 'NESTED' }, paysAndFails(paying)).catch(() => undefined);
      return paying();
    });
    await expect(again).rejects.toMatchObject({ code: 'HF_IDEMPOTENT_IN_PROGRESS' });
  });

  it.each([[{ dataSource: 'other' }], [undefined]] as const)(
    'with the options %j is remembered before the hooks of the user run, which may call it again',
    async (own) => {
      const { engine, transcript, pay } = elsewhere(own, async () => {
        engine.afterCommit(async () => void again.push(await pay()));
        return { paid: true };
      });
      const again: unknown[] = [];
      expect(await (own === undefined ? engine.run({ dataSource: 'other' }, pay) : pay())).toEqual({ paid: true });
      expect([again, transcript]).toEqual([[{ paid: true }], ['claimed', 'finished', 'done']]);
    },
  );

  it.each([
    [{ propagation: 'SUPPORTS' }, { dataSource: 'other' }],
    [{ propagation: 'SUPPORTS', dataSource: 'other' }, {}],
  ] as const)('with the options %j begins no unit: it is given back when the one around it, %j, rolls back', async (own, around) => {
    const { engine, transcript, pay } = unitScene(own);
    await expect(engine.run(around, paysAndFails(pay))).rejects.toThrow('out of stock');
    expect(transcript.filter((line) => line !== 'finished')).toEqual(['claimed', 'given back']);
  });

  it('waits for the part in which it was called before, which may be undone', async () => {
    const { engine, pay } = elsewhere(undefined);
    let fail = (): void => undefined;
    const both = engine.run({ dataSource: 'other' }, async () => {
      const first = engine.run({ dataSource: 'other', propagation: 'NESTED' }, async () => {
        await pay();
        await new Promise<void>((resolve) => (fail = resolve));
        throw new Error('out of stock');
      });
      for (let turns = 20; turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
      const second = pay().catch(({ code }: { code: string }) => code);
      for (let turns = 20; turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
      fail();
      return [await first.catch(({ message }: Error) => message), await second];
    });
    expect(await both).toEqual(['out of stock', 'HF_IDEMPOTENT_IN_PROGRESS']);
  });

  it('renews its claim until the unit of its caller in another database has ended', async () => {
    const { engine, time, inbox, pay } = elsewhere(undefined);
    let renewals = 0;
    inbox.renew = async () => {
      renewals += 1;
    };
    let end = (): void => undefined;
    const run = engine.run({ dataSource: 'other' }, async () => {
      await pay();
      await new Promise<void>((resolve) => (end = resolve));
    });
    await time.advance(2 * LEASE_MS);
    expect(renewals).toBeGreaterThan(3);
    end();
    await run;
    const before = renewals;
    await time.advance(2 * LEASE_MS);
    expect(renewals).toBe(before);
  });

  it('tries again to remember what another database has committed, and tells when it cannot', async () => {
    for (const failing of [2, 99]) {
      const { inbox, time, logged, transcript, pay } = elsewhere({ dataSource: 'other' });
      const { finish } = inbox;
      let left = failing;
      inbox.finish = async (end, tx) => {
        left -= 1;
        if (left >= 0) throw new Error('no connection');
        return finish(end, tx);
      };
      const paid = pay();
      await time.advance(failing === 2 ? 1000 : 120_000);
      expect(await paid).toEqual({ paid: true });
      expect([transcript, logged.length]).toEqual(failing === 2 ? [['claimed', 'finished'], 0] : [['claimed'], 1]);
    }
  });

  describe.each([[undefined], [{ dataSource: 'other' }]] as const)(
    'with the options %j, whose claim cannot be ended at once',
    (options) => {
      const broken = new Error('ECONNRESET');
      const lost = hfError('HF_LEASE_LOST', { resource: 'the claim of k' });

      it.each([
        ['has succeeded, and is remembered later', [broken, broken], false, ['claimed', 'renewed', 'renewed', 'finished']],
        ['has succeeded, also where only the answer is lost', [broken, lost], true, ['claimed', 'renewed', 'recalled']],
      ] as const)('%s', async (_, answers, isDone, expected) => {
        let calls = 0;
        const { inbox, time, transcript, logged, pay } = unitScene(options, async () => {
          calls += 1;
          return { paid: true };
        });
        const left: Error[] = [...answers];
        const { finish } = inbox;
        inbox.finish = async (end, tx) => {
          const answer = left.shift();
          if (answer !== undefined) throw answer;
          return finish(end, tx);
        };
        inbox.renew = async () => void transcript.push('renewed');
        inbox.recall = async () => {
          transcript.push('recalled');
          return { isDone, isUndone: false, result: undefined };
        };
        const paid = pay();
        await time.advance(500);
        expect(await paid).toEqual({ paid: true });
        expect({ calls, transcript, logged }).toEqual({ calls: 1, transcript: expected, logged: [] });
      });
    },
  );

  it.each([
    ['of no unit for a minute', undefined, 60_000],
    ['of a unit of its own in another database for less than a hook is waited for', { dataSource: 'other' }, 25_000],
  ] as const)('tries to remember a call %s, also where each try takes long', async (_, options, expectedMs) => {
    const { inbox, time, logged, pay } = unitScene(options);
    const fails = async () => {
      await time.sleep(10_000);
      throw new Error('no answer');
    };
    Object.assign(inbox, { finish: fails, renew: fails });
    const paid = pay().then(() => time.monotonicMs());
    await time.advance(300_000);
    expect(await paid).toBe(expectedMs);
    expect(logged).toEqual([expect.stringContaining('could not be remembered in time')]);
  });

  it('does not wait for so long between tries that its claim lapses', async () => {
    const { inbox, time, pay } = elsewhere({ dataSource: 'other' });
    const triedMs: number[] = [];
    inbox.finish = async () => {
      triedMs.push(time.monotonicMs());
      throw new Error('no connection');
    };
    const paid = pay();
    await time.advance(20_000);
    const waitsMs = triedMs.slice(1).map((ms, index) => ms - (triedMs[index] as number));
    expect(waitsMs.slice(0, 6)).toEqual([100, 200, 400, 800, LEASE_MS / 3, LEASE_MS / 3]);
    expect(Math.max(...waitsMs)).toBe(LEASE_MS / 3);
    await time.advance(20_000);
    await paid;
  });

  it('whose claim somebody else has by its end may have been done twice, and says so', async () => {
    const { inbox, pay } = unitScene();
    inbox.finish = () => Promise.reject(hfError('HF_LEASE_LOST', { resource: 'the claim of k' }));
    await expect(pay()).rejects.toMatchObject({ code: 'HF_LEASE_LOST' });
  });

  it('outside any transaction, in one of its caller, is remembered at once', async () => {
    const { engine, transcript, pay } = elsewhere({ dataSource: 'other', propagation: 'NOT_SUPPORTED' });
    await expect(engine.run(paysAndFails(pay))).rejects.toThrow('out of stock');
    expect(transcript).toEqual(['claimed', 'finished']);
  });

  it('gives nothing again where it gave nothing before', async () => {
    const { engine, transcript, pay } = unitScene(undefined, async () => undefined);
    expect(await engine.run(async () => [await pay(), await pay()])).toEqual([undefined, undefined]);
    expect(transcript).toEqual(['claimed', 'finished']);
  });
});

describe('an idempotent method whose result has no form in JSON', () => {
  const retry = retryPolicy({ attempts: 3, backoff: { delay: 1 } }, () => undefined, 'pay');
  const charge = () => {
    const charges: string[] = [];
    const method = async () => {
      charges.push('charged');
      return { paid: 1n };
    };
    return { charges, method };
  };

  it.each([[undefined], [{ propagation: 'NOT_SUPPORTED' }]] as const)(
    'with the options %j, outside any unit, has succeeded: it is not made again, and its repeats get undefined',
    async (options) => {
      const { charges, method } = charge();
      const { time, transcript, logged, pay } = unitScene(options, method, retry);
      const paid = pay().catch((error: unknown) => error);
      await time.advance(1000);
      expect(await paid).toEqual({ paid: 1n });
      expect(await pay()).toBeUndefined();
      expect({ charges, transcript }).toEqual({ charges: ['charged'], transcript: ['claimed', 'finished', 'done'] });
      expect(logged).toEqual([expect.stringMatching(/^the result of pay, .* has no form in JSON: .*BigInt.*; the call has succeeded/)]);
    },
  );

  it.each([[{}], [{ dataSource: 'other' }]] as const)(
    'with the options %j rolls its unit back, and is not tried again',
    async (options) => {
      const { charges, method } = charge();
      const { time, transactions, transcript, pay } = unitScene(options, method, retry);
      const paid = pay().catch((error: unknown) => error);
      await time.advance(1000);
      expect(await paid).toMatchObject({ name: 'NonRetryableError', message: expect.stringContaining('no form in JSON') });
      expect({ charges, transcript }).toEqual({ charges: ['charged'], transcript: ['claimed', 'given back'] });
      expect(transactions.transcript.at(-1)).toMatch(/ROLLBACK$/);
    },
  );
});
