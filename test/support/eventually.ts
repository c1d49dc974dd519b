/** Between two looks, the first and the longest: what comes late may be seen a little later. */
const LOOK_MS = 30;
const LONGEST_LOOK_MS = 80;
/** How long a thing is waited for that comes within seconds on a quiet machine: a machine that stalls may need a hundred times as long. No bound: those are measured. */
export const PATIENCE_MS = 120_000;
/** Of what was seen last, in the error. */
const SEEN_LENGTH = 2000;

/** Looks again and again until it is so; gives what it saw then. @throws an Error with what was seen last */
export async function eventually<T>(look: () => Promise<T> | T, isGood: (value: T) => boolean, forMs = PATIENCE_MS): Promise<T> {
  const end = Date.now() + forMs;
  for (let waitMs = LOOK_MS; ; waitMs = longer(waitMs)) {
    const value = await look();
    if (isGood(value)) return value;
    if (Date.now() > end) throw new Error(`Still not so after ${forMs} ms; last seen: ${JSON.stringify(value).slice(0, SEEN_LENGTH)}`);
    await pause(waitMs);
  }
}

function longer(waitMs: number): number {
  return Math.min(LONGEST_LOOK_MS, waitMs * 1.3);
}

/** The same for what has a name in the error. */
export async function until(what: string, look: () => Promise<boolean> | boolean, forMs = PATIENCE_MS): Promise<void> {
  const end = Date.now() + forMs;
  for (let waitMs = LOOK_MS; !(await look()); waitMs = longer(waitMs)) {
    if (Date.now() > end) throw new Error(`${what} did not happen within ${forMs} ms`);
    await pause(waitMs);
  }
}

/** For `settled` of an application under test: a machine that stalls needs longer than it waits by itself. */
export const PATIENTLY = { timeout: '2m' } as const;

/** A machine that stalls spoils a measurement, and hardly three of them. */
const MEASUREMENTS = 3;

/** Measures up to three times, for a bound in time that one run has to keep: gives the first run that keeps it, or the last one. */
export async function measured<T>(run: () => Promise<T>, isKept: (value: T) => boolean): Promise<T> {
  for (let left = MEASUREMENTS - 1; ; left -= 1) {
    const value = await run();
    if (left === 0 || isKept(value)) return value;
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
