import { setTimeout as sleep } from 'node:timers/promises';
import { borrowTestDatabase, until } from '@holdfast-internal/test-support';
import { defineSaga, Holdfast, Message, NonRetryableError, type SagaOptions, silentLogger } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { openShop, type Shop } from './support/shop.js';

interface Transfer {
  account: string;
  isRefused?: boolean;
}

/** Lets the saga go on whose id is its key. */
@Message('locks.go')
class Go {
  constructor(readonly id: string) {}
}

let shop: Shop;

beforeEach(async () => {
  shop = await openShop();
});

afterEach(() => shop.close());

/**
 * Sagas that hold their account, and write when they begin and end.
 *
 * @param also `held`: who holds it until `go`; `when`: of all steps
 */
async function bank(options: Partial<SagaOptions<Transfer>> = {}, { held, when }: { held?: string; when?: () => boolean } = {}) {
  const lock = ({ account }: Transfer) => `account:${account}`;
  const saga = defineSaga<Transfer>('transfer', { version: 1, lock, signals: [Go], ...options });
  const { bus, dataSource } = await shop.open((process) => {
    saga
      .step('begin', async ({ id }) => process.write(`${id} begins`), { when })
      .step(
        'pause',
        async (context) => (context.id === held ? context.waitFor(Go, { key: held, timeout: '1h' }) : context.sleep('200ms')),
        { when },
      )
      .step(
        'end',
        async ({ id, state }) => {
          await process.write(`${id} ends`);
          if (state.isRefused) throw new NonRetryableError('refused');
        },
        { when },
      );
    process.bus.saga(saga);
  });
  const start = (id: string, account: string, isRefused?: boolean) => bus.sagas.start(saga, { account, isRefused }, { id });
  const go = (id: string) => bus.unitOfWork.detached(() => bus.bus.publish(new Go(id), { key: id }));
  return { sagas: bus.sagas, start, go, unit: bus.unitOfWork, dataSource };
}

it('of sagas with one key one is at work, in the order of their starts, whatever becomes of those before', async () => {
  const { sagas, start, go } = await bank({}, { held: 'one' });
  await start('one', 'a');
  await start('two', 'a', true);
  await start('three', 'a');
  await start('other', 'b');
  await start('two', 'a', true);
  expect((await sagas.get('three'))?.waitsFor).toEqual(['the lock account:a']);
  await go('one');
  const ends = await Promise.all(['one', 'two', 'three', 'other'].map((id) => sagas.result(id)));
  expect(ends.map(({ status }) => status)).toEqual(['completed', 'compensated', 'completed', 'completed']);
  const ofA = (await shop.written()).filter((text) => !text.startsWith('other'));
  expect(ofA).toEqual(['one begins', 'one ends', 'two begins', 'three begins', 'three ends']);
  expect(await shop.look('select key from holdfast_saga_lock where holder is not null')).toEqual([]);
});

it.each(['wait', 'refuse'] as const)('whoever has a key ends while a unit that wants it is open (%s)', async (whenLocked) => {
  const { sagas, start, go, unit } = await bank({ whenLocked }, { held: 'one' });
  await start('one', 'a');
  const later = unit.run(async () => {
    const refused = await start('two', 'a').catch(({ code }: { code: string }) => code);
    await go('one');
    // It can end only once the last commit of the other one is there.
    expect((await unit.detached(() => sagas.result('one', { timeout: '20s' }))).status).toBe('completed');
    return refused;
  });
  expect(await later).toEqual(whenLocked === 'wait' ? { id: 'two', started: true } : 'HF_SAGA_LOCKED');
  if (whenLocked === 'wait') expect((await sagas.result('two')).status).toBe('completed');
  expect(await shop.look('select key from holdfast_saga_lock where holder is not null')).toEqual([]);
});

it('whoever has a key ends while a hook before COMMIT waits for that, of a unit that wants the key', async () => {
  const { sagas, start, go, unit } = await bank({}, { held: 'one' });
  await start('one', 'a');
  await unit.run(async () => {
    await start('two', 'a');
    unit.beforeCommit(async () => {
      await start('three', 'a');
      await go('one');
      await unit.detached(() => sagas.result('one', { timeout: '20s' }));
    });
  });
  for (const id of ['two', 'three']) expect((await sagas.result(id)).status).toBe('completed');
  expect(await shop.written()).toEqual(['one', 'two', 'three'].flatMap((id) => [`${id} begins`, `${id} ends`]));
});

it('a saga that was started in a part of a unit, or by a step, waits for its key as any other does', async () => {
  const { sagas, start, go, unit, dataSource } = await bank({}, { held: 'one' });
  const starting = defineSaga<{ id: string }>('starting', { version: 1 }).step(
    'start',
    async ({ id }) => void (await start(`${id} started`, 'a')),
  );
  const { bus } = await shop.open((process) => void process.bus.saga(starting));
  await start('one', 'a');
  await unit.run(async () => {
    await unit.run({ propagation: 'NESTED' }, () => start('nested', 'a'));
    await dataSource.transaction(() => start('within', 'a'));
    const undone = unit.run({ propagation: 'NESTED' }, async () => {
      await start('undone', 'a');
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
  });
  expect(await shop.look('select waiting from holdfast_saga_lock')).toEqual([{ waiting: ['nested', 'within'] }]);
  await go('one');
  await bus.sagas.start(starting, { id: 'x' }, { id: 'x' });
  expect((await bus.sagas.result('x')).status).toBe('completed');
  for (const id of ['one', 'nested', 'within', 'x started']) expect((await sagas.result(id)).status).toBe('completed');
  expect((await bus.sagas.get('x'))?.history.filter(({ event }) => event === 'failed')).toEqual([]);
});

it('whoever has a key ends while a hook of a step waits for that, whose child wants the key', async () => {
  const { sagas, start, go } = await bank({}, { held: 'one' });
  const child = defineSaga<Transfer>('child', { version: 1, lock: ({ account }) => `account:${account}` }).step('it', async () => {});
  const parent = defineSaga<Transfer>('parent', { version: 1 });
  const { bus } = await shop.open((process) => {
    parent.step('start', async (saga) => {
      const { unitOfWork } = process.bus;
      unitOfWork.beforeCommit(async () => {
        await go('one');
        await unitOfWork.detached(() => sagas.result('one', { timeout: '20s' }));
      });
      return saga.start(child, { account: 'a' });
    });
    process.bus.saga(parent).saga(child);
  });
  await start('one', 'a');
  await bus.sagas.start(parent, { account: 'a' }, { id: 'parent' });
  expect((await bus.sagas.result('parent')).status).toBe('completed');
  expect((await bus.sagas.get('parent'))?.history.filter(({ event }) => event === 'failed')).toEqual([]);
});

it('a saga that was started within the unit of another DataSource waits for its key, whatever becomes of that unit', async () => {
  const elsewhere = await borrowTestDatabase();
  const [main, other] = [shop, elsewhere].map(({ url }) => new DataSource({ type: 'postgres', url })) as [DataSource, DataSource];
  await Promise.all([main.initialize(), other.initialize()]);
  const bus = new Holdfast(
    { service: 'shop', transport: database(), store: typeorm({ dataSource: { default: main, other }, lanes: 4 }) },
    { logger: silentLogger },
  );
  const saga = defineSaga<Transfer>('transfer', { version: 1, lock: ({ account }) => account }).step('pause', async (context) =>
    context.sleep('1s'),
  );
  bus.saga(saga);
  await bus.start();
  await bus.sagas.start(saga, { account: 'a' }, { id: 'one' });
  await bus.unitOfWork.run({ dataSource: 'default' }, async () => {
    const within = bus.unitOfWork.run({ dataSource: 'other' }, async () => {
      await bus.sagas.start(saga, { account: 'a' }, { id: 'two' });
      throw new Error('no');
    });
    await expect(within).rejects.toThrow('no');
  });
  expect((await bus.sagas.result('two')).status).toBe('completed');
  await bus.stop();
  await Promise.all([main.destroy(), other.destroy()]);
  await elsewhere.drop();
});

it('a start is in its part of a unit as a whole, whether or not anybody waits for it', async () => {
  const { sagas, start, unit, dataSource } = await bank();
  const pending: Promise<unknown>[] = [];
  const starting = (id: string) => {
    pending.push(start(id, 'a').catch(({ code }: { code: string }) => code));
  };
  await unit.run(async () => {
    const undone = unit.run({ propagation: 'NESTED' }, async () => {
      starting('undone');
      throw new Error('no');
    });
    await expect(undone).rejects.toThrow('no');
    await unit.run({ propagation: 'NESTED' }, async () => starting('nested'));
    await dataSource.query('select 1');
    starting('at the end');
  });
  expect(await Promise.all(pending.slice(1))).toEqual(['nested', 'at the end'].map((id) => ({ id, started: true })));
  for (const id of ['nested', 'at the end']) expect((await sagas.result(id)).status).toBe('completed');
  expect(await sagas.get('undone')).toBeUndefined();
  expect(await shop.look('select key from holdfast_saga_lock where holder is not null')).toEqual([]);
});

it('a start beside a part of its unit that is undone is not undone with it', async () => {
  const { sagas, start, unit, dataSource } = await bank();
  const started = unit.run(async () => {
    const part = unit.run({ propagation: 'NESTED' }, async () => {
      await dataSource.query('select 1');
      throw new Error('no');
    });
    return Promise.all([start('kept', 'a'), part.catch(() => undefined)]);
  });
  const beside = unit.run(async () => {
    const kept = start('kept too', 'b');
    const part = unit.run({ propagation: 'NESTED' }, () => Promise.reject(new Error('no')));
    return Promise.all([kept, part.catch(() => undefined)]);
  });
  expect([(await started)[0], (await beside)[0]]).toEqual(['kept', 'kept too'].map((id) => ({ id, started: true })));
  for (const id of ['kept', 'kept too']) expect((await sagas.result(id)).status).toBe('completed');
});

it('a start is refused while its key is held, and nothing of it is there', async () => {
  const { sagas, start, go } = await bank({ whenLocked: 'refuse' }, { held: 'one' });
  await start('one', 'a');
  await expect(start('two', 'a')).rejects.toMatchObject({ code: 'HF_SAGA_LOCKED', details: { key: 'account:a', holder: 'one' } });
  expect(await sagas.get('two')).toBeUndefined();
  expect(await start('one', 'a')).toEqual({ id: 'one', started: false });
  await go('one');
  await sagas.result('one');
  await start('two', 'a');
  expect((await sagas.result('two')).status).toBe('completed');
});

it('a key is held by nobody when the transaction of the start is rolled back', async () => {
  const { sagas, start, unit } = await bank();
  const rolledBack = unit.run(async () => {
    await start('one', 'a');
    throw new Error('no');
  });
  await expect(rolledBack).rejects.toThrow('no');
  await start('two', 'a');
  expect((await sagas.result('two')).status).toBe('completed');
});

it('a saga that waits for its key leaves its place when it is cancelled, and when its time is over', async () => {
  const { sagas, start } = await bank({ timeout: '8s' });
  await shop.look(`insert into holdfast_saga_lock (service, key, holder) values ('shop', 'account:a', 'somebody')`);
  for (const id of ['cancelled', 'late']) await start(id, 'a');
  await sagas.cancel('cancelled', { by: 'ann' });
  expect((await sagas.result('cancelled')).status).toBe('compensated');
  expect(await sagas.result('late')).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_TIMEOUT' } });
  expect(await shop.written()).toEqual([]);
  expect(await shop.look('select holder, waiting from holdfast_saga_lock')).toEqual([{ holder: 'somebody', waiting: [] }]);
});

it('an operator is told when a transaction has what his saga needs for its end, and another saga that is at work is not purged', async () => {
  const { sagas, start, unit, dataSource } = await bank();
  await shop.look(`insert into holdfast_saga_lock (service, key, holder) values ('shop', 'account:a', 'somebody')`);
  await start('one', 'a');
  await unit.run(async () => {
    await dataSource.query('select from holdfast_saga_lock for update');
    await expect(unit.detached(() => sagas.cancel('one', { by: 'ann' }))).rejects.toMatchObject({ code: 'HF_SAGA_IN_WORK' });
    await dataSource.query(`select from holdfast_saga where id = 'one' for update`);
    const startedMs = performance.now();
    await expect(unit.detached(() => sagas.purge('one', { by: 'ann' }))).rejects.toMatchObject({ code: 'HF_SAGA_NOT_ENDED' });
    expect(performance.now() - startedMs).toBeLessThan(20_000);
  });
  expect((await sagas.get('one'))?.waitsFor).toEqual(['the lock account:a']);
  await sagas.cancel('one', { by: 'ann' });
  expect((await sagas.result('one')).status).toBe('compensated');
});

it('a saga that ends as it begins holds no key', async () => {
  const { sagas, start } = await bank({}, { when: () => false });
  await start('none', 'a');
  expect((await sagas.result('none')).status).toBe('completed');
  expect(await shop.look('select from holdfast_saga_lock')).toEqual([]);
});

it('a start that loses to another one of its id leaves no other key behind', async () => {
  const { sagas, start, unit } = await bank();
  let begun: () => void = () => undefined;
  const hasKey = new Promise<void>((resolve) => {
    begun = resolve;
  });
  let free: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    free = resolve;
  });
  const first = unit.run(async () => {
    await start('one', 'a');
    begun();
    await held;
  });
  await Promise.race([hasKey, first]);
  const second = start('one', 'b');
  await sleep(300);
  free();
  await first;
  expect(await second).toEqual({ id: 'one', started: false });
  expect((await sagas.result('one')).status).toBe('completed');
  await start('other', 'b');
  expect((await sagas.result('other')).status).toBe('completed');
});

it('a saga that is started while the one of its id that has ended is deleted holds its key as any other does', async () => {
  const { sagas, start, unit, dataSource } = await bank();
  await start('one', 'a');
  await sagas.result('one');
  let again: Promise<unknown> = Promise.resolve();
  await unit.run(async () => {
    await dataSource.query(`delete from holdfast_saga where id = 'one'`);
    again = unit.detached(() => start('one', 'a'));
    await until(
      'it is waited for',
      async () =>
        (await shop.look(`select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`)).length > 0,
    );
  });
  expect(await again).toEqual({ id: 'one', started: true });
  await start('two', 'a');
  for (const id of ['one', 'two']) expect((await sagas.result(id)).status).toBe('completed');
  expect(await shop.written()).toEqual(['one', 'one', 'two'].flatMap((id) => [`${id} begins`, `${id} ends`]));
});

it('a key that cannot be one is told at the start', async () => {
  const { start } = await bank({ lock: () => '' });
  await expect(start('one', 'a')).rejects.toMatchObject({ code: 'HF_SAGA_LOCK_KEY' });
});

it('what has ended can be purged, and its id used again; what has not is refused', async () => {
  const { sagas, start, go } = await bank({}, { held: 'one' });
  await start('one', 'a');
  await expect(sagas.purge('one', { by: 'ann' })).rejects.toMatchObject({ code: 'HF_SAGA_NOT_ENDED' });
  await go('one');
  await sagas.result('one');
  await sagas.purge('one', { by: 'ann', reason: 'asked by the customer' });
  expect(await sagas.get('one')).toBeUndefined();
  await expect(sagas.purge('one', { by: 'ann' })).rejects.toMatchObject({ code: 'HF_SAGA_UNKNOWN' });
  expect(await shop.look(`select action, target, actor from holdfast_audit`)).toEqual([
    { action: 'saga purge', target: 'one', actor: 'ann' },
  ]);
  expect(await shop.look('select from holdfast_saga_history')).toEqual([]);
  expect(await start('one', 'a')).toEqual({ id: 'one', started: true });
  await go('one');
  await sagas.result('one');
});

it('versions of one saga are at work side by side in one process', async () => {
  const ofVersion = (version: number, write: (text: string) => Promise<void>) =>
    defineSaga<{ account: string }>('plain', { version })
      .step('pause', async (saga) => saga.sleep('1s'))
      .step('end', ({ id }) => write(`${id} by ${version}`));
  const before = await shop.open((process) => void process.bus.saga(ofVersion(1, process.write)));
  const first = ofVersion(1, before.write);
  await before.close();
  const built: (typeof first)[] = [];
  const { bus } = await shop.open((process) => {
    built.push(ofVersion(1, process.write), ofVersion(2, process.write));
    for (const saga of built) process.bus.saga(saga);
  });
  const [old, current] = built as [typeof first, typeof first];
  await bus.sagas.start(old, { account: 'a' }, { id: 'old' });
  await bus.sagas.start(current, { account: 'a' }, { id: 'new' });
  await until('both', async () => (await shop.written()).length === 2);
  expect((await shop.written()).sort()).toEqual(['new by 2', 'old by 1']);
  await sleep(0);
});
