/** Rows of each lane, in their order; lanes in the order of their first rows. */
export function byLane<Row extends { readonly lane: number }>(rows: readonly Row[]): ReadonlyMap<number, readonly Row[]> {
  return grouped(rows, ({ lane }) => lane);
}

/** The same of each transport. */
export function byTransport<Row extends { readonly transport: string }>(rows: readonly Row[]): ReadonlyMap<string, readonly Row[]> {
  return grouped(rows, ({ transport }) => transport);
}

function grouped<Row, Key>(rows: readonly Row[], keyOf: (row: Row) => Key): ReadonlyMap<Key, readonly Row[]> {
  const groups = new Map<Key, Row[]>();
  for (const row of rows) {
    const known = groups.get(keyOf(row));
    if (known === undefined) groups.set(keyOf(row), [row]);
    else known.push(row);
  }
  return groups;
}
