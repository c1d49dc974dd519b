/** Between two looks. */
const LOOK_MS = 30;
/** How long a thing is waited for that comes within seconds on a quiet machine: a machine that stalls may need a hundred times as long. No bound: those are measured. */
export const PATIENCE_MS = 120_000;
/** Of what was seen last, in the error. */
const SEEN_LENGTH = 2000;

/** Looks again and again until it is so; gives what it saw then. @throws an Error with what was seen last */
export async function eventually<T>(look: () => Promise<T> | T, isGood: (value: T) => boolean, forMs = PATIENCE_MS): Promise<T> {
  for (const end = Date.now() + forMs; ; ) {
    const value = await look();
    if (isGood(value)) return value;
    if (Date.now() > end) throw new Error(`Still not so after ${forMs} ms; last seen: ${JSON.stringify(value).slice(0, SEEN_LENGTH)}`);
    await pause(LOOK_MS);
  }
}

/** The same for what has a name in the error. */
export async function until(what: string, look: () => Promise<boolean> | boolean, forMs = PATIENCE_MS): Promise<void> {
  for (const end = Date.now() + forMs; !(await look()); await pause(LOOK_MS))
    if (Date.now() > end) throw new Error(`${what} did not happen within ${forMs} ms`);
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
