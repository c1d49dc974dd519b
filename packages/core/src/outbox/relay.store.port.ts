import type { Incoming } from '../delivery/intake.port.js';
import type { OperatorAction, Page, Paged, ParkedChoice, ParkedFilter, ParkedMessage, ParkedReason } from '../operations/operators.js';
import { DEFAULT_TRANSPORT } from '../transport/transport-name.js';
import type { IdRange, Position } from './position.js';

/** The scope of the leases of lanes: one relay sends a lane. */
export const RELAY_SCOPE = 'relay';

/** The same of the lanes of one transport: only processes that have it share them. */
export function relayScopeOf(transport: string): string {
  return transport === DEFAULT_TRANSPORT ? RELAY_SCOPE : `${RELAY_SCOPE}:${transport}`;
}

/** A row of the log, as the relay reads it. */
export type RelayRow = Incoming & {
  readonly id: bigint;
  readonly key: string | undefined;
  /** Messages of its key are parked: it must not overtake them. */
  readonly isBehindParked: boolean;
};

/** Rows of one lane, and the place they were read from. */
export interface RelayBatch {
  readonly lane: number;
  /** The server they were read from: after a fail-over the same ids may be other messages. */
  readonly life: string;
  readonly from: Position;
  /** Ids above it that will never come. */
  readonly dead: readonly IdRange[];
  /** In id order. */
  readonly rows: readonly RelayRow[];
  /** The lane has so many parked messages that no more are parked: it waits for them. */
  readonly isParkingFull: boolean;
}

/** A row that is parked instead of being sent. */
export interface Parking {
  readonly id: bigint;
  readonly reason: ParkedReason;
  readonly error: string | undefined;
  /** Until it is sent again; undefined for what waits behind another one. */
  readonly delayMs: number | undefined;
}

/** How much is read at once, in whole rows. */
export interface ReadBound {
  readonly rows: number;
  /** Of bodies and attributes together; one row is read, however large it is. */
  readonly bytes: number;
}

/** How far a batch came. */
export interface Progress {
  /** Rows from its start that are dealt with: sent, or parked with this step. */
  readonly count: number;
  readonly parked: readonly Parking[];
  readonly ownerToken: string;
}

/** Parked messages of one lane that are due, in the order in which they were written. */
export interface ParkedBatch {
  readonly lane: number;
  /** As in `RelayBatch`. */
  readonly life: string;
  readonly rows: readonly (RelayRow & { readonly attempts: number })[];
}

/** What became of parked messages that were sent again. */
export interface Resent {
  readonly sent: readonly bigint[];
  readonly failed: readonly (Parking & { readonly delayMs: number })[];
  readonly ownerToken: string;
}

/** The relay's places in the log. Every write proves with a token that the lane is still its own, and that its place is the one read. */
export interface RelayStore {
  /** Reads on from where the relay stands in these lanes, so much of each: one statement, so that a place and what is parked there belong together. */
  read(lanes: readonly number[], perLane: ReadBound): Promise<readonly RelayBatch[]>;
  /** Moves one lane on and parks what is to be parked, in one commit; false when somebody else moved it or owns it: forget what was read. */
  advance(batch: RelayBatch, progress: Progress): Promise<boolean>;
}

/** Messages that could not be sent, each with those of its key behind it, in the order in which they were written. */
export interface ParkedStore {
  /** Those of these lanes that are due, longest due first, and with them what waits behind: the first of each key before the second of any. */
  due(lanes: readonly number[], most: ReadBound): Promise<readonly ParkedBatch[]>;
  /** Deletes what was sent and puts off what failed again; what waited behind becomes due. False when the lane is not its own any more. */
  resent(batch: Pick<ParkedBatch, 'lane' | 'life'>, resent: Resent): Promise<boolean>;
  /** One page, oldest first. */
  list(filter: ParkedFilter & Page): Promise<Paged<ParkedMessage>>;
  /** Makes the chosen ones due now; how many. */
  resume(which: ParkedChoice, action: OperatorAction): Promise<number>;
  /** Deletes the chosen ones; how many. What waited behind them is sent. */
  discard(which: ParkedChoice, action: OperatorAction): Promise<number>;
}
