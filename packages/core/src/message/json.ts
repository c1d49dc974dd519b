/**
 * True when a JSON text nests arrays and objects deeper than `limit`. Looks at the text, not at a value, and so before anything recursive
 * has touched it. One pass, no recursion; on a text that is no JSON the answer means nothing.
 */
export function isNestedDeeper(text: string, limit: number): boolean {
  // What most messages end with, at a fraction of the price.
  return !opensAtMost(text, limit) && depthOf(text, limit) > limit;
}

/**
 * How deep a JSON text nests arrays and objects; likewise without recursion.
 *
 * @param enough looks no further once it is deeper than this; default: looks at all of it
 */
export function depthOf(text: string, enough = Number.POSITIVE_INFINITY): number {
  let depth = 0;
  let deepest = 0;
  let isInString = false;
  for (let at = 0; at < text.length; at += 1) {
    const char = text.charCodeAt(at);
    if (isInString) {
      if (char === BACKSLASH) at += 1;
      else if (char === QUOTE) isInString = false;
    } else if (char === QUOTE) isInString = true;
    else if (char === OPEN_ARRAY || char === OPEN_OBJECT) {
      depth += 1;
      if (depth > deepest) deepest = depth;
      if (deepest > enough) return deepest;
    } else if (char === CLOSE_ARRAY || char === CLOSE_OBJECT) depth -= 1;
  }
  return deepest;
}

/** What is wrong with a text that is nested too deep. @param around levels of the text that are not the data's own */
export function depthFault(text: string, limit: number, around = 0): string {
  return `it is nested ${depthOf(text) - around} levels deep, the limit is ${limit}`;
}

/** Whether the text opens no more than `limit` arrays and objects in all, those in strings counted too. */
function opensAtMost(text: string, limit: number): boolean {
  let count = 0;
  for (const open of ['{', '[']) {
    for (let at = text.indexOf(open); at !== -1 && count <= limit; at = text.indexOf(open, at + 1)) count += 1;
  }
  return count <= limit;
}

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const OPEN_ARRAY = 0x5b;
const CLOSE_ARRAY = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/**
 * Finds a key that would reach a prototype when the data is merged or copied carelessly: `__proto__`, or `constructor` with a `prototype` in it.
 * Gives its path, or undefined.
 *
 * @param text JSON, nested no deeper than the limits allow, since this goes down recursively; most texts are cleared by a look at them
 * @param value what the text says, if it was parsed already
 * @source OWASP Prototype Pollution Prevention Cheat Sheet; the same two keys as fastify's secure-json-parse
 */
export function pollutingPath(text: string, value?: unknown): string | undefined {
  // An escaped key (`"__pro\u0074o__"`) cannot be told from the text, so any escape means a closer look.
  const mayPollute = text.includes('__proto__') || text.includes('"constructor"') || text.includes('\\u');
  return mayPollute ? findPolluting(value ?? JSON.parse(text), '') : undefined;
}

function findPolluting(value: unknown, path: string): string | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  for (const [key, child] of Object.entries(value)) {
    const at = childPath(path, key, value);
    if (key === '__proto__') return at;
    if (key === 'constructor' && typeof child === 'object' && child !== null && Object.hasOwn(child, 'prototype')) return `${at}.prototype`;
    const below = findPolluting(child, at);
    if (below !== undefined) return below;
  }
  return undefined;
}

/**
 * Why `JSON.stringify` cannot write a value, with the path: a BigInt, a cycle, too deep. Undefined when none of these is found. For after it
 * failed: this one is slow. May throw what a getter of the value throws.
 */
export function unserialisable(value: unknown, maxDepth: number): string | undefined {
  return findUnserialisable(value, { path: '', key: '', above: [], cleared: new Set(), maxDepth });
}

interface Search {
  readonly path: string;
  readonly key: string;
  /** Objects this one is in, outermost first. */
  readonly above: readonly unknown[];
  /** Objects that were looked through: one that is used many times is looked at once. */
  readonly cleared: Set<unknown>;
  readonly maxDepth: number;
}

function findUnserialisable(given: unknown, search: Search): string | undefined {
  const { path, above, cleared, maxDepth } = search;
  const value = jsonForm(given, search.key);
  const here = path === '' ? 'the data' : path;
  if (typeof value === 'bigint') return `${here}: a BigInt has no form in JSON, send it as text`;
  if (typeof value !== 'object' || value === null || cleared.has(value)) return undefined;
  if (above.includes(value)) return `${here}: contains itself`;
  if (above.length >= maxDepth) return `${here}: nested deeper than ${maxDepth} levels, which is the limit`;
  for (const [key, child] of Object.entries(value)) {
    const reason = findUnserialisable(child, { ...search, key, path: childPath(path, key, value), above: [...above, value] });
    if (reason !== undefined) return reason;
  }
  cleared.add(value);
  return undefined;
}

function jsonForm(value: unknown, key: string): unknown {
  const toJson = typeof value === 'object' && value !== null ? (value as { toJSON?: unknown }).toJSON : undefined;
  return typeof toJson === 'function' ? toJson.call(value, key) : value;
}

function childPath(path: string, key: string, parent: object): string {
  if (Array.isArray(parent)) return `${path}[${key}]`;
  return path === '' ? key : `${path}.${key}`;
}
