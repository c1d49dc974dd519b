/** Rows of each lane, in their order; lanes in the order of their first rows. */
export function byLane<Row extends { readonly lane: number }>(rows: readonly Row[]): ReadonlyMap<number, readonly Row[]> {
  const lanes = new Map<number, Row[]>();
  for (const row of rows) {
    const known = lanes.get(row.lane);
    if (known === undefined) lanes.set(row.lane, [row]);
    else known.push(row);
  }
  return lanes;
}
