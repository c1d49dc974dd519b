import { borrowTestDatabase, until } from '@holdfast-internal/test-support';
import { armFailpoint, defineTry, Holdfast, type HoldfastError, type LogFields, silentLogger, subscribe } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

const RETRY = { attempts: 3, backoff: { delay: 10, factor: 1, jitter: 'none' } } as const;

type Borrowed = Awaited<ReturnType<typeof borrowTestDatabase>>;

let shop: Borrowed;
let bank: Borrowed;
let opened: Awaited<ReturnType<typeof open>>;

/** A shop whose try writes into the database of a bank, which has no tables of Holdfast. */
async function open() {
  const main = await new DataSource({ type: 'postgres', url: shop.url }).initialize();
  const ledger = await new DataSource({ type: 'postgres', url: bank.url }).initialize();
  await ledger.query('create table if not exists hold (id text primary key, status text not null)');
  const warnings: (readonly [string, LogFields | undefined])[] = [];
  const logger = { ...silentLogger, warn: (message: string, fields?: LogFields) => void warnings.push([message, fields]) };
  const bus = new Holdfast(
    { service: 'shop', transport: database(), store: typeorm({ dataSource: { default: main, ledger }, lanes: 4 }) },
    { logger },
  );
  const cancels: string[] = [];
  const set = (status: string) => async (id: string) =>
    void (await ledger.query('update hold set status = $2 where id = $1', [id, status]));
  const hold = bus.tryConfirmCancel(
    defineTry('ledger.hold', async (id: string) => void (await ledger.query('insert into hold values ($1, $2)', [id, 'held'])), {
      dataSource: 'ledger',
      confirm: set('taken'),
      cancel: async (id, branch) => {
        cancels.push(`${id} ${branch.isTried ? 'tried' : 'unknown'}`);
        await ledger.query(`update hold set status = 'released' where id = $1 and status = 'held'`, [id]);
      },
      confirmRetry: RETRY,
      cancelRetry: RETRY,
    }),
  );
  await bus.start();
  return {
    bus,
    hold,
    cancels,
    warnings,
    holds: () => ledger.query('select * from hold order by id') as Promise<{ id: string; status: string }[]>,
    ended: () =>
      until('the end of the branch', async () => {
        const rows = (await main.query(`select status from holdfast_branch`)) as { status: string }[];
        return rows.length > 0 && rows.every(({ status }) => !/ing$/.test(status));
      }),
    main,
    close: async () => {
      await bus.stop();
      await Promise.all([main.destroy(), ledger.destroy()]);
    },
  };
}

beforeEach(async () => {
  [shop, bank] = [await borrowTestDatabase(), await borrowTestDatabase()];
  opened = await open();
});

afterEach(async () => {
  await opened.close();
  await Promise.all([shop.drop(), bank.drop()]);
});

describe('a try over another DataSource', () => {
  it('is confirmed there when its unit has committed', async () => {
    const { bus, hold, holds, ended } = opened;
    await bus.unitOfWork.run(() => hold('h-1'));
    await ended();
    expect(await holds()).toEqual([{ id: 'h-1', status: 'taken' }]);
  });

  it('is cancelled there when it has not', async () => {
    const { bus, hold, holds, ended, cancels } = opened;
    const work = bus.unitOfWork.run(async () => {
      await hold('h-1');
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    await ended();
    expect(await holds()).toEqual([{ id: 'h-1', status: 'released' }]);
    expect(cancels).toEqual(['h-1 tried']);
  });

  it('is cancelled by looking for what there is, when it was committed there and nobody here knows', async () => {
    const { bus, hold, holds, ended, cancels } = opened;
    // It is committed over there, and not here.
    armFailpoint('try:after-call', 'throw');
    await expect(bus.unitOfWork.run(() => hold('h-1'))).rejects.toThrow('failpoint');
    await ended();
    expect(await holds()).toEqual([{ id: 'h-1', status: 'released' }]);
    expect(cancels).toEqual(['h-1 unknown']);
  });

  it('is told of at the start', () => {
    const sentence = 'a try has another DataSource than the store: its confirm and cancel may run more than once, and have to recognise it';
    expect(opened.warnings).toEqual([[sentence, { method: 'ledger.hold', dataSource: 'ledger' }]]);
  });

  it('is not decided by a unit over there', async () => {
    const { bus, hold, holds } = opened;
    const within = bus.unitOfWork.run({ dataSource: 'ledger' }, () => hold('h-1'));
    const code = await within.catch((error: HoldfastError) => error.code);
    expect(code).toBe('HF_TCC_DATA_SOURCE');
    // Also where the unit around it is here: the innermost one is what its caller means.
    const around = bus.unitOfWork.run(() => bus.unitOfWork.run({ dataSource: 'ledger' }, () => hold('h-1')));
    expect(await around.catch((error: HoldfastError) => error.code)).toBe('HF_TCC_DATA_SOURCE');
    expect(await holds()).toEqual([]);
  });
});

it('branches that no process can end are told of at the start', async () => {
  const { bus, hold, main, close } = opened;
  await bus.drain();
  await bus.unitOfWork.run(() => hold('h-1'));
  await main.query(`update holdfast_branch set method = 'ledger.gone'`);
  await close();
  const told: unknown[] = [];
  const stop = subscribe('branch:unserved', (open) => void told.push(open));
  opened = await open();
  stop();
  expect(told).toEqual([{ method: 'ledger.gone', count: 1 }]);
});
