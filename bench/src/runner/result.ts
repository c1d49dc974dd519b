/** What one line of a run says; the shape of the JSON file. */
export interface Result {
  readonly name: string;
  /** What was measured of Holdfast; null when the case failed. */
  readonly value: number | null;
  readonly unit: string;
  /** The same of the reference, in the same unit; null where the target is absolute. */
  readonly reference: number | null;
  /** Median over the rounds of value ÷ reference; null where there is no reference. */
  readonly ratio: number | null;
  readonly target: string;
  /** False also for a case that failed or was skipped. */
  readonly met: boolean;
  /** Why the case was not run; only where it was not. */
  readonly skipped?: string;
}

/** What was measured, before it is held against a target. */
export interface Measured {
  readonly name: string;
  readonly value: number;
  readonly unit: string;
  readonly reference?: number;
  readonly ratio?: number;
}

/** A target on the ratio. */
export function ratioAtLeast(bound: number, measured: Measured): Result {
  const { ratio = Number.NaN } = measured;
  return finish(measured, `ratio ≥ ${bound}`, ratio >= bound);
}

/** A target on the value itself. */
export function valueAtMost(bound: number, measured: Measured): Result {
  return finish(measured, `≤ ${bound} ${measured.unit}`, measured.value <= bound);
}

/** A target on the value, as distance from the reference. */
export function atMostAbove(bound: number, measured: Measured & { readonly reference: number }): Result {
  return finish(measured, `≤ reference + ${bound} ${measured.unit}`, measured.value <= measured.reference + bound);
}

/** Something to know, without a target. */
export function told(measured: Measured): Result {
  return finish(measured, 'to know', true);
}

/** A case that did not get to its end, or ended with wrong data. */
export function failed(name: string, error: unknown): Result {
  return { name, value: null, unit: '', reference: null, ratio: null, target: `runs: ${String(error)}`, met: false };
}

/** A case that this machine has not what it takes for: its only line. */
export function skipped(name: string, reason: string): Result {
  return { name, value: null, unit: '', reference: null, ratio: null, target: 'runs', met: false, skipped: reason };
}

function finish({ name, value, unit, reference, ratio }: Measured, target: string, met: boolean): Result {
  return { name, value: round(value), unit, reference: rounded(reference), ratio: rounded(ratio), target, met };
}

function rounded(value: number | undefined): number | null {
  return value === undefined ? null : round(value);
}

/** Four digits, so that a file can be read by people. */
function round(value: number): number {
  return value === 0 ? 0 : Number(value.toPrecision(4));
}
