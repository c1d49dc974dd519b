/**
 * The highest id that is taken in each lane, as far as this process knows. A writer that is given a lower one after that knows that the lane's
 * sequence was set back, and that readers, who are past it, would never see the row.
 */
export class LaneMarks {
  private readonly marks = new Map<number, bigint>();

  of(lane: number): bigint {
    return this.marks.get(lane) ?? 0n;
  }

  /** All of them, as two columns: for statements that find out the lanes themselves. */
  columns(): [lanes: number[], ids: bigint[]] {
    return [[...this.marks.keys()], [...this.marks.values()]];
  }

  /** A writer of this process was given `id`. */
  given(lane: number, id: bigint): void {
    if (id > this.of(lane)) this.marks.set(lane, id);
  }

  /** What the tables themselves say, which counts more than memory: after a fail-over to an older state lower ids are right again. */
  reached(lane: number, id: bigint): void {
    this.marks.set(lane, id);
  }
}
