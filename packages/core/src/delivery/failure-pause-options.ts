import { problemsOf } from '../errors/problems.js';
import { printable } from '../errors/printable.js';
import { type Duration, toMs } from '../time/duration.js';

const DEFAULT_MESSAGES = 20;
const DEFAULT_SHARE = 0.5;
const DEFAULT_DELAY: Duration = '1s';
const DEFAULT_MAX_DELAY: Duration = '1m';

/** When a subscription pauses because most of its deliveries fail, and for how long. */
export interface FailurePauseOptions {
  /** How many of the latest messages are looked at, each by its latest attempt; while there were fewer, nothing pauses. At least 1; default 20. */
  messages?: number;
  /** It pauses when more than this share of them failed: from 0 to less than 1; default 0.5. */
  share?: number;
  /** The first pause; each one after it, without a success between them, is twice as long. From half of it to all of it, at random; default '1s'. */
  delay?: Duration;
  /** Upper bound of a pause; default '1m'. */
  maxDelay?: Duration;
}

/** The same, checked and with times in milliseconds. */
export interface FailurePausePolicy {
  readonly messages: number;
  readonly share: number;
  readonly delayMs: number;
  readonly maxDelayMs: number;
}

/**
 * Reads what `failurePause` was given; undefined: never.
 *
 * @param problem takes one sentence per thing that is wrong
 */
export function failurePausePolicy(
  options: false | FailurePauseOptions | undefined,
  problem: (text: string) => void,
): FailurePausePolicy | undefined {
  if (options === false) return undefined;
  const given: unknown = options === undefined ? {} : options;
  if (typeof given !== 'object' || given === null) {
    problem(`failurePause is ${printable(given)}; use false, or an object such as { messages: 20, share: 0.5 }`);
    return undefined;
  }
  const { messages = DEFAULT_MESSAGES, share = DEFAULT_SHARE, delay = DEFAULT_DELAY, maxDelay = DEFAULT_MAX_DELAY } = options ?? {};
  if (!(Number.isInteger(messages) && messages >= 1)) problem(`failurePause.messages is ${printable(messages)}; use a whole number from 1`);
  if (!(share >= 0 && share < 1)) problem(`failurePause.share is ${printable(share)}; use a number from 0 to less than 1, such as 0.5`);
  const ms = (value: Duration, option: string): number => {
    try {
      return toMs(value, option);
    } catch (error) {
      for (const each of problemsOf(error)) problem(each);
      return 0;
    }
  };
  return { messages, share, delayMs: ms(delay, 'failurePause.delay'), maxDelayMs: ms(maxDelay, 'failurePause.maxDelay') };
}
