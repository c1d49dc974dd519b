import type { Paged } from '@holdfast/core';
import type { Call } from './command.js';
import { json, table } from './table.js';

/** How one page of a list is shown. */
export interface PageColumns<Item> {
  /** The sentence for a list without anything in it. */
  readonly none: string;
  readonly headings: readonly string[];
  row(item: Item): readonly unknown[];
  /** What the JSON output has of an item; default: all of it. */
  brief?(item: Item): object;
}

/** Writes a page as a table, or as JSON, and says how to come to the next one. */
export function writePage<Item>({ terminal, values }: Call, { items, next }: Paged<Item>, columns: PageColumns<Item>): void {
  if (values.json) {
    terminal.write(json({ items: columns.brief === undefined ? items : items.map((item) => columns.brief?.(item)), next }));
    return;
  }
  if (items.length === 0) {
    terminal.write(`${columns.none}\n`);
    return;
  }
  terminal.write(
    table(
      columns.headings,
      items.map((item) => columns.row(item)),
    ),
  );
  if (next !== undefined) terminal.writeError(`More follow: --cursor ${JSON.stringify(next)}\n`);
}
