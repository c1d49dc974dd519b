import { type Delivery, type Holdfast, isHoldfastError } from '@holdfast/core';
import type { DataSource } from 'typeorm';
import { Forwarded, type Work } from './messages.js';
import type { Subscribing } from './options.js';
import { sleep } from './publisher.js';
import { say } from './report.js';

/** What handlers work with. */
export interface Handling {
  readonly dataSource: DataSource;
  readonly bus: Holdfast;
  readonly subscription: Subscribing;
}

/** Does what the message asks for, and leaves one row that tells of it. */
export async function handle({ dataSource, bus, subscription }: Handling, work: Work, delivery: Delivery): Promise<void> {
  const { name, slowMs = 0 } = subscription;
  if (work.kind !== 'ok') say({ e: 'called', subscription: name, id: delivery.id, kind: work.kind });
  await dataSource.query('insert into effect (subscription, message_id, key, seq, attempt, pid) values ($1, $2, $3, $4, $5, $6)', [
    name,
    delivery.id,
    delivery.key,
    work.seq,
    delivery.attempt,
    process.pid,
  ]);
  await sleep(slowMs);
  await behave({ dataSource, bus, subscription }, work, delivery);
}

async function behave({ dataSource, bus, subscription }: Handling, work: Work, delivery: Delivery): Promise<void> {
  switch (work.kind) {
    case 'ok':
      return;
    case 'slow':
      return sleep(work.ms);
    case 'throw':
      throw new Error('this message is never handled');
    case 'defect':
      if (!subscription.isMended) throw new Error('this message is not handled yet');
      return;
    case 'throw-once':
      if (delivery.attempt === 1) throw new Error('the first attempt fails');
      return;
    case 'hang':
      return new Promise(() => undefined);
    case 'pg-sleep':
      // Outside a unit the connection is the program's own, and nobody else may end what runs on it.
      if (subscription.isTransactional === false) return new Promise(() => undefined);
      return void (await dataSource.query('select pg_sleep(600)'));
    case 'kill':
      await sleep(work.ms);
      process.kill(process.pid, 'SIGKILL');
      return sleep(1000);
    case 'kill-once':
      await killOnce(dataSource, delivery.id);
      return;
    case 'spin':
      return spin(work.ms);
    case 'conflict':
      return conflict(dataSource, work);
    case 'heed':
      return subscription.isHeedless ? undefined : heed(delivery);
    case 'forward':
      await bus.bus.publish(new Forwarded(delivery.id), { id: `of-${delivery.id}` });
  }
}

/** Dies at the first sight of the message, and remembers that outside any transaction. */
async function killOnce(dataSource: DataSource, id: string): Promise<void> {
  const runner = dataSource.createQueryRunner();
  const rows = (await runner.query('insert into victim (message_id) values ($1) on conflict do nothing returning message_id', [
    id,
  ])) as unknown[];
  await runner.release();
  if (rows.length === 1) process.kill(process.pid, 'SIGKILL');
}

function spin(ms: number): void {
  const until = performance.now() + ms;
  while (performance.now() < until);
}

/** Reads and writes one row that all handlers read and write. */
async function conflict(dataSource: DataSource, work: Work): Promise<void> {
  const [row] = (await dataSource.query(`select n from counter where key = 'shared'`)) as [{ n: number } | undefined];
  await sleep(work.ms);
  await dataSource.query(`update counter set n = $1 where key = 'shared'`, [(row?.n ?? 0) + 1]);
}

/** Works until it is told to stop. */
async function heed(delivery: Delivery): Promise<void> {
  await new Promise<void>((_, reject) => {
    delivery.signal.addEventListener('abort', () => {
      const { reason } = delivery.signal as { reason: unknown };
      say({ e: 'aborted', id: delivery.id, code: isHoldfastError(reason) ? reason.code : String(reason) });
      reject(reason as Error);
    });
  });
}
