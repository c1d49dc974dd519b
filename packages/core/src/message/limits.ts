import { hfError } from '../errors/catalogue.js';
import { printable } from '../errors/printable.js';

/** What a message may weigh. Checked before it is stored and before it is read. */
export interface MessageLimits {
  /**
   * Bytes of the body; default 1 MiB: what Kafka accepts by default and RabbitMQ's maintainers advise not to exceed, and small enough that a
   * full batch fits into memory. A larger one makes every reader hold larger batches; a producer's limit must not be above its readers'.
   */
  readonly bodyBytes: number;
  /** Number of application headers; default 64. */
  readonly headers: number;
  /** Bytes of all application headers together, names and values; default 32 KiB. HTTP servers accept less: 8 to 16 KiB. */
  readonly headerBytes: number;
  /** How deep arrays and objects in the data may be nested; default 64. A deeper one costs stack in every schema and every handler. */
  readonly depth: number;
  /** Characters of ids, sources, ordering keys and the like; default 255, which is also the most: they are indexed together. */
  readonly idLength: number;
}

/** Options for `MessageLimits`: what is left out has its default. */
export type MessageLimitOptions = Partial<MessageLimits>;

/** The most each limit may be set to. */
const HIGHEST: MessageLimits = { bodyBytes: 2 ** 28, headers: 1024, headerBytes: 2 ** 20, depth: 512, idLength: 255 };

/**
 * The limits of a message with the defaults filled in.
 *
 * @throws HF_CONFIG_INVALID naming all limits that are not whole numbers within their bounds
 */
export function limitsFrom(options: MessageLimitOptions = {}): MessageLimits {
  const limits: MessageLimits = {
    bodyBytes: options.bodyBytes ?? 2 ** 20,
    headers: options.headers ?? 64,
    headerBytes: options.headerBytes ?? 2 ** 15,
    depth: options.depth ?? 64,
    idLength: options.idLength ?? 255,
  };
  const names = Object.keys(limits) as (keyof MessageLimits)[];
  const problems = names
    .filter((name) => !Number.isSafeInteger(limits[name]) || limits[name] < 1 || limits[name] > HIGHEST[name])
    .map((name) => `limits.${name} must be a whole number from 1 to ${HIGHEST[name]}, it is ${printable(limits[name])}`);
  if (problems.length > 0) throw hfError('HF_CONFIG_INVALID', { problems });
  return Object.freeze(limits);
}

/** The limits when nothing was said. */
export const DEFAULT_LIMITS: MessageLimits = limitsFrom();
