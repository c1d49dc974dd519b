import type { Clock } from '../time/clock.js';
import type { Random } from '../time/random.js';

interface LastId {
  ms: number;
  counter: number;
}

// By clock, so that the ids of a test's advanced clock do not hold back those of the real one.
const lastIds = new WeakMap<Clock, LastId>();

const HEX = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, '0'));

/** The counter begins in the lower half of its 12 bits, so that at least 2048 ids of one millisecond follow it. */
const COUNTER_START = 0x7ff;
const COUNTER_END = 0xfff;

/**
 * A new id: a UUID of version 7 as lower-case text. Ids of one clock in one process ascend, also when the clock is set back.
 * Not promised: order between processes, beyond that of their clocks; and not a secret, since its first half is the time.
 *
 * @source RFC 9562 §5.7 and §6.2, method 1: a 12-bit counter in rand_a; when it is used up the time runs ahead by a millisecond
 */
export function uuidv7(clock: Clock, random: Random): string {
  const bytes = random.bytes(10);
  const { ms, counter } = step(clock, bytes);
  const high = Math.floor(ms / 0x1_0000); // the upper 32 of 48 bits
  return (
    `${hex(high >>> 24)}${hex(high >>> 16)}${hex(high >>> 8)}${hex(high)}-${hex(ms >>> 8)}${hex(ms)}` +
    `-${hex(0x70 | (counter >>> 8))}${hex(counter)}-${hex(0x80 | (byte(bytes, 2) & 0x3f))}${hex(byte(bytes, 3))}` +
    `-${hex(byte(bytes, 4))}${hex(byte(bytes, 5))}${hex(byte(bytes, 6))}${hex(byte(bytes, 7))}${hex(byte(bytes, 8))}${hex(byte(bytes, 9))}`
  );
}

function step(clock: Clock, bytes: Uint8Array): LastId {
  const now = clock.now().getTime();
  let last = lastIds.get(clock);
  if (!last) {
    last = { ms: -1, counter: 0 };
    lastIds.set(clock, last);
  }
  if (now <= last.ms && last.counter < COUNTER_END) {
    last.counter += 1;
  } else {
    last.ms = Math.max(now, last.ms + 1);
    last.counter = ((byte(bytes, 0) << 8) | byte(bytes, 1)) & COUNTER_START;
  }
  return last;
}

function byte(bytes: Uint8Array, index: number): number {
  return bytes[index] as number;
}

function hex(value: number): string {
  return HEX[value & 0xff] as string;
}
