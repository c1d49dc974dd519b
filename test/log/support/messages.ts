import { type Incoming, type LogRow, slotOf } from '@holdfast/core';
import type { Fact } from './history.js';
import { TYPE } from './open-store.js';

/** A fact as a row for the log; without a key when `isKeyless`. */
export function rowOf({ id, key, n }: Fact, also: Partial<LogRow> = {}): LogRow {
  return {
    slot: slotOf(key),
    type: TYPE,
    key,
    attributes: JSON.stringify({ specversion: '1.0', id, source: 'test', type: TYPE, time: '2026-01-01T00:00:00Z', partitionkey: key }),
    body: Buffer.from(JSON.stringify({ id, key, n })),
    due: undefined,
    ...also,
  };
}

/** The way back. */
export function factOf({ body }: Pick<Incoming, 'body'>): Fact {
  return JSON.parse(Buffer.from(body).toString('utf8')) as Fact;
}
