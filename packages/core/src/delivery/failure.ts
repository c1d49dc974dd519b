/** What is kept of an error: storable, bounded, and grouped by type and place. */
export interface Failure {
  /** Code of the error, or its name where it has none. */
  readonly code: string;
  readonly errorType: string;
  readonly message: string;
  readonly stack: string | undefined;
  /** Equal for the same exception from the same application frame, whatever the line number. */
  readonly fingerprint: string;
}
