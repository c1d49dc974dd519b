import { createHash } from 'node:crypto';
import type { Hint, Logger, Scheduler, Wakeups } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import type { RawConnection } from './sql/sql.js';

/** Least time between two notifications of one process: a NOTIFY takes a lock that all committing sessions share. */
const NOTIFY_INTERVAL_MS = 10;
/** Time before a lost listening connection is made again. */
const RELISTEN_MS = 1000;

/** Last word of a notification that tells of replies. */
const REPLIES = 'replies';
/** After a time in which nothing was heard. */
const ANYTHING: Hint = { lanes: undefined, hasReplies: true };

interface ListeningClient {
  query(text: string): Promise<unknown>;
  on(event: 'notification', listener: (message: { channel: string; payload?: string }) => void): unknown;
  on(event: 'error' | 'end', listener: () => void): unknown;
}

/** NOTIFY as a hint between processes: never in a business transaction, the first at once and then at most one per interval. */
export class PostgresWakeups implements Wakeups {
  private readonly channel: string;
  private readonly lanes = new Set<number>();
  private hasReplies = false;
  private isWaiting = false;
  private isListening = false;
  private connection: RawConnection | undefined;

  constructor(
    private readonly context: PostgresContext,
    private readonly connect: () => Promise<RawConnection>,
    private readonly ports: { readonly scheduler: Scheduler; readonly logger: Logger },
  ) {
    this.channel = `holdfast_${createHash('sha256').update(context.tables.outbox).digest('hex').slice(0, 12)}`;
  }

  notify({ lanes, hasReplies }: Hint): void {
    this.hasReplies ||= hasReplies;
    for (const lane of lanes ?? []) this.lanes.add(lane);
    if (!this.isWaiting) this.send();
  }

  async listen(wake: (hint: Hint) => void): Promise<boolean> {
    this.isListening = true;
    try {
      this.connection = await this.connect();
      const client = this.connection.client as unknown as ListeningClient; // the pool's client also emits events
      client.on('notification', ({ channel, payload }) => {
        const [from, lanes, replies] = (payload ?? '').split(' ');
        if (channel === this.channel && from !== this.context.nodeId)
          wake({ lanes: lanes ? lanes.split(',').map(Number) : [], hasReplies: replies === REPLIES });
      });
      client.on('error', () => this.lost(wake));
      client.on('end', () => this.lost(wake));
      await client.query(`listen ${this.channel}`);
      return true;
    } catch (error) {
      this.ports.logger.warn('other processes cannot wake this one; it polls instead', { error: String(error) });
      return false;
    }
  }

  stopListening(): void {
    this.isListening = false;
    // Destroyed, not given back: it still listens.
    this.connection?.release(new Error('no longer listening'));
    this.connection = undefined;
  }

  private lost(wake: (hint: Hint) => void): void {
    const { connection } = this;
    if (connection === undefined || !this.isListening) return;
    this.connection = undefined;
    connection.release(new Error('listening connection lost'));
    this.ports.scheduler.after(RELISTEN_MS, () => this.relisten(wake));
  }

  private async relisten(wake: (hint: Hint) => void): Promise<void> {
    if (!this.isListening) return;
    if (await this.listen(wake)) wake(ANYTHING);
    else this.ports.scheduler.after(RELISTEN_MS, () => this.relisten(wake));
  }

  private send(): void {
    if (this.lanes.size === 0 && !this.hasReplies) return;
    const hint = `${[...this.lanes].join(',')}${this.hasReplies ? ` ${REPLIES}` : ''}`;
    this.lanes.clear();
    this.hasReplies = false;
    this.isWaiting = true;
    this.context.pool
      // A hint need not survive a crash: nobody waits for the disk.
      .run({
        name: 'hf_notify',
        text: `select set_config('synchronous_commit', 'off', true), pg_notify($1, $2)`,
        values: [this.channel, `${this.context.nodeId} ${hint}`],
      })
      // A lost hint costs one poll interval, nothing else.
      .catch(() => undefined)
      .finally(() => this.ports.scheduler.after(NOTIFY_INTERVAL_MS, () => this.resume()));
  }

  private resume(): void {
    this.isWaiting = false;
    this.send();
  }
}
