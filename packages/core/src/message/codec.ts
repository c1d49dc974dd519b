import { isUtf8 } from 'node:buffer';
import { hfError } from '../errors/catalogue.js';
import { isDroppedPromise } from '../errors/dropped-promise.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { printable } from '../errors/printable.js';
import type { Envelope } from './envelope.js';
import { depthFault, isNestedDeeper, pollutingPath, unserialisable } from './json.js';
import { DEFAULT_LIMITS, type MessageLimits } from './limits.js';
import { className, type MessageDescription } from './message-class.js';
import { validated, whenReady } from './schema.js';
import type { UntypedMessage } from './untyped.js';

/**
 * The data of a message as bytes, as it is at this moment: later changes to the instance change nothing.
 *
 * Written as `JSON.stringify` does: methods, functions, symbols and undefined are left out, a Date becomes text, NaN becomes null. A schema
 * is shown this JSON form, since that is what it will see at delivery, and what it gives back is what is sent.
 *
 * @param message an instance of the class described
 * @param limits default: the default limits
 * @returns a promise only when the schema is asynchronous
 * @throws HF_MESSAGE_INVALID (BigInt, cycle, too deep, no object, a field that hides a method, refused by the schema), HF_MESSAGE_TOO_LARGE
 */
export function encodeData(
  message: object,
  description: MessageDescription,
  limits: MessageLimits = DEFAULT_LIMITS,
): Buffer | Promise<Buffer> {
  const data = description.isJson ? (message as UntypedMessage).data : message;
  const text = stringify(data, description, limits);
  if (!description.schema) return bytesOf(data, text, { description, limits });
  return whenReady(validated(JSON.parse(text), description), (checked) =>
    bytesOf(checked, stringify(checked, description, limits), { description, limits }),
  );
}

/**
 * The message a handler gets: an instance of the class that its subscription names for the type, brought up to that class's version and
 * checked by its schema. The constructor is not run, and fields the class does not know are kept unless the schema drops them. Where there is no
 * class (UntypedMessage), it is the JSON value itself.
 *
 * Throws nothing but HoldfastErrors of category `contract`, whatever the bytes are and whatever upcasts and schemas do.
 *
 * @param envelope the message as it came
 * @param descriptions of the classes of one subscription, each of another type
 * @param limits default: the default limits
 * @returns a promise only when the schema is asynchronous
 * @throws HF_MESSAGE_UNKNOWN_TYPE, HF_MESSAGE_TOO_LARGE, HF_MESSAGE_UNREADABLE, HF_MESSAGE_VERSION, HF_MESSAGE_INVALID
 */
export function decodeData(
  envelope: Pick<Envelope, 'type' | 'version' | 'body'>,
  descriptions: readonly MessageDescription[],
  limits: MessageLimits = DEFAULT_LIMITS,
): unknown {
  const description = descriptions.find(({ type }) => type === envelope.type);
  if (!description) throw hfError('HF_MESSAGE_UNKNOWN_TYPE', { type: envelope.type, known: descriptions.map(({ type }) => type) });
  const json = parse(envelope, description, limits);
  if (description.isJson) return json;
  const data = upcast(json as object, envelope.version, description);
  return whenReady(validated(data, description), (value) => instantiate(value, description));
}

function stringify(data: unknown, description: MessageDescription, limits: MessageLimits): string {
  let text: string | undefined;
  try {
    text = JSON.stringify(data);
  } catch (cause) {
    throw invalid(description, reasonFor(data, limits) ?? `it has no form in JSON: ${printable(cause)}`, cause);
  }
  if (text === undefined || !(description.isJson || text.startsWith('{')))
    throw invalid(description, description.isJson ? 'the data has no form in JSON' : 'the data must be an object');
  if (isNestedDeeper(text, limits.depth)) throw invalid(description, reasonFor(data, limits) ?? depthFault(text, limits.depth));
  const polluting = pollutingPath(text);
  if (polluting !== undefined) throw invalid(description, `${polluting}: a key that would change a prototype`);
  return text;
}

/** A field that no delivery could read. The text says it, and is only asked where the names of the fields themselves leave a doubt. */
function hidingField(data: object, text: string, { class: { prototype } }: MessageDescription): string | undefined {
  const taken = namesIn(prototype as object);
  const isWrittenOtherwise = typeof (data as { readonly toJSON?: unknown }).toJSON === 'function';
  if (!isWrittenOtherwise && !Object.keys(data).some((name) => taken.has(name))) return undefined;
  return Object.keys(JSON.parse(text) as object).find((name) => taken.has(name));
}

/** Looked up once for a class: to ask a prototype for what it has not costs as much as to write a small message. */
const NAMES = new WeakMap<object, ReadonlySet<string>>();

function namesIn(prototype: object): ReadonlySet<string> {
  const known = NAMES.get(prototype);
  if (known !== undefined) return known;
  const names = new Set<string>();
  for (let at: object | null = prototype; at !== null; at = Object.getPrototypeOf(at) as object | null)
    for (const name of Object.getOwnPropertyNames(at)) names.add(name);
  NAMES.set(prototype, names);
  return names;
}

function reasonFor(data: unknown, limits: MessageLimits): string | undefined {
  try {
    return unserialisable(data, limits.depth);
  } catch {
    return undefined; // a getter or toJSON threw: that is the cause already
  }
}

/** What is sent. */
function bytesOf(
  data: unknown,
  text: string,
  { description, limits }: { readonly description: MessageDescription; readonly limits: MessageLimits },
): Buffer {
  const hiding = description.isJson ? undefined : hidingField(data as object, text, description);
  if (hiding !== undefined) throw invalid(description, hiddenBy(hiding));
  const body = Buffer.from(text);
  assertSize(body, description.type, limits);
  return body;
}

function assertSize(body: Uint8Array, type: string, { bodyBytes }: MessageLimits): void {
  if (body.byteLength > bodyBytes) throw hfError('HF_MESSAGE_TOO_LARGE', { type, bytes: body.byteLength, limit: bodyBytes });
}

function parse({ type, body }: Pick<Envelope, 'type' | 'body'>, { isJson }: MessageDescription, limits: MessageLimits): unknown {
  assertSize(body, type, limits);
  const unreadable = (reason: string, cause?: unknown): Error =>
    hfError('HF_MESSAGE_UNREADABLE', { part: `The body of ${printable(type)}`, reason }, { cause });
  if (!isUtf8(body)) throw unreadable('it is not UTF-8');
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength)
    .toString()
    .replace(/^\ufeff/, '');
  let data: unknown;
  if (isNestedDeeper(text, limits.depth)) throw unreadable(depthFault(text, limits.depth));
  try {
    data = JSON.parse(text);
  } catch (cause) {
    throw unreadable(text === '' ? 'it is empty' : `it is not JSON: ${printable(text, 80)}`, cause);
  }
  if (!isJson && !isDataObject(data)) throw unreadable(`it is no object: ${printable(text, 80)}`);
  const polluting = pollutingPath(text, data);
  if (polluting !== undefined) throw unreadable(`it has the key ${printable(polluting)}, which would change a prototype`);
  return data;
}

function upcast(data: object, from: number, description: MessageDescription): object {
  let current = data;
  for (let version = from; version !== description.version; version += 1) {
    const step = description.upcast[version];
    if (!step) {
      throw hfError('HF_MESSAGE_VERSION', {
        type: description.type,
        version: from,
        known: description.version,
        class: className(description.class),
      });
    }
    try {
      current = step(current as never);
    } catch (cause) {
      throw invalid(description, `the upcast of version ${version} threw; see the cause`, cause);
    }
    if (isDroppedPromise(current)) throw invalid(description, `the upcast of version ${version} gave a promise: it must be synchronous`);
    if (!isDataObject(current)) throw invalid(description, `the upcast of version ${version} gave no object`);
  }
  return current;
}

/** Assigns the data to an instance, unless a field would hide what the class itself has under that name, its methods and accessors. */
function instantiate(data: unknown, description: MessageDescription): object {
  if (!isDataObject(data)) throw invalid(description, 'its schema gave no object');
  try {
    const instance = Object.create(description.class.prototype) as Record<string, unknown>;
    for (const name of Object.keys(data)) {
      if (name in instance) throw invalid(description, hiddenBy(name));
      instance[name] = (data as Readonly<Record<string, unknown>>)[name];
    }
    return instance;
  } catch (cause) {
    throw isHoldfastError(cause) ? cause : invalid(description, 'its data cannot be read; see the cause', cause);
  }
}

function hiddenBy(name: string): string {
  return `${name}: the class has a method or an accessor of this name`;
}

function isDataObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function invalid({ type }: MessageDescription, issue: string, cause?: unknown): Error {
  return hfError('HF_MESSAGE_INVALID', { type, issues: [issue] }, { cause });
}
