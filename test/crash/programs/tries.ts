import { defineTry, type Holdfast } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import type { ProgramOptions, Trying } from './options.js';
import { codeAndMessage, say } from './report.js';

/** What one unit moves. */
export const POINTS = 10;
/** Not over when its process wakes, however long it was frozen on a busy machine. */
const UNIT_TIMEOUT = '5m';

/** Tries of the program: points that are moved in the database, and a card whose hold happens elsewhere, whatever becomes of the transaction. */
export function purseTries(bus: Holdfast, dataSource: DataSource, { tryAttempts = 20, tryTimeoutMs = 20_000 }: ProgramOptions) {
  const retry = { attempts: tryAttempts, backoff: { delay: 10, factor: 1, jitter: 'none' } } as const;
  const limits = { timeout: tryTimeoutMs, confirmRetry: retry, cancelRetry: retry } as const;
  const effect = (what: string, id: string, attempt?: number) =>
    dataSource.query('insert into effect (subscription, message_id, attempt, pid) values ($1, $2, $3, $4)', [
      what,
      id,
      attempt,
      process.pid,
    ]);
  const move = (set: string) => dataSource.query(`update purse set ${set}`, [POINTS]);
  const freeze = bus.tryConfirmCancel(
    defineTry(
      'points.freeze',
      async (id: string) => {
        await move('free = free - $1, frozen = frozen + $1');
        await effect('freeze', id);
      },
      {
        ...limits,
        confirm: async (id: string, { attempt }) => {
          if (id.startsWith('kills by confirm')) process.kill(process.pid, 'SIGKILL');
          await move('frozen = frozen - $1, taken = taken + $1');
          await effect('take', id, attempt);
          // Nothing is wrong until COMMIT.
          if (id.startsWith('stubborn') && attempt === 1) await dataSource.query('insert into veto values (1)');
        },
        cancel: async (id: string) => {
          if (id.startsWith('kills by cancel')) process.kill(process.pid, 'SIGKILL');
          await move('frozen = frozen - $1, free = free + $1');
          await effect('give back', id);
        },
      },
    ),
  );
  const hold = bus.tryConfirmCancel(
    defineTry('card.hold', async (id: string) => void (await bus.unitOfWork.detached(() => effect('hold', id))), {
      ...limits,
      confirm: async (id: string) => void (await effect('capture', id)),
      cancel: async (id: string, { attempt }) => void (await effect('release', id, attempt)),
    }),
  );
  return { freeze, hold, effect };
}

/** Runs units of work that call both tries, one after another, and says how each ended. */
export async function callTries(
  bus: Holdfast,
  dataSource: DataSource,
  { tries, prefix, count, how }: Trying & { readonly tries: ReturnType<typeof purseTries> },
): Promise<void> {
  for (let n = 0; n < count; n += 1) {
    const id = `${how} ${prefix}-${n}`;
    const unit = bus.unitOfWork.run({ timeout: UNIT_TIMEOUT }, async () => {
      await tries.freeze(id);
      if (how === 'kills by confirm') return;
      if (how === 'kills by cancel') throw new Error('no van');
      await tries.hold(id);
      await tries.effect('placed', id);
      if (how === 'refused') throw new Error('no van');
      if (how === 'refused at commit') await dataSource.query('insert into veto values (1)');
    });
    const code = await unit.then(
      () => 'committed',
      (error: unknown) => (error as { code?: string }).code ?? codeAndMessage(error),
    );
    say({ e: 'unit ended', id, code });
  }
}
