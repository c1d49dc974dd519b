const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 5000;

/** Milliseconds between tries that are never given up; they double. */
export function* growingWaitsMs(): Generator<number, never> {
  for (let ms = FIRST_WAIT_MS; ; ms = Math.min(LONGEST_WAIT_MS, 2 * ms)) yield ms;
}
