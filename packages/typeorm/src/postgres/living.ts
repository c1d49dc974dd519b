import { MOST_SILENT_MS } from '@holdfast/core';
import type { PostgresContext } from './context.js';

/**
 * Whether the process of the row `n` lives, in SQL, as far as its last word tells. Its row says less: it is deleted only by processes of its own service, and
 * there may be none any more.
 */
export function isLiving({ silentForMs = 0 }: PostgresContext): string {
  return `n.seen_at >= clock_timestamp() - interval '${Math.max(silentForMs, MOST_SILENT_MS)} milliseconds'`;
}
