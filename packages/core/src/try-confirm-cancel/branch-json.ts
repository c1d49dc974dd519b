import { hfError } from '../errors/catalogue.js';
import { unserialisable } from '../message/json.js';

/** Most bytes of the arguments of a try, and of its result: they are kept with each branch. */
export const BRANCH_BYTES = 2 ** 18;
/** Deepest nesting that is looked through for what JSON cannot hold. */
const DEPTH = 64;

/** The arguments of a try as they are stored. @throws HF_TCC_ARGUMENTS */
export function encodeArguments(args: readonly unknown[], method: string): string {
  const reason = (text: string) => hfError('HF_TCC_ARGUMENTS', { method, reason: text });
  return encode(args, 'the arguments', reason);
}

/** The result of a try as it is stored; undefined: none. @throws HF_TCC_RESULT */
export function encodeResult(result: unknown, method: string): string | undefined {
  if (result === undefined) return undefined;
  return encode(result, 'the result', (text) => hfError('HF_TCC_RESULT', { method, reason: text }));
}

/** What is stored, read. */
export function decodeStored(text: string | undefined): unknown {
  return text === undefined ? undefined : JSON.parse(text);
}

function encode(value: unknown, what: string, refusal: (reason: string) => Error): string {
  let text: string | undefined;
  let lost: string | undefined;
  try {
    // What JSON would change without a word: the confirm would get something else than the try.
    text = JSON.stringify(value, function look(this: Readonly<Record<string, unknown>>, key: string, json: unknown) {
      const loss = lossOf(this[key], { json, isInList: Array.isArray(this) });
      if (loss !== undefined) lost ??= `${key || what}: ${loss}`;
      return json;
    });
  } catch {
    throw refusal(reasonOf(value) ?? 'JSON cannot hold it');
  }
  if (lost !== undefined) throw refusal(lost);
  if (text === undefined) throw refusal(`${what}: a ${typeof value} has no form in JSON`);
  const bytes = Buffer.byteLength(text);
  if (bytes > BRANCH_BYTES) throw refusal(`${what}: ${bytes} bytes as JSON, the limit is ${BRANCH_BYTES}`);
  return text;
}

function lossOf(value: unknown, { json, isInList }: { readonly json: unknown; readonly isInList: boolean }): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) return `${value} becomes null in JSON`;
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value} has no form in JSON`;
  if (value === undefined && isInList) return 'undefined in a list becomes null in JSON; give null, or leave it out';
  if (typeof value !== 'object' || value === null) return undefined;
  if (value instanceof Date) return 'a Date comes back as text; give it as text, with toISOString()';
  if (typeof json !== 'object' || json === null) return `a ${value.constructor?.name ?? 'object'} comes back as a ${typeof json}`;
  for (const kind of [Map, Set, WeakMap, WeakSet, RegExp, Promise, Error])
    if (value instanceof kind) return `what is in a ${kind.name} is not in its JSON`;
  return undefined;
}

function reasonOf(value: unknown): string | undefined {
  try {
    return unserialisable(value, DEPTH);
  } catch {
    return undefined;
  }
}
