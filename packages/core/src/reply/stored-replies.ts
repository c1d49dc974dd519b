import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { Loop } from '../outbox/loop.js';
import type { Scheduler } from '../time/scheduler.js';
import type { ReceivedReply } from './received-reply.js';
import type { ReplyStore } from './reply.store.port.js';

/** Longest wait between two looks, for hints that got lost. */
const POLL_MS = 1000;
/** Replies read at a time. */
const BATCH = 100;

const ADDRESS_PREFIX = 'store:';

/** Whether an address for replies, of unknown origin, is that of a process that looks for them in the store. */
export function isStoredAddress(address: string | undefined): boolean {
  return address?.startsWith(ADDRESS_PREFIX) ?? false;
}

/** What looking for replies works with. */
export interface StoredRepliesContext {
  readonly store: ReplyStore;
  readonly nodeId: string;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
}

/** Where there is no broker: takes the replies to this process out of the store, from its first request on. What it could not remove comes again, and nobody waits for it then. */
export class StoredReplies {
  private readonly address: string;
  private receive: ((reply: ReceivedReply) => void) | undefined;
  private readonly loop: Loop;

  constructor(private readonly context: StoredRepliesContext) {
    const { nodeId, scheduler, logger } = context;
    this.address = `${ADDRESS_PREFIX}${nodeId}`;
    const failed = (error: unknown) => {
      emit('poll:failed', { loop: 'replies', error, delayMs: POLL_MS });
      logger.warn('looking for replies failed; it is tried again', { error });
    };
    this.loop = new Loop({ scheduler, pollMs: POLL_MS, work: () => this.look(), failed });
  }

  /** True while it looks, or is about to. */
  get isBusy(): boolean {
    return this.loop.isBusy;
  }

  /** Begins to look; the address of this process. */
  async open(receive: (reply: ReceivedReply) => void): Promise<string> {
    this.receive = receive;
    this.loop.start();
    return this.address;
  }

  /** A reply to somebody was committed. */
  nudge(): void {
    this.loop.nudge();
  }

  stop(): Promise<void> {
    return this.loop.stop();
  }

  private async look(): Promise<boolean> {
    const { store } = this.context;
    const replies = await store.read(this.address, BATCH);
    for (const reply of replies) this.receive?.(reply);
    if (replies.length > 0) await store.remove(replies);
    return replies.length === BATCH;
  }
}
