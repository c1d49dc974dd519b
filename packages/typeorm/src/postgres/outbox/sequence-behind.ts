import { hfError } from '@holdfast/core';
import type { PostgresContext } from '../context.js';

const NOT_NULL_VIOLATION = '23502';

/**
 * What a refused id means: one of these lanes' sequence was set back, and readers, who are past such an id, would never see the row. Undefined for any other
 * error.
 */
export function sequenceBehind({ tables }: PostgresContext, error: unknown, lanes: readonly number[]): Error | undefined {
  const { code, table, column } = error as { readonly code?: unknown; readonly table?: unknown; readonly column?: unknown };
  if (code !== NOT_NULL_VIOLATION || column !== 'id' || !tables.outbox.endsWith(String(table))) return undefined;
  return hfError('HF_STORE_SEQUENCE_BEHIND', { lanes: [...new Set(lanes)].sort((a, b) => a - b).join(', ') }, { cause: error });
}

/** Runs what draws ids of any lane. @throws HF_STORE_SEQUENCE_BEHIND */
export async function drawingIds<T>(context: PostgresContext, run: () => Promise<T>): Promise<T> {
  try {
    return await run();
  } catch (error) {
    throw sequenceBehind(context, error, context.marks.columns()[0]) ?? error;
  }
}
