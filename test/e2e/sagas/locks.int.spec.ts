import { setTimeout as sleep } from 'node:timers/promises';
import { defineSaga, NonRetryableError, type SagaOptions } from '@holdfast/core';
import { openShop, type Shop, until } from './support/shop.js';

interface Transfer {
  account: string;
  isRefused?: boolean;
}

let shop: Shop;

beforeEach(async () => {
  shop = await openShop();
});

afterEach(() => shop.close());

/** Sagas that hold their account, and write when they begin and end. */
async function bank(options: Partial<SagaOptions<Transfer>> = {}, when?: () => boolean) {
  const lock = ({ account }: Transfer) => `account:${account}`;
  const saga = defineSaga<Transfer>('transfer', { version: 1, lock, ...options });
  const { bus, dataSource } = await shop.open((process) => {
    saga
      .step('begin', async ({ id }) => process.write(`${id} begins`), { when })
      .step('pause', async (context) => context.sleep('200ms'), { when })
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
  return { sagas: bus.sagas, start, unit: bus.unitOfWork, dataSource };
}

it('of sagas with one key one is at work, in the order of their starts, whatever becomes of those before', async () => {
  const { sagas, start } = await bank();
  await start('one', 'a');
  await start('two', 'a', true);
  await start('three', 'a');
  await start('other', 'b');
  await start('two', 'a', true);
  expect((await sagas.get('three'))?.waitsFor).toEqual(['the lock account:a']);
  const ends = await Promise.all(['one', 'two', 'three', 'other'].map((id) => sagas.result(id)));
  expect(ends.map(({ status }) => status)).toEqual(['completed', 'compensated', 'completed', 'completed']);
  const ofA = (await shop.written()).filter((text) => !text.startsWith('other'));
  expect(ofA).toEqual(['one begins', 'one ends', 'two begins', 'three begins', 'three ends']);
  expect(await shop.look('select key from holdfast_saga_lock where holder is not null')).toEqual([]);
});

it('a start is refused while its key is held, and nothing of it is there', async () => {
  const { sagas, start } = await bank({ whenLocked: 'refuse' });
  await start('one', 'a');
  await expect(start('two', 'a')).rejects.toMatchObject({ code: 'HF_SAGA_LOCKED', details: { key: 'account:a', holder: 'one' } });
  expect(await sagas.get('two')).toBeUndefined();
  expect(await start('one', 'a')).toEqual({ id: 'one', started: false });
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
  const { sagas, start } = await bank({ timeout: '2s' });
  await shop.look(`insert into holdfast_saga_lock (service, key, holder) values ('shop', 'account:a', 'somebody')`);
  for (const id of ['cancelled', 'late']) await start(id, 'a');
  await sagas.cancel('cancelled', { by: 'ann' });
  expect((await sagas.result('cancelled')).status).toBe('compensated');
  expect(await sagas.result('late')).toMatchObject({ status: 'compensated', failure: { code: 'HF_SAGA_TIMEOUT' } });
  expect(await shop.written()).toEqual([]);
  expect(await shop.look('select holder, waiting from holdfast_saga_lock')).toEqual([{ holder: 'somebody', waiting: [] }]);
});

it('a saga that ends as it begins holds no key', async () => {
  const { sagas, start } = await bank({}, () => false);
  await start('none', 'a');
  expect((await sagas.result('none')).status).toBe('completed');
  expect(await shop.look('select from holdfast_saga_lock')).toEqual([]);
});

it('a start that loses to another one of its id leaves no other key behind', async () => {
  const { sagas, start, unit } = await bank();
  let free: () => void = () => undefined;
  const held = new Promise<void>((resolve) => {
    free = resolve;
  });
  const first = unit.run(async () => {
    await start('one', 'a');
    await held;
  });
  await until('its key', async () => (await shop.look(`select from pg_stat_activity where state = 'idle in transaction'`)).length > 0);
  const second = start('one', 'b');
  await sleep(300);
  free();
  await first;
  expect(await second).toEqual({ id: 'one', started: false });
  expect((await sagas.result('one')).status).toBe('completed');
  await start('other', 'b');
  expect((await sagas.result('other')).status).toBe('completed');
});

it('a key that cannot be one is told at the start', async () => {
  const { start } = await bank({ lock: () => '' });
  await expect(start('one', 'a')).rejects.toMatchObject({ code: 'HF_SAGA_LOCK_KEY' });
});

it('what has ended can be purged, and its id used again; what has not is refused', async () => {
  const { sagas, start } = await bank();
  await start('one', 'a');
  await expect(sagas.purge('one', { by: 'ann' })).rejects.toMatchObject({ code: 'HF_SAGA_NOT_ENDED' });
  await sagas.result('one');
  await sagas.purge('one', { by: 'ann', reason: 'asked by the customer' });
  expect(await sagas.get('one')).toBeUndefined();
  await expect(sagas.purge('one', { by: 'ann' })).rejects.toMatchObject({ code: 'HF_SAGA_UNKNOWN' });
  expect(await shop.look(`select action, target, actor from holdfast_audit`)).toEqual([
    { action: 'saga purge', target: 'one', actor: 'ann' },
  ]);
  expect(await shop.look('select from holdfast_saga_history')).toEqual([]);
  expect(await start('one', 'a')).toEqual({ id: 'one', started: true });
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
