/** The value below which `share` of the values lie, by nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new Error('nothing was measured');
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.ceil(share * sorted.length) - 1)] as number;
}

/** The middle value. */
export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Both sides of a comparison, as medians. */
export interface Comparison {
  readonly value: number;
  readonly reference: number;
  /** Median of the ratios of neighbouring rounds: what loads the machine for a while loads both. */
  readonly ratio: number;
}

/** Rounds of each side before the first that counts. */
export const WARM_UP_ROUNDS = 2;

/**
 * Measures two sides in turn, A B, B A, A B …, after rounds of each that do not count: code is compiled and connections are warm.
 *
 * @param side one round, answering with a rate: more is better
 */
export async function alternate(rounds: number, value: () => Promise<number>, reference: () => Promise<number>): Promise<Comparison> {
  for (let round = 0; round < WARM_UP_ROUNDS; round += 1) {
    await value();
    await reference();
  }
  const pairs: { value: number; reference: number }[] = [];
  for (let round = 0; round < rounds; round += 1) {
    if (round % 2 === 0) {
      const first = await value();
      pairs.push({ value: first, reference: await reference() });
    } else {
      const first = await reference();
      pairs.push({ value: await value(), reference: first });
    }
  }
  return {
    value: median(pairs.map((pair) => pair.value)),
    reference: median(pairs.map((pair) => pair.reference)),
    ratio: median(pairs.map((pair) => pair.value / pair.reference)),
  };
}
