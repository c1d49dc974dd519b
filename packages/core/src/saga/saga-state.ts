import { hfError } from '../errors/catalogue.js';
import { unserialisable } from '../message/json.js';

/** Most bytes of a state: it is read and written with every step. */
export const STATE_BYTES = 2 ** 18;
/** Deepest nesting that is looked through for what JSON cannot hold. */
const DEPTH = 64;

/** Which saga a state belongs to, for errors. */
export interface StateOwner {
  readonly saga: string;
  readonly id: string;
  /** Where it stands; `none`: at its start, or its end. */
  readonly step: string;
}

/** A state as it is stored. @throws HF_SAGA_STATE, HF_SAGA_STATE_TOO_LARGE */
export function encodeState(state: unknown, owner: StateOwner): string {
  if (typeof state !== 'object' || state === null || Array.isArray(state))
    throw hfError('HF_SAGA_STATE', { ...owner, reason: 'it is no object' });
  const text = stringify(state, owner);
  const bytes = Buffer.byteLength(text);
  if (bytes > STATE_BYTES) throw hfError('HF_SAGA_STATE_TOO_LARGE', { ...owner, bytes, limit: STATE_BYTES });
  return text;
}

/** The state as a step gets it: a copy of its own. @throws HF_SAGA_STATE when what is stored is no JSON */
export function decodeState(text: string, owner: StateOwner): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw hfError('HF_SAGA_STATE', { ...owner, reason: 'what is stored is no JSON' }, { cause: error });
  }
}

function stringify(state: object, owner: StateOwner): string {
  let text: string | undefined;
  let lost: string | undefined;
  try {
    // What JSON would change without a word: the next step would get something else.
    text = JSON.stringify(state, function look(this: object, key: string, value: unknown) {
      const loss = lossOf(value, Array.isArray(this));
      if (loss !== undefined) lost ??= `${key || 'the state'}: ${loss}`;
      return value;
    });
  } catch (error) {
    throw hfError('HF_SAGA_STATE', { ...owner, reason: reasonOf(state) ?? 'JSON cannot hold it' }, { cause: error });
  }
  if (lost !== undefined) throw hfError('HF_SAGA_STATE', { ...owner, reason: lost });
  // A toJSON of its own may give anything.
  if (text === undefined || !text.startsWith('{')) throw hfError('HF_SAGA_STATE', { ...owner, reason: 'its JSON is no object' });
  return text;
}

function lossOf(value: unknown, isInList: boolean): string | undefined {
  if (typeof value === 'number' && !Number.isFinite(value)) return `${value} becomes null in JSON`;
  if (typeof value === 'function' || typeof value === 'symbol') return `a ${typeof value} has no form in JSON`;
  if (value === undefined && isInList) return 'undefined in a list becomes null in JSON';
  for (const kind of [Map, Set, WeakMap, WeakSet, RegExp, Promise, Error])
    if (value instanceof kind) return `what is in a ${kind.name} is not in its JSON`;
  return undefined;
}

function reasonOf(state: object): string | undefined {
  try {
    return unserialisable(state, DEPTH);
  } catch {
    return undefined;
  }
}
