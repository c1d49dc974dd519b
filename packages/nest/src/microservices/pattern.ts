import { hfError } from '@holdfast/core';

/** Where Nest's own text for a pattern stops telling patterns apart. @source @nestjs/microservices, transformPatternToRoute */
const MAX_DEPTH = 5;
const MAX_KEYS = 20;

/** One part of a text that other transports of Nest read as "anything". */
const WILDCARDS: ReadonlySet<string> = new Set(['*', '#', '>', '+']);

/**
 * The message type a pattern stands for: a text is itself, an object is Nest's own text for it (`{"cmd":"sum"}`, keys in order).
 *
 * @param route Nest's text for it
 * @param target `Class.method`, or the call, for the error
 * @throws HF_NEST_PATTERN for what would match nothing, or the wrong thing
 */
export function typeOfPattern(pattern: unknown, route: unknown, target: string): string {
  const reason = whyNoType(pattern);
  if (reason !== undefined || typeof route !== 'string')
    throw hfError('HF_NEST_PATTERN', { pattern, target, reason: reason ?? 'it is no text' });
  return route;
}

function whyNoType(pattern: unknown): string | undefined {
  if (typeof pattern === 'string' || typeof pattern === 'number') {
    return String(pattern)
      .split(/[./]/)
      .some((part) => WILDCARDS.has(part))
      ? 'a message has one type, and nothing is matched by a wildcard'
      : undefined;
  }
  if (typeof pattern !== 'object' || pattern === null) return 'it is neither a text nor an object';
  return whyNoObject(pattern, 0);
}

function whyNoObject(value: object, depth: number): string | undefined {
  if (![Object.prototype, null].includes(Object.getPrototypeOf(value))) return 'it is neither a text nor a plain object';
  if (depth > MAX_DEPTH) return `it is nested deeper than ${MAX_DEPTH}`;
  const values: readonly unknown[] = Object.values(value);
  if (values.length > MAX_KEYS) return `it has more than ${MAX_KEYS} keys on one level`;
  for (const child of values) {
    const reason = typeof child === 'object' && child !== null ? whyNoObject(child, depth + 1) : undefined;
    if (reason !== undefined) return reason;
  }
  return undefined;
}
