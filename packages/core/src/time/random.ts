import { randomFillSync } from 'node:crypto';

/** Randomness, as the engine sees it: for jitter and the ids of messages. A port, so that a simulation can be repeated from its seed. */
export interface Random {
  /** A number from 0 (included) to 1 (excluded). */
  next(): number;
  /** `length` random bytes, at least 0; they belong to the caller. */
  bytes(length: number): Uint8Array;
}

/** Filled at once: one call into the operating system for many ids. */
const POOL_BYTES = 4096;
let pool = Buffer.alloc(0);
let used = 0;

/** The machine's randomness; `bytes` is fit for secrets, `next` is not. Owner tokens and the ids of nodes are no part of it: they come from `crypto.randomUUID`, because two processes must never draw the same. */
export const systemRandom: Random = {
  next: () => Math.random(),
  bytes(length) {
    if (length > POOL_BYTES) return randomFillSync(Buffer.alloc(length));
    if (used + length > pool.length) {
      // A fresh pool each time, never refilled: what was handed out stays as it is.
      pool = randomFillSync(Buffer.allocUnsafeSlow(POOL_BYTES));
      used = 0;
    }
    used += length;
    return pool.subarray(used - length, used);
  },
};

/**
 * Randomness that repeats itself: the same seed gives the same values, on every machine. For simulations and tests only, it can be guessed.
 *
 * @param seed any number; its lower 32 bits count
 * @source mulberry32 by Tommy Ettinger (public domain)
 */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
  return { next, bytes: (length) => Uint8Array.from({ length }, () => Math.floor(next() * 256)) };
}
