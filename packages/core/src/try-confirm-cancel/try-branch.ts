/** What a `TryBranch` is made of. */
export interface TryBranchFields<Result> {
  readonly id: string;
  readonly result: Result;
  readonly isTried: boolean;
  readonly attempt: number;
  readonly idempotencyKey: string;
  readonly signal: AbortSignal;
}

let construct: <Result>(fields: TryBranchFields<Result>) => TryBranch<Result>;

/** One try of a unit of work, as its confirm or cancel sees it: after the method's own arguments. */
export class TryBranch<Result> {
  /** Of this call of the try. */
  readonly id: string;
  /** What the try returned, as JSON; in a cancel it is undefined when the try was not seen to finish. */
  readonly result: Result;
  /**
   * The try has finished, and what it wrote in the database is committed; always true in a confirm. False in a cancel: nothing of what it wrote there is left,
   * and nobody knows what it did elsewhere.
   */
  readonly isTried: boolean;
  /** Which attempt of this confirm or cancel this is, from 1. */
  readonly attempt: number;
  /** Stable over attempts, for the idempotency header of a foreign API; a confirm and a cancel have different ones. */
  readonly idempotencyKey: string;
  /** Aborted when the attempt takes too long, and when stopping cannot wait any longer. */
  readonly signal: AbortSignal;

  private constructor({ id, result, isTried, attempt, idempotencyKey, signal }: TryBranchFields<Result>) {
    this.id = id;
    this.result = result;
    this.isTried = isTried;
    this.attempt = attempt;
    this.idempotencyKey = idempotencyKey;
    this.signal = signal;
  }

  static {
    construct = (fields) => new TryBranch(fields);
  }
}

/** Makes a branch; for the engine, and for tests of a confirm or a cancel by itself. */
export function createTryBranch<Result>(fields: TryBranchFields<Result>): TryBranch<Result> {
  return construct(fields);
}
