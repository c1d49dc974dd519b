import { ears, until } from '@holdfast-internal/test-support';
import { defineSaga, type LogFields, type SagaContext, silentLogger } from '@holdfast/core';
import { linesOf, type OpenOptions, openShop, type Order, type Shop, type ShopProcess } from './support/shop.js';

const NOW = { backoff: { delay: 1, jitter: 'none' } } as const;
const BY = { by: 'ann', reason: 'the test' };

const hear = ears();

let shop: Shop;

beforeEach(async () => {
  shop = await openShop();
});

afterEach(() => shop.close());

/** A saga of three steps; `fails` says at which it does, and how often. */
function three(process: ShopProcess, fails: Record<string, number> = {}) {
  const step = (name: string) => {
    const writing = process.writing(name);
    return async (saga: SagaContext<Order>) => {
      await writing(saga);
      if ((fails[name] ?? 0) > 0) {
        fails[name] = (fails[name] as number) - 1;
        throw new Error(`${name} failed`);
      }
    };
  };
  return defineSaga<Order>('order', { version: 1 })
    .step('reserve', step('reserve'), {
      compensate: step('release'),
      retry: { attempts: 3, ...NOW },
      compensateRetry: { attempts: 2, ...NOW },
    })
    .step('charge', step('charge'), {
      compensate: step('refund'),
      retry: { attempts: 3, ...NOW },
      compensateRetry: { attempts: 2, ...NOW },
    })
    .step('ship', step('ship'), { retry: { attempts: 2, ...NOW } });
}

async function running(fails: Record<string, number> = {}, options?: OpenOptions) {
  let saga: ReturnType<typeof three> | undefined;
  const process = await shop.open((opening) => {
    saga = three(opening, fails);
    opening.bus.saga(saga);
  }, options);
  const started = async (id: string) => (await process.bus.sagas.start(saga as ReturnType<typeof three>, { id }, { id })).id;
  return { process, sagas: process.bus.sagas, saga: saga as ReturnType<typeof three>, started };
}

describe('a saga of local steps', () => {
  it('is completed: rows, state, history and messages of each step are there once, and beginning and end are told', async () => {
    const [begun, ends] = [hear('saga:started'), hear('saga:ended')];
    const { sagas, started, process } = await running();
    const outcome = await sagas.result(await started('o1'));
    expect(outcome).toEqual({ status: 'completed', state: { id: 'o1', seen: ['reserve', 'charge', 'ship'] } });
    expect(await shop.written()).toEqual(['o1 reserve', 'o1 charge', 'o1 ship']);
    const instance = await sagas.get('o1');
    expect(instance).toMatchObject({ saga: 'order', version: 1, status: 'completed', step: undefined, failure: undefined });
    expect(linesOf(instance)).toEqual(['started', 'reserve done', 'charge done', 'ship done', 'completed']);
    await until('the messages', () => process.told.length === 3);
    expect([...process.told].sort()).toEqual(['o1 charge', 'o1 reserve', 'o1 ship']);
    const facts = { saga: 'order', id: 'o1', version: 1 };
    expect([begun, ends]).toEqual([[facts], [{ ...facts, status: 'completed' }]]);
  });

  it('is undone in reverse order when a step fails for good; what failed attempts wrote and published is gone', async () => {
    const { sagas, started, process } = await running({ reserve: 1, ship: 2 });
    const outcome = await sagas.result(await started('o1'));
    expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'ship', message: 'ship failed' } });
    expect(await shop.written()).toEqual(['o1 reserve', 'o1 charge', 'o1 refund', 'o1 release']);
    await until('the messages', () => process.told.length === 4);
    expect([...process.told].sort()).toEqual(['o1 charge', 'o1 refund', 'o1 release', 'o1 reserve']);
  });

  it('parks when a compensation fails for good, which is told, and goes on when a person resumes it', async () => {
    const [parkings, ends] = [hear('saga:parked'), hear('saga:ended')];
    const { sagas, started } = await running({ ship: 2, refund: 2 });
    const parked = await sagas.result(await started('o1'));
    expect(parked).toMatchObject({ status: 'parked', failure: { step: 'charge', message: 'refund failed' } });
    expect(parkings).toMatchObject([{ saga: 'order', id: 'o1', version: 1, failure: { step: 'charge', message: 'refund failed' } }]);
    expect(ends).toEqual([]);
    expect((await sagas.list({ status: 'parked' })).items.map(({ id, step }) => [id, step])).toEqual([['o1', 'charge']]);
    await sagas.resume('o1', BY);
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated', failure: { step: 'ship' } });
    expect(ends).toEqual([{ saga: 'order', id: 'o1', version: 1, status: 'compensated' }]);
    expect(await shop.written()).toEqual(['o1 reserve', 'o1 charge', 'o1 refund', 'o1 release']);
    expect(linesOf(await sagas.get('o1'))).toEqual([
      'started',
      'reserve done',
      'charge done',
      'ship failed',
      'ship failed',
      'ship turned-back',
      'charge undo-failed',
      'charge undo-failed',
      'charge parked',
      'charge resumed',
      'charge undone',
      'reserve undone',
      'compensated',
    ]);
    expect(await shop.look('select action, target, actor, reason from holdfast_audit')).toEqual([
      { action: 'saga resume', target: 'o1', actor: 'ann', reason: 'the test' },
    ]);
  });

  it('is told to the log when it parks, once each time, with its id, the step and the reason', async () => {
    const lines: (LogFields & { text: string })[] = [];
    const logger = { ...silentLogger, error: (text: string, fields?: LogFields) => void lines.push({ text, ...fields }) };
    const { sagas, started } = await running({ ship: 2, refund: 3 }, { logger });
    expect((await sagas.result(await started('o1'))).status).toBe('parked');
    const text = 'a saga is parked: a person has to look at it';
    const line = { text, saga: 'order', version: 1, id: 'o1', step: 'charge', while: 'compensating', message: 'refund failed' };
    expect(lines).toEqual([expect.objectContaining(line)]);
    await sagas.retry('o1', BY);
    await until('the attempt', async () => lines.length === 2);
    expect(lines[1]).toEqual(lines[0]);
    await sagas.resume('o1', BY);
    await until('its end', async () => (await sagas.get('o1'))?.status === 'compensated');
    expect(lines).toHaveLength(2);
  });

  it('is not skipped past another step than it stood for when that was asked, or than was named', async () => {
    const { sagas, started, process } = await running({ ship: 99, refund: 99 });
    expect((await sagas.result(await started('o1'))).status).toBe('parked');
    await expect(sagas.skip('o1', { ...BY, step: 'reserve' })).rejects.toMatchObject({
      code: 'HF_SAGA_STANDS_ELSEWHERE',
      details: { step: 'reserve', found: 'charge' },
    });
    const other = process.dataSource.createQueryRunner();
    await other.startTransaction();
    await other.query(`select from holdfast_saga where id = 'o1' for update`);
    const skipped = sagas.skip('o1', BY).catch((error: unknown) => error);
    const waits = `select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`;
    await until('that it waits', async () => (await shop.look(waits)).length > 0);
    await other.query(`update holdfast_saga set progress = regexp_replace(progress, '"sinceMs":[0-9.]+', '"sinceMs":1') where id = 'o1'`);
    await other.commitTransaction();
    await other.release();
    expect(await skipped).toMatchObject({ code: 'HF_SAGA_STANDS_ELSEWHERE' });
    expect((await sagas.get('o1'))?.status).toBe('parked');
    await sagas.skip('o1', { ...BY, step: 'charge' });
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated' });
    expect(linesOf(await sagas.get('o1'))).toContain('charge skipped');
  });

  it('has one attempt when it is retried, and takes what was done by hand as done when it is skipped', async () => {
    const { sagas, started } = await running({ ship: 2, refund: 3 });
    await sagas.result(await started('o1'));
    await sagas.retry('o1', BY);
    await until('the attempt', async () => linesOf(await sagas.get('o1')).filter((line) => line === 'charge parked').length === 2);
    await sagas.skip('o1', BY);
    expect(await sagas.result('o1')).toMatchObject({ status: 'compensated' });
    expect(await shop.written()).toEqual(['o1 reserve', 'o1 charge', 'o1 release']);
  });

  it('waits for its retry in the database, and its process looks again in time', async () => {
    const attempts: number[] = [];
    const slow = defineSaga<Order>('slow', { version: 1 }).step(
      'once',
      ({ attempt }) => {
        attempts.push(performance.now());
        if (attempt < 5) throw new Error('not yet');
      },
      { retry: { attempts: 5, backoff: { delay: 2400, factor: 1, jitter: 'none' } } },
    );
    const { bus } = await shop.open((opening) => void opening.bus.saga(slow));
    const { id } = await bus.sagas.start(slow, { id: 'o1' }, { id: 'o1' });
    await until('an attempt', () => attempts.length === 1);
    await until(
      'its claim is given back',
      async () => (await shop.look(`select from holdfast_saga where worker is null and due_at > now()`)).length === 1,
    );
    expect((await bus.sagas.result(id)).status).toBe('completed');
    const waits = attempts.slice(1).map((at, before) => at - (attempts[before] as number));
    expect(waits).toHaveLength(4);
    expect(waits.filter((ms) => ms < 2395)).toEqual([]);
    // Whoever only polled, once a second, would be later each time; a busy machine is late some times.
    expect(Math.min(...waits)).toBeLessThan(2950);
  });
});

it('the history of a saga that is tried again and again keeps its first hundred and its last four hundred lines', async () => {
  const { sagas, started } = await running({ ship: 2, refund: 3 });
  await sagas.result(await started('o1'));
  const before = linesOf(await sagas.get('o1')).length;
  await shop.look(`insert into holdfast_saga_history (service, saga_id, step, event, detail, at)
    select 'shop', 'o1', 'charge', 'undo-failed', n::text, now() from generate_series(1, 2000) n`);
  // The failure after the next change is one of those with which it is looked at.
  await shop.look(`update holdfast_saga set revision = 127 where id = 'o1'`);
  await sagas.retry('o1', BY);
  await until('the attempt', async () => linesOf(await sagas.get('o1')).filter((line) => line === 'charge parked').length === 2);
  const history = (await sagas.get('o1'))?.history ?? [];
  const details = history
    .filter(({ event, detail }) => event === 'undo-failed' && /^\d+$/.test(detail ?? ''))
    .map(({ detail }) => Number(detail));
  expect(linesOf({ history } as never).slice(0, 2)).toEqual(['started', 'reserve done']);
  expect(details.filter((n) => n <= 1000).at(-1)).toBe(100 - before);
  expect(details.filter((n) => n > 1000)[0]).toBe(1604);
  expect(history).toHaveLength(500);
  expect(linesOf({ history } as never).slice(-3)).toEqual(['charge retried', 'charge undo-failed', 'charge parked']);
});

describe('a step of a saga', () => {
  const one = (
    run: (saga: SagaContext<Order>) => Promise<void>,
    options: Parameters<ReturnType<typeof defineSaga<Order>>['step']>[2] = {},
  ) =>
    defineSaga<Order>('one', { version: 1 })
      .step('before', async () => {}, { compensate: async () => {} })
      .step('it', run, { retry: false, ...options });

  async function outcomeOf(make: (process: ShopProcess) => ReturnType<typeof one>) {
    let saga: ReturnType<typeof one> | undefined;
    const process = await shop.open((opening) => {
      saga = make(opening);
      opening.bus.saga(saga);
    });
    const { id } = await process.bus.sagas.start(saga as ReturnType<typeof one>, { id: 'o1' }, { id: 'o1' });
    return process.bus.sagas.result(id, { timeout: '20s' });
  }

  it('that takes too long is told so and fails; what it does afterwards is refused', async () => {
    const told: unknown[] = [];
    const outcome = await outcomeOf(({ write }) =>
      one(
        async (saga) => {
          await write('early');
          if (!saga.signal.aborted) await new Promise((resolve) => saga.signal.addEventListener('abort', resolve));
          told.push((saga.signal.reason as { code: string }).code);
          await write('late').catch((error: { code: string }) => void told.push(error.code));
        },
        { timeout: 2000 },
      ),
    );
    expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'it', code: 'HF_SAGA_STEP_TIMEOUT' } });
    expect(told).toEqual(['HF_SAGA_STEP_TIMEOUT', 'HF_UOW_ENDED']);
    expect(await shop.written()).toEqual([]);
  });

  it('whose statement does not answer is broken off, counted, and the saga turns back', async () => {
    const outcome = await outcomeOf(({ dataSource }) =>
      one(async () => void (await dataSource.query('select pg_sleep(60)')), { timeout: 100 }),
    );
    expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'it', code: 'HF_SAGA_STEP_TIMEOUT' } });
  });

  it('that is refused at COMMIT has failed', async () => {
    const outcome = await outcomeOf(({ dataSource }) => one(async () => void (await dataSource.query('insert into veto values (1, 2)'))));
    expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'it', code: '23503' } });
  });

  it('whose connection breaks during COMMIT is tried again, once it is known that it was not committed', async () => {
    await shop.look('create table fuse (n int)');
    await shop.look(
      `create function blow() returns trigger language plpgsql as 'begin perform pg_terminate_backend(pg_backend_pid()); perform pg_sleep(1); return null; end'`,
    );
    await shop.look(
      'create constraint trigger blow after insert on fuse deferrable initially deferred for each row execute function blow()',
    );
    const outcome = await outcomeOf(({ dataSource, write }) =>
      one(
        async ({ attempt }) => {
          await write(`attempt ${attempt}`);
          if (attempt === 1) await dataSource.query('insert into fuse values (1)');
        },
        { retry: { attempts: 2, ...NOW } },
      ),
    );
    expect(outcome.status).toBe('completed');
    expect(await shop.written()).toEqual(['attempt 2']);
  });

  it('that swallows an error of the database has failed', async () => {
    const outcome = await outcomeOf(({ dataSource, write }) =>
      one(async () => {
        await write('kept?');
        await dataSource.query('select 1 / 0').catch(() => undefined);
      }),
    );
    expect(outcome).toMatchObject({ status: 'compensated', failure: { code: 'HF_UOW_ROLLBACK_ONLY' } });
    expect(await shop.written()).toEqual([]);
  });

  it('that leaves too large a state has failed for good, and the state is as it was', async () => {
    const swell = async (saga: SagaContext<Order>) => {
      saga.state.seen = ['x'.repeat(300_000)];
    };
    const outcome = await outcomeOf(() => one(swell, { retry: 5 }));
    expect(outcome).toMatchObject({ status: 'compensated', state: { id: 'o1' }, failure: { code: 'HF_SAGA_STATE_TOO_LARGE' } });
    expect(outcome.state.seen).toBeUndefined();
  });

  it('has a key for foreign APIs that stays over attempts and is another one for its compensation', async () => {
    const keys: string[] = [];
    const note = ({ idempotencyKey }: SagaContext<Order>) => void keys.push(idempotencyKey);
    const saga = defineSaga<Order>('keys', { version: 1 })
      .step('a', note, { compensate: note })
      .step(
        'b',
        (context) => {
          note(context);
          throw new Error('no');
        },
        { retry: { attempts: 2, ...NOW } },
      );
    const { bus } = await shop.open((opening) => void opening.bus.saga(saga));
    await bus.sagas.result((await bus.sagas.start(saga, { id: 'o1' }, { id: 'o1' })).id);
    expect(keys).toHaveLength(4);
    expect(keys[1]).toBe(keys[2]);
    expect(new Set(keys).size).toBe(3);
  });
});

describe('the time of a saga', () => {
  const slow = (timeout: number, pivot: boolean) =>
    defineSaga<Order>('slow', { version: 1, timeout })
      .step('a', async () => {}, pivot ? { pivot } : { compensate: async () => {} })
      .step(
        'b',
        async () => {
          throw new Error('never');
        },
        { retry: { attempts: 100, backoff: { delay: 100, factor: 1, jitter: 'none' } } },
      );

  it.each([
    [false, 'compensated'],
    [true, 'parked'],
  ])('is up: with its pivot done %p it ends %s', async (pivot, status) => {
    const saga = slow(5000, pivot);
    const { bus } = await shop.open((opening) => void opening.bus.saga(saga));
    const outcome = await bus.sagas.result((await bus.sagas.start(saga, { id: 'o1' }, { id: 'o1' })).id);
    expect(outcome).toMatchObject({ status, failure: { step: 'b', code: 'HF_SAGA_TIMEOUT' } });
  });

  it('is up for a branch: what it sleeps for is waited for no more, and the saga turns back', async () => {
    const saga = defineSaga<Order>('branches', { version: 1 })
      .step('pack', async () => {}, { compensate: async () => {} })
      .step('charge', async () => {}, { branchTimeout: 4000 })
      .step('rest', async (context) => context.sleep('1h'))
      .step('wrap', async () => {}, { after: 'pack' });
    const { bus } = await shop.open((opening) => void opening.bus.saga(saga));
    const outcome = await bus.sagas.result((await bus.sagas.start(saga, { id: 'o1' }, { id: 'o1' })).id);
    expect(outcome).toMatchObject({ status: 'compensated', failure: { step: 'rest', code: 'HF_SAGA_BRANCH_TIMEOUT' } });
  });
});
