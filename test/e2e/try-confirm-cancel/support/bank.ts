import { createStoreDatabase, until } from '@holdfast-internal/test-support';
import { type BranchInfo, defineTry, type Duration, Holdfast, type RetryOptions, silentLogger, type TryBranch } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';

/** Of the log. */
const LANES = 4;

/** What every account has at first. */
export const START = 100;
const ACCOUNTS = ['ann', 'ben', 'cleo'];
const QUICKLY: RetryOptions = { attempts: 3, backoff: { delay: 10, factor: 1, jitter: 'none' } };

/** What a test puts in the way of the methods. */
export interface Obstacles {
  /** Within the try, after its rows are written. */
  trying?: () => Promise<void> | void;
  /** Within the confirm, after its rows are written. */
  confirming?: (branch: TryBranch<{ readonly left: number }>) => Promise<void> | void;
  /** Within the cancel, after its rows are written. */
  cancelling?: () => Promise<void> | void;
  timeout?: Duration;
  retry?: number | RetryOptions;
}

/** How a process is opened. */
export interface OpenOptions {
  readonly poolSize?: number;
  /** Instead of the bank's own address. */
  readonly url?: string;
}

/** A database with accounts, and processes on it. */
export interface Bank {
  readonly url: string;
  /** @param set called before the start */
  open(obstacles?: Obstacles, options?: OpenOptions, set?: (process: BankProcess) => void): Promise<BankProcess>;
  /** Frozen points, and what is missing or there twice. */
  books(): Promise<{ readonly balances: Record<string, number>; readonly frozen: number; readonly taken: number; readonly lost: number }>;
  branches(): Promise<readonly { readonly method: string; readonly status: string }[]>;
  look<Row = Record<string, unknown>>(sql: string, values?: unknown[]): Promise<Row[]>;
  close(): Promise<void>;
}

/** One process of the bank. */
export interface BankProcess {
  readonly bus: Holdfast;
  readonly dataSource: DataSource;
  /** Puts points aside; confirmed they are taken, cancelled they are given back. Its cancel does not take the branch. */
  freeze(account: string, points: number): Promise<{ readonly left: number }>;
  /** A card at a foreign bank, of which only calls are seen; its cancel takes the branch. */
  hold(order: string): Promise<{ readonly hold: string }>;
  /** Calls of `hold`, its confirm and its cancel, with what they were given. */
  readonly calls: string[];
  close(): Promise<void>;
}

/** Opens a database with three accounts. */
export async function openBank(): Promise<Bank> {
  const borrowed = await createStoreDatabase(LANES);
  const observer = await new DataSource({ type: 'postgres', url: borrowed.url }).initialize();
  await observer.query('create table account (id text primary key, balance int not null, frozen int not null, taken int not null)');
  for (const id of ACCOUNTS) await observer.query('insert into account values ($1, $2, 0, 0)', [id, START]);
  const open: BankProcess[] = [];
  return {
    url: borrowed.url,
    open: async (obstacles = {}, { poolSize = 10, url = borrowed.url } = {}, set = () => undefined) => {
      const process = await made(obstacles, { url, poolSize });
      open.push(process);
      set(process);
      await process.bus.start();
      return process;
    },
    books: async () => {
      const rows = (await observer.query('select * from account')) as { id: string; balance: number; frozen: number; taken: number }[];
      const sum = (of: (row: (typeof rows)[number]) => number) => rows.reduce((total, row) => total + of(row), 0);
      const lost = START * ACCOUNTS.length - sum(({ balance, frozen, taken }) => balance + frozen + taken);
      return {
        balances: Object.fromEntries(rows.map(({ id, balance }) => [id, balance])),
        frozen: sum(({ frozen }) => frozen),
        taken: sum(({ taken }) => taken),
        lost,
      };
    },
    branches: () => observer.query('select method, status from holdfast_branch order by id'),
    look: (sql, values) => observer.query(sql, values),
    close: async () => {
      for (const process of open) await process.close();
      await observer.destroy();
      await borrowed.drop();
    },
  };
}

async function made(obstacles: Obstacles, { url, poolSize }: Required<OpenOptions>): Promise<BankProcess> {
  const dataSource = await new DataSource({ type: 'postgres', url, poolSize }).initialize();
  const bus = new Holdfast(
    { service: 'bank', transport: database(), store: typeorm({ dataSource, lanes: LANES }) },
    { logger: silentLogger },
  );
  const { timeout = '20s' as const, retry = QUICKLY } = obstacles;
  const calls: string[] = [];
  const move = (set: string) => async (account: string, points: number) => {
    await dataSource.query(`update account set ${set} where id = $1`, [account, points]);
  };
  const [freeze, take, giveBack] = [
    move('balance = balance - $2, frozen = frozen + $2'),
    move('frozen = frozen - $2, taken = taken + $2'),
    move('frozen = frozen - $2, balance = balance + $2'),
  ];
  const options = { timeout, confirmRetry: retry, cancelRetry: retry };
  const freezing = bus.tryConfirmCancel(
    defineTry(
      'points.freeze',
      async (account: string, points: number) => {
        await freeze(account, points);
        await obstacles.trying?.();
        const [{ balance }] = (await dataSource.query('select balance from account where id = $1', [account])) as [{ balance: number }];
        return { left: balance };
      },
      {
        ...options,
        confirm: async (account, points, branch) => {
          await take(account, points);
          await obstacles.confirming?.(branch);
        },
        cancel: async (account: string, points: number) => {
          await giveBack(account, points);
          await obstacles.cancelling?.();
        },
      },
    ),
  );
  const holding = bus.tryConfirmCancel(
    defineTry(
      'card.hold',
      async (order: string) => {
        calls.push(`hold ${order}`);
        await obstacles.trying?.();
        return { hold: `h-${order}` };
      },
      {
        ...options,
        confirm: async (order, branch) => void calls.push(`capture ${order} ${branch.result.hold}`),
        cancel: async (order, branch) => void calls.push(`release ${order} ${branch.result?.hold ?? 'unknown'}`),
      },
    ),
  );
  return {
    bus,
    dataSource,
    freeze: freezing,
    hold: holding,
    calls,
    close: async () => {
      await bus.stop();
      if (dataSource.isInitialized) await dataSource.destroy();
    },
  };
}

/** Waits until every branch has ended, or is parked; their statuses in the order of their tries. */
export async function ended(bank: Bank, count: number): Promise<string[]> {
  const isOver = ({ status }: Pick<BranchInfo, 'status'> | { readonly status: string }) => !/ing$/.test(status);
  await until(`the end of ${count} branches`, async () => {
    const branches = await bank.branches();
    return branches.length >= count && branches.every(isOver);
  });
  return (await bank.branches()).map(({ method, status }) => `${method} ${status}`);
}
