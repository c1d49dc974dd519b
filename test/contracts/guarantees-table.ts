import { EXCEPTIONS, type Kept, PROMISES, TRANSPORTS } from './promises.js';

/** The README's table of guarantees, printed from the records that drive the contract of transports. */
export function guaranteesTable(
  transports: Readonly<Record<string, Pick<(typeof TRANSPORTS)[string], 'capabilities'>>> = TRANSPORTS,
): string {
  const columns = Object.entries(transports);
  const rows = PROMISES.map(({ promise, evenWhen, kept }) => [
    promise,
    evenWhen,
    ...columns.map(([name, { capabilities }]) => told(kept(capabilities, name))),
  ]);
  const head = ['Promise', 'Even when', ...columns.map(([name]) => `\`${name}\``)];
  const table = [lineOf(head), `|${'---|'.repeat(head.length)}`, ...rows.map(lineOf)].join('\n');
  return [numbered(table), ...Object.values(EXCEPTIONS).map((text, n) => `${mark(n)} ${text}`)].join('\n\n');
}

function told(kept: Kept): string {
  return typeof kept === 'string' ? kept : `refused: \`${kept.refused}\``;
}

/** `[tx]` becomes the number of that exception. */
function numbered(table: string): string {
  return Object.keys(EXCEPTIONS).reduce((text, name, n) => text.replaceAll(` [${name}]`, mark(n)), table);
}

function mark(n: number): string {
  return `<sup>${n + 1}</sup>`;
}

function lineOf(cells: readonly string[]): string {
  return `| ${cells.join(' | ')} |`;
}
