import type { SimulatedDatabase, SimulatedTransaction } from './database.spec.js';

/** What a step, or what undoes it, does in one database. */
export interface Effect {
  readonly saga: string;
  readonly step: string;
  readonly what: 'do' | 'undo';
  /** In the order in which the accounts are locked. */
  readonly moves: readonly { readonly account: string; readonly amount: number }[];
  /** Refused when an account would be overdrawn. */
  readonly isLimited: boolean;
}

/** One line for each effect that was committed. */
export interface LedgerRow extends Effect {
  readonly atMs: number;
}

interface AccountRow {
  readonly balance: number;
}

const OPENING = 100;

export function openAccounts(db: SimulatedDatabase, names: readonly string[]): void {
  for (const name of names) db.table<AccountRow>('account').set(name, { balance: OPENING });
}

/** Money in a database now, and at the beginning. */
export function moneyIn(db: SimulatedDatabase): { readonly now: number; readonly opened: number } {
  const accounts = [...db.table<AccountRow>('account').values()];
  return { now: accounts.reduce((sum, { balance }) => sum + balance, 0), opened: accounts.length * OPENING };
}

/** Runs a statement in some transaction. */
export type Run = <T>(statement: (sql: SimulatedTransaction) => T | Promise<T>) => Promise<T>;

/** Moves money and writes it down; false, and nothing is done, when it is not there. */
export async function took(run: Run, effect: Effect): Promise<boolean> {
  const { moves, isLimited } = effect;
  const before: number[] = [];
  for (const { account } of moves)
    before.push(
      await run(async (sql) => {
        await sql.lock('account', account);
        return sql.get<AccountRow>('account', account)?.balance ?? 0;
      }),
    );
  if (isLimited && moves.some(({ amount }, at) => amount < 0 && (before[at] as number) + amount < 0)) return false;
  await run((sql) => {
    for (const [at, { account, amount }] of moves.entries())
      sql.put('account', account, { balance: (before[at] as number) + amount } satisfies AccountRow);
  });
  await run((sql) => sql.add('ledger', { ...effect, atMs: sql.db.nowMs } satisfies LedgerRow));
  return true;
}
