/**
 * Whether a function of the user, which has to answer at once, gave a promise. Nobody waits for that one then: how it ends is nobody's business, and a
 * rejection must not end the process.
 */
export function isDroppedPromise(value: unknown): boolean {
  if (!(value instanceof Promise)) return false;
  value.catch(() => undefined);
  return true;
}
