import { isHoldfastError, type Holdfast } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { Work } from './messages.js';
import type { Kind, Publishing } from './options.js';
import { say } from './report.js';

/** Thrown by units that are meant to fail. */
class Unwanted extends Error {
  readonly code = 'UNWANTED';
}

interface Planned {
  readonly id: string;
  readonly key: string | undefined;
  readonly seq: number;
  readonly kind: Kind;
}

/** Publishes as a service does: business row and message in one unit. */
export class Publisher {
  private isStopped = false;
  private readonly tasks = new Set<Promise<void>>();

  constructor(
    private readonly dataSource: DataSource,
    private readonly bus: Holdfast,
  ) {}

  /** Publishes all of it, and says so. */
  async publish(publishing: Publishing): Promise<void> {
    const started = performance.now();
    const { count = Number.POSITIVE_INFINITY, untilAcknowledged = Number.POSITIVE_INFINITY } = publishing;
    let next = 0;
    let acknowledged = 0;
    const worker = async (): Promise<void> => {
      while (!this.isStopped && next < count && acknowledged < untilAcknowledged) {
        const index = next;
        next += 1;
        if (publishing.perSecond !== undefined) await sleep(started + (index * 1000) / publishing.perSecond - performance.now());
        if (!this.isStopped && (await this.one(publishing, index))) acknowledged += 1;
      }
    };
    const task = Promise.all(Array.from({ length: publishing.concurrency ?? 4 }, worker)).then(() => {
      say({ e: 'published', prefix: publishing.prefix, ms: Math.round(performance.now() - started) });
    });
    this.tasks.add(task);
    await task;
  }

  /** Begins nothing more, and waits for what has begun. */
  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.allSettled(this.tasks);
  }

  /** True when it was acknowledged. */
  private async one(publishing: Publishing, index: number): Promise<boolean> {
    const id = `${publishing.prefix}-${index}`;
    say({ e: 'attempted', id });
    try {
      const { isolation, isJoined = false, protocol } = publishing;
      // What cannot be serialised takes many runs on a busy machine.
      const options = isolation === undefined ? { timeout: 10_000, protocol } : { timeout: 30_000, isolation, retries: 50, protocol };
      const work = () => this.unit(id, publishing, index);
      const { unitOfWork } = this.bus;
      if (isJoined) await this.dataSource.transaction((manager) => unitOfWork.join(manager, work));
      else await unitOfWork.run(options, work);
      say({ e: 'acknowledged', id });
      return true;
    } catch (error) {
      const code = String((error as { code?: unknown }).code ?? error);
      say({ e: isHoldfastError(error, 'HF_UOW_COMMIT_UNKNOWN') ? 'unknown' : 'refused', id, code });
      // A database that is away comes back.
      if (code !== 'UNWANTED' && code !== '23503') await sleep(50);
      return false;
    }
  }

  private async unit(id: string, publishing: Publishing, index: number): Promise<void> {
    const { keys = 8, keyPrefix = 'key', kinds = ['ok'], perUnit = 1, rollbackShare = 0.03 } = publishing;
    const key = keys === 0 ? undefined : `${keyPrefix}-${(index * 7) % keys}`;
    const last = key === undefined ? index : await this.nextOf(key, perUnit);
    for (let each = perUnit - 1; each >= 0; each -= 1) {
      const one = { id: each === 0 ? id : `${id}.${each}`, key, seq: last - each, kind: kinds[index % kinds.length] ?? 'ok' };
      await this.message(one, publishing);
    }
    const chance = Math.random();
    if (chance < rollbackShare / 2) throw new Unwanted('rolled back on purpose');
    // Refused at COMMIT, when the message row has its id.
    if (chance < rollbackShare) await this.dataSource.query('insert into veto (parent) values (-1)');
  }

  private async message(
    { id, key, seq, kind }: Planned,
    { ms = 0, ballast = 0, delayMs, copyOf, receipt = false, destinations }: Publishing,
  ): Promise<void> {
    const messageId = copyOf ?? id;
    await this.dataSource.query('insert into intent (id, message_id, key, seq, kind) values ($1, $2, $3, $4, $5)', [
      id,
      messageId,
      key,
      seq,
      kind,
    ]);
    const when = delayMs === undefined ? {} : { delay: delayMs };
    const work = new Work(kind, seq, ms, 'x'.repeat(ballast));
    for (const destination of destinations ?? [undefined])
      await this.bus.bus.publish(work, { id: messageId, key, receipt, destination, ...when });
  }

  /** Under a row lock that is held to the end of the unit: who comes later waited for who came before. */
  private async nextOf(key: string, by: number): Promise<number> {
    const [row] = (await this.dataSource.query(
      'insert into counter (key, n) values ($1, $2) on conflict (key) do update set n = counter.n + excluded.n returning n',
      [key, by],
    )) as [{ n: number }];
    return row.n;
  }
}

/** Resolves after so many milliseconds; at once when they are over. */
export function sleep(ms: number): Promise<void> {
  return ms <= 0 ? Promise.resolve() : new Promise((resolve) => setTimeout(resolve, ms));
}
