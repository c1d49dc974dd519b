import { createHash } from 'node:crypto';
import type { Hint, Logger, Scheduler, Timer, Wakeups } from '@holdfast/core';
import type { PostgresContext } from './context.js';
import type { RawConnection } from './sql/sql.js';
import { within } from './sql/within.js';

/** Least time between two notifications of one process: a NOTIFY takes a lock that all committing sessions share. */
const NOTIFY_INTERVAL_MS = 10;
/** Time before a lost listening connection is made again; doubles while that fails. */
const RELISTEN_MS = 1000;
const LONGEST_RELISTEN_MS = 10_000;
/** Between two questions to the server on the listening connection: nothing else is said there, and TCP does not notice that a peer has vanished. */
const ASK_MS = 30_000;
/** Longest wait for an answer there. */
const ANSWER_MS = 10_000;

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
  private asking: Timer | undefined;
  /** Connections in a row that could not listen. */
  private failures = 0;

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
    const isHeard = await this.tryToListen(wake);
    if (!isHeard) this.relistenLater(wake);
    return isHeard;
  }

  /** A connection is ours once it listens; one that does not, or comes after the end, is let go of here: nobody else would, and its pool could not end. */
  private async tryToListen(wake: (hint: Hint) => void): Promise<boolean> {
    let opened: RawConnection | undefined;
    try {
      const connection = await this.connect();
      opened = connection;
      let isLost = false;
      const client = connection.client as unknown as ListeningClient; // the pool's client also emits events
      client.on('notification', ({ channel, payload }) => {
        const [from, lanes, replies] = (payload ?? '').split(' ');
        if (channel === this.channel && from !== this.context.nodeId)
          wake({ lanes: lanes ? lanes.split(',').map(Number) : [], hasReplies: replies === REPLIES });
      });
      const lost = () => {
        isLost = true;
        if (this.connection === connection) this.lost(wake);
      };
      client.on('error', lost);
      client.on('end', lost);
      await within(ANSWER_MS, client.query(`listen ${this.channel}`));
      if (isLost || !this.isListening || this.connection !== undefined)
        throw new Error(isLost ? 'it was lost' : 'nobody wants it any more');
      this.connection = connection;
      this.failures = 0;
      this.askLater(connection, lost);
      return true;
    } catch (error) {
      opened?.release(error instanceof Error ? error : new Error(String(error)));
      this.failures += 1;
      if (this.isListening && this.failures === 1)
        this.ports.logger.warn('other processes cannot wake this one; it polls instead', { error: String(error) });
      return false;
    }
  }

  stopListening(): void {
    this.isListening = false;
    this.asking?.cancel();
    // Destroyed, not given back: it still listens.
    this.connection?.release(new Error('no longer listening'));
    this.connection = undefined;
  }

  private lost(wake: (hint: Hint) => void): void {
    const { connection } = this;
    if (connection === undefined || !this.isListening) return;
    this.connection = undefined;
    this.asking?.cancel();
    connection.release(new Error('listening connection lost'));
    this.relistenLater(wake);
  }

  /** A time that is moved by hand makes a server no older. */
  private askLater(connection: RawConnection, lost: () => void): void {
    if (this.connection !== connection) return;
    const ask = () => within(ANSWER_MS, connection.client.query('select 1')).then(() => this.askLater(connection, lost), lost);
    this.asking = this.ports.scheduler.after(ASK_MS, ask, { atLatestMs: Number.POSITIVE_INFINITY });
  }

  private relistenLater(wake: (hint: Hint) => void): void {
    if (!this.isListening) return;
    const waitMs = Math.min(LONGEST_RELISTEN_MS, RELISTEN_MS * 2 ** Math.max(0, this.failures - 1));
    this.ports.scheduler.after(waitMs, () => this.relisten(wake));
  }

  private async relisten(wake: (hint: Hint) => void): Promise<void> {
    if (!this.isListening || this.connection !== undefined) return;
    if (await this.tryToListen(wake)) wake(ANYTHING);
    else this.relistenLater(wake);
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
