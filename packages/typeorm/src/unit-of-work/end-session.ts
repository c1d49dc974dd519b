import type { DataSource } from 'typeorm';
import { SESSION_PREFIX } from '../postgres/node-store.js';
import { within } from '../postgres/sql/within.js';
import { connectRaw } from './connections.js';
import type { PgClient } from './pg-client.js';

const ANSWER_MS = 10_000;

/**
 * Ends the server's side of a connection that was destroyed without an answer: where no word of that arrives, the session would keep its locks, a
 * cursor's among them, until the server's keepalive gives it up, two hours by default. Only sessions that have named themselves as at work for
 * Holdfast; never rejects.
 */
export async function endSession(source: DataSource, { processID }: PgClient): Promise<void> {
  if (typeof processID !== 'number') return;
  try {
    const { client, release } = await connectRaw(source);
    const text =
      'select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and application_name like $2 and usename = current_user';
    await within(ANSWER_MS, client.query({ text, values: [processID, `${SESSION_PREFIX}%`] })).then(() => release(), release);
  } catch {
    // No way to the server either: its own time-outs remain.
  }
}
