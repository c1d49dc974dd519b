import type { Clock } from '@holdfast/core';
import type { LaneMarks } from './outbox/lane-marks.js';
import type { Tables } from './schema/tables.js';
import type { SqlPool } from './sql/sql.js';

/** What the PostgreSQL stores share. */
export interface PostgresContext {
  readonly service: string;
  readonly tables: Tables;
  readonly pool: SqlPool;
  readonly clock: Clock;
  readonly marks: LaneMarks;
  /** Lanes of each transport; read from the database at start. */
  lanes: number;
  /** The first lane of each transport, by its name; the same. */
  readonly firstLanes: Map<string, number>;
  /** Subscriptions that this process has registered. */
  served?: readonly number[];
  /** Others that were silent for so long when this process joined served nothing any more. */
  silentForMs?: number;
  /** The transport that this process has announced. */
  transport?: string;
  /** Told of what this process wrote, so that others can be woken. */
  nodeId: string;
}
