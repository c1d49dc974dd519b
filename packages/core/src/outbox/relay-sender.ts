import { describeFailure } from '../errors/describe-failure.js';
import { type Envelope, envelopeFrom } from '../message/envelope.js';
import type { PublishOutcome } from '../transport/transport.port.js';
import type { RelayContext } from './relay.js';
import type { ParkedReason } from '../operations/operators.js';
import type { Parking, RelayRow } from './relay.store.port.js';

/** First wait of a parked message, doubled each time. */
const PARKED_DELAY_MS = 1000;
/** Its longest. */
export const MAX_PARKED_DELAY_MS = 60_000;

/** What became of a row: `unknown` may have arrived, `unsent` was not tried. Both are sent again. */
export type Fate = 'sent' | 'unknown' | 'unsent' | { readonly reason: ParkedReason; readonly error: string | undefined };

/** Sends rows of one lane so that a key has at most one unconfirmed message, and none that follows one which was refused. */
export class Sender {
  constructor(private readonly context: Pick<RelayContext, 'lanes' | 'transport' | 'limits'>) {}

  /** One fate per row, in order. After one that may not have arrived, all that follows it is `unsent`. */
  async send<Row extends RelayRow>(lane: number, rows: readonly Row[]): Promise<readonly Fate[]> {
    const fates = new Map<Row, Fate>();
    const blocked = new Set<string>();
    const settle = (row: Row, fate: Fate): void => {
      fates.set(row, fate);
      if (fate !== 'sent' && row.key !== undefined) blocked.add(row.key);
    };
    for (const wave of wavesOf(rows)) {
      // Looked at last of all: whoever slept since the rows were read must not publish what is another's now.
      if (this.context.lanes.ownerToken(lane) === undefined) break;
      for (const row of wave) if (row.isBehindParked || (row.key !== undefined && blocked.has(row.key))) settle(row, BEHIND);
      await this.sendWave(
        wave.filter((row) => !fates.has(row)),
        settle,
      );
      if (wave.some((row) => fates.get(row) === 'unknown')) break;
    }
    return rows.map((row) => fates.get(row) ?? 'unsent');
  }

  private async sendWave<Row extends RelayRow>(wave: readonly Row[], settle: (row: Row, fate: Fate) => void): Promise<void> {
    const sending: { readonly row: Row; readonly envelope: Envelope }[] = [];
    for (const row of wave) {
      try {
        sending.push({ row, envelope: envelopeFrom(row.attributes, row.body, { limits: this.context.limits }) });
      } catch (error) {
        settle(row, { reason: 'unreadable', error: describeFailure(error).message });
      }
    }
    if (sending.length === 0) return;
    const outcomes = await this.context.transport.publish(sending.map(({ envelope }) => envelope));
    for (const [place, { row, envelope }] of sending.entries()) settle(row, fateOf(outcomes[place] as PublishOutcome, envelope));
  }
}

/**
 * How a row is parked; undefined when it is not.
 *
 * @param share of the longer half of its wait, from 0 to 1: by chance, so that those which failed together are not sent together again
 */
export function parkingOf({ id, attempts }: RelayRow, fate: Fate | undefined, share: number): Parking | undefined {
  if (fate === undefined || typeof fate === 'string') return undefined;
  const longestMs = Math.min(MAX_PARKED_DELAY_MS, PARKED_DELAY_MS * 2 ** Math.min(attempts, 10));
  return { id, ...fate, delayMs: fate.reason === 'behind' ? undefined : (longestMs / 2) * (1 + share) };
}

/** Cuts rows so that no wave has two messages of one key: a key has at most one unconfirmed message (red team U8). */
export function wavesOf<Row extends Pick<RelayRow, 'key'>>(rows: readonly Row[]): readonly (readonly Row[])[] {
  const waves: Row[][] = [];
  let keys = new Set<string>();
  for (const row of rows) {
    const { key } = row;
    if (waves.length === 0 || (key !== undefined && keys.has(key))) {
      waves.push([]);
      keys = new Set();
    }
    (waves.at(-1) as Row[]).push(row);
    if (key !== undefined) keys.add(key);
  }
  return waves;
}

const BEHIND: Fate = { reason: 'behind', error: undefined };

/** An event that nobody listens to has arrived; a command wants its owner (red team U17). */
export function fateOf(outcome: PublishOutcome, { kind, type }: Envelope): Fate {
  if (outcome === 'confirmed' || (outcome === 'unroutable' && kind !== 'command')) return 'sent';
  if (outcome === 'unknown') return 'unknown';
  const error =
    outcome === 'rejected' ? 'the broker refused it' : `no queue takes the command ${type}; is the service that handles it deployed?`;
  return { reason: outcome, error };
}
