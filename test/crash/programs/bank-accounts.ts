import { setTimeout } from 'node:timers/promises';
import type { DataSource } from 'typeorm';
import type { Transfer } from './options.js';

/** Longer than any time-out of the bank. */
const LATE_MS = 3500;

/** What is done to one account: to money that is free, and to money that is held. */
export interface Move {
  readonly what: string;
  readonly account: string;
  readonly free?: number;
  readonly held?: number;
}

/** The accounts of the bank, and a line in `movement` for everything that was done, with what it left in the account. */
export class Accounts {
  constructor(private readonly dataSource: DataSource) {}

  /** False, and nothing is done, when so much is not free. */
  async move({ id }: Transfer, { what, account, free = 0, held = 0 }: Move): Promise<boolean> {
    const lines = (await this.dataSource.query(
      `with moved as (update account set free = free + $3, held = held + $4 where name = $5 and free + $3 >= 0 returning *)
       insert into movement (transfer, what, account, free, held) select $1, $2, name, free, held from moved returning n`,
      [id, what, free, held, account],
    )) as unknown[];
    return lines.length > 0;
  }

  /** The same in a database where it may be asked for again: done once for each transfer, and only after something else where that is told. */
  async moveOnce({ id }: Transfer, { what, account, free = 0 }: Move, after?: string): Promise<void> {
    await this.dataSource.query(
      `with said as (insert into movement (transfer, what, account, free, held) select $1, $2, name, free + $3, held from account
         where name = $4 and ($5::text is null or exists (select from movement where transfer = $1 and what = $5)) on conflict do nothing returning account)
       update account set free = free + $3 where name in (select account from said)`,
      [id, what, free, account, after],
    );
  }

  /** Whoever is stuck stays so until then. */
  async assertMended({ fate }: Transfer): Promise<void> {
    if (fate === 'stuck' && ((await this.dataSource.query('select from mended')) as unknown[]).length === 0)
      throw new Error('it is not mended yet');
  }
}

/** What goes wrong whatever is done. */
export async function befall({ fate }: Transfer, attempt: number): Promise<void> {
  if (attempt > 1) return;
  if (fate === 'falters') throw new Error('it fails once');
  if (fate === 'late') await setTimeout(LATE_MS);
}
