import type { ErrorCategory } from '../holdfast-error.js';

/** One error of the catalogue. */
export interface ErrorRow {
  /** What kind of failure: it decides whether it is retried and how it ends. A `conflict` is over by itself: a message that met one is tried again, uncounted. */
  readonly category: ErrorCategory;
  /** What happened, with `{placeholders}` filled from the details. */
  readonly sentence: string;
  /** What to do about it; may have `{placeholders}` too. */
  readonly fix: string;
}

/** A part of the catalogue, by code. */
export type ErrorRows = Readonly<Record<`HF_${string}`, ErrorRow>>;
