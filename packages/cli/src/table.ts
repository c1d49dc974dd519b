import { printable } from '@holdfast/core';

/** Longest text of one cell, in characters. */
const CELL_LENGTH = 80;

/** Rows under their headings, in columns; what came from outside is cut and made printable. */
export function table(headings: readonly string[], rows: readonly (readonly unknown[])[]): string {
  const cells = [headings, ...rows.map((row) => row.map((value) => (value === undefined ? '-' : printable(value, CELL_LENGTH))))];
  const widths = headings.map((_, column) => Math.max(...cells.map((row) => (row[column] ?? '').length)));
  return cells
    .map(
      (row) =>
        `${row
          .map((cell, column) => cell.padEnd(widths[column] as number))
          .join('  ')
          .trimEnd()}\n`,
    )
    .join('');
}

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1000],
] as const;

/** A length of time as a person reads it: its largest unit. */
export function age(ms: number | undefined): string | undefined {
  if (ms === undefined) return undefined;
  const [unit, length] = UNITS.find(([, unitMs]) => ms >= unitMs) ?? ['ms', 1];
  return `${Math.floor(ms / length)}${unit}`;
}

/** What `--json` writes instead of a table. */
export function json(value: object): string {
  return `${JSON.stringify(value, undefined, 2)}\n`;
}
