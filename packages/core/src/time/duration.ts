import { hfError } from '../errors/catalogue.js';

type Digit = '0' | '1' | '2' | '3' | '4' | '5' | '6' | '7' | '8' | '9';

/**
 * A length of time: milliseconds, or a whole number with a unit as in `'250ms' '30s' '15m' '6h' '7d'`, from 0 to a hundred years.
 *
 * Days have 24 hours. The compiler refuses signs, fractions, blanks and other units; text from outside goes through `duration()`.
 *
 * @throws HF_CONFIG_DURATION where it is used, when negative or malformed
 */
export type Duration = number | (`${bigint}${'ms' | 's' | 'm' | 'h' | 'd'}` & `${Digit}${string}`);

const UNITS_MS = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const TEXT = /^(\d+)(ms|s|m|h|d)$/;
/** A hundred years: far below what a Date and a database's timestamp can hold, so that adding one to now is always a moment. */
const LONGEST_MS = 36_525 * UNITS_MS.d;

/**
 * Turns text of unknown origin (an environment variable) into a Duration.
 *
 * @param text a whole number with a unit: `ms`, `s`, `m`, `h` or `d`; a bare number is refused, because nobody can tell its unit
 * @throws HF_CONFIG_DURATION naming the text
 */
export function duration(text: string): Duration {
  if (typeof text !== 'string') throw hfError('HF_CONFIG_DURATION', { option: 'The text given to duration()', value: text });
  toMs(text as Duration, 'The text given to duration()');
  return text as Duration;
}

/**
 * A Duration in milliseconds, whole: fractions, as a computed back-off has them, are rounded up.
 *
 * @param value the option as given; checked, whatever the compiler was told
 * @param option name of the option, for the error
 * @throws HF_CONFIG_DURATION naming option and value
 */
export function toMs(value: Duration, option: string): number {
  const ms = typeof value === 'number' ? value : parse(value);
  if (!(ms >= 0 && ms <= LONGEST_MS)) throw hfError('HF_CONFIG_DURATION', { option, value });
  return Math.ceil(ms);
}

function parse(text: unknown): number {
  const match = typeof text === 'string' ? TEXT.exec(text) : null;
  return match ? Number(match[1]) * UNITS_MS[match[2] as keyof typeof UNITS_MS] : Number.NaN;
}
