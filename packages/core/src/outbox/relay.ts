import { envelopeFrom } from '../message/envelope.js';
import type { MessageLimits } from '../message/limits.js';
import { emit } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { failpoint } from '../testing/failpoints.js';
import type { Scheduler } from '../time/scheduler.js';
import type { PublishOutcome, Transport } from '../transport/transport.port.js';
import { Loop } from './loop.js';
import type { RelayBatch, RelayStore } from './log.store.port.js';

/** Rows read at a time. */
const BATCH = 500;
/** Longest wait between two looks. */
const POLL_MS = 1000;

/** What a relay works with. */
export interface RelayContext {
  readonly store: RelayStore;
  readonly transport: Transport;
  readonly scheduler: Scheduler;
  readonly logger: Logger;
  readonly limits: MessageLimits;
}

/**
 * Carries rows of the log to a transport: reads a batch, publishes it, moves each lane to the end of its confirmed prefix, compare-and-set.
 * It keeps nothing between two batches, so a crash at any point costs a repeat and never a message.
 */
export class Relay {
  private readonly loop: Loop;

  constructor(private readonly context: RelayContext) {
    this.loop = new Loop({
      scheduler: context.scheduler,
      pollMs: POLL_MS,
      work: () => this.once(),
      failed: (error) => {
        emit('poll:failed', () => ({ loop: 'relay', error, delayMs: POLL_MS }));
        context.logger.warn('the relay could not send; it tries again', { error });
      },
    });
  }

  start(): void {
    this.loop.start();
  }

  /** Something was committed. */
  nudge(): void {
    this.loop.nudge();
  }

  /** Ends after the batch in hand. */
  stop(): Promise<void> {
    return this.loop.stop();
  }

  /** True while a batch is in hand or known to wait. */
  get isBusy(): boolean {
    return this.loop.isBusy;
  }

  /** One batch; true when there may be more. */
  private async once(): Promise<boolean> {
    const batches = await this.context.store.read(BATCH);
    failpoint('relay:after-read');
    // A lane that cannot be sent must not let the others be read again while they are still at work.
    const results = await Promise.allSettled(batches.map((batch) => this.send(batch)));
    const failed = results.find(({ status }) => status === 'rejected');
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
    return results.some((result) => (result as PromiseFulfilledResult<boolean>).value);
  }

  private async send(batch: RelayBatch): Promise<boolean> {
    let sent = 0;
    for (const wave of wavesOf(batch)) {
      const outcomes = await this.context.transport.publish(
        wave.map(({ attributes, body }) => envelopeFrom(attributes, body, { limits: this.context.limits })),
      );
      failpoint('relay:after-publish');
      const confirmed = confirmedPrefix(
        outcomes,
        wave.map(({ attributes }) => attributes),
      );
      sent += confirmed;
      if (confirmed < wave.length) break;
    }
    if (sent === 0) return false;
    const isMoved = await this.context.store.advance(batch, sent);
    failpoint('relay:after-advance');
    return isMoved;
  }
}

type Row = RelayBatch['rows'][number];

/** Cuts a batch so that no wave has two messages of one key: a key has at most one unconfirmed message (red team U8). */
export function wavesOf({ rows }: Pick<RelayBatch, 'rows'>): readonly (readonly Row[])[] {
  const waves: Row[][] = [];
  let keys = new Set<string>();
  for (const row of rows) {
    const key = keyOf(row);
    if (waves.length === 0 || (key !== undefined && keys.has(key))) {
      waves.push([]);
      keys = new Set();
    }
    (waves.at(-1) as Row[]).push(row);
    if (key !== undefined) keys.add(key);
  }
  return waves;
}

function keyOf({ attributes }: Row): string | undefined {
  return (JSON.parse(attributes) as { partitionkey?: string }).partitionkey;
}

/** How many from the start are confirmed; an event that nobody listens to counts. */
function confirmedPrefix(outcomes: readonly PublishOutcome[], attributes: readonly string[]): number {
  const failed = outcomes.findIndex(
    (outcome, index) => outcome !== 'confirmed' && !(outcome === 'unroutable' && !isCommand(attributes[index] as string)),
  );
  return failed === -1 ? outcomes.length : failed;
}

function isCommand(attributes: string): boolean {
  return (JSON.parse(attributes) as { kind?: string }).kind === 'command';
}
