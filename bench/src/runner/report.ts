import type { Result } from './result.js';

const COLUMNS = ['case', 'Holdfast', 'reference', 'ratio', 'target', 'met'] as const;

/** The results as a table for a terminal. */
export function table(results: readonly Result[]): string {
  const rows = results.map(({ name, value, unit, reference, ratio, target, met, skipped }) => [
    name,
    value === null ? '–' : `${number(value)} ${unit}`,
    reference === null ? '–' : `${number(reference)} ${unit}`,
    ratio === null ? '–' : ratio.toFixed(2),
    target,
    skipped === undefined ? (met ? 'yes' : 'NO') : 'skipped',
  ]);
  const widths = COLUMNS.map((column, index) => Math.max(column.length, ...rows.map((row) => (row[index] as string).length)));
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => pad(cell, index, widths[index] as number))
      .join('  ')
      .trimEnd();
  return [line(COLUMNS), line(widths.map((width) => '─'.repeat(width))), ...rows.map(line)].join('\n');
}

/** One line for a result that was just measured. */
export function summary({ name, value, unit, ratio, target, met, skipped }: Result): string {
  if (skipped !== undefined) return `– ${name}: skipped, ${skipped}`;
  const measured = value === null ? 'failed' : `${number(value)} ${unit}${ratio === null ? '' : `, ratio ${ratio.toFixed(2)}`}`;
  return `${met ? '✓' : '✗'} ${name}: ${measured} (${target})`;
}

/** Numbers to the right, texts to the left. */
function pad(cell: string, column: number, width: number): string {
  return column >= 1 && column <= 3 ? cell.padStart(width) : cell.padEnd(width);
}

function number(value: number): string {
  return value.toLocaleString('en-US', { maximumFractionDigits: Math.abs(value) >= 100 ? 0 : 2 });
}
