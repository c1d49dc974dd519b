import type { IdRange } from '@holdfast/core';

const RANGE = /([[(])(-?\d+),(-?\d+)([\])])/g;

/** Reads PostgreSQL's text of an int8multirange whose bounds are finite, such as `{[4,5),[8,10)}`. */
export function parseMultirange(text: string): readonly IdRange[] {
  if (text === '{}') return [];
  return [...text.matchAll(RANGE)].map(([, open, low, high, close]) => ({
    from: open === '[' ? BigInt(low as string) : BigInt(low as string) + 1n,
    to: close === ']' ? BigInt(high as string) : BigInt(high as string) - 1n,
  }));
}

/** The same the other way. */
export function formatMultirange(ranges: readonly IdRange[]): string {
  return `{${ranges.map(({ from, to }) => `[${from},${to}]`).join(',')}}`;
}
