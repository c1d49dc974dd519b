import type { CursorKey } from '@holdfast/core';

/** A cursor as the key of a map. */
export function cursorName({ subscriptionId, lane }: CursorKey): string {
  return `${subscriptionId}/${lane}`;
}
