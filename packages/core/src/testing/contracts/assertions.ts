import { strict as assert } from 'node:assert';
import { inspect } from 'node:util';

/** How long anything is waited for, on a busy machine or one that stalls. */
export const PATIENCE_MS = 120_000;
/** Between two looks, the first and the longest: what comes late may be seen a little later. */
const LOOK_MS = 20;
const LONGEST_LOOK_MS = 80;

/** Fails unless `actual` has the fields of `expected`, deeply, whatever else it has. */
export function assertFields(actual: unknown, expected: object): void {
  if (Array.isArray(expected)) assert.equal((actual as readonly unknown[] | undefined)?.length, expected.length);
  for (const [name, wanted] of Object.entries(expected)) {
    const found = (actual as Readonly<Record<string, unknown>> | undefined)?.[name];
    if (isRecord(wanted) || Array.isArray(wanted)) assertFields(found, wanted);
    else assert.deepEqual(found, wanted, `${name} is ${inspected(found)}, not ${inspected(wanted)}`);
  }
}

/** Fails unless the list, or the text, has `part` in it. */
export function assertIncludes(whole: { includes(part: unknown): boolean }, part: unknown): void {
  assert.ok(whole.includes(part), `${inspected(part)} is not in ${inspected(whole)}`);
}

/** Fails unless `least <= actual`, and where `most` is given `actual <= most`. */
export function assertBetween(
  actual: number,
  { least = -Infinity, most = Infinity }: { readonly least?: number; readonly most?: number },
): void {
  assert.ok(actual >= least && actual <= most, `${actual} is not between ${least} and ${most}`);
}

/** Looks again and again until it is so; throws with what it saw last. */
export async function eventually<T>(look: () => Promise<T> | T, isGood: (value: T) => boolean, forMs = PATIENCE_MS): Promise<T> {
  const end = Date.now() + forMs;
  for (let waitMs = LOOK_MS; ; waitMs = Math.min(LONGEST_LOOK_MS, waitMs * 1.3)) {
    const value = await look();
    if (isGood(value)) return value;
    if (Date.now() > end) throw new Error(`Still not so after ${forMs} ms; last seen: ${inspected(value)}`);
    await new Promise((resolve) => setTimeout(resolve, waitMs));
  }
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && Object.getPrototypeOf(value) === Object.prototype;
}

function inspected(value: unknown): string {
  return inspect(value, { depth: 6 });
}
