import { isUtf8 } from 'node:buffer';
import { hfError } from '../errors/catalogue.js';
import { describeFailure } from '../errors/describe-failure.js';
import { isHoldfastError } from '../errors/holdfast-error.js';
import { isNonRetryableError } from '../errors/non-retryable-error.js';
import { printable, readProperty } from '../errors/printable.js';
import { depthFault, isNestedDeeper, pollutingPath, unserialisable } from '../message/json.js';
import type { MessageLimits } from '../message/limits.js';

/** Why a command was not handled, as its requester gets to know it. */
export interface Refusal {
  /** Code of the error, or its type where it has none. */
  readonly code: string;
  readonly message: string;
  /** What the handler's NonRetryableError carried; empty for other errors. */
  readonly details: Readonly<Record<string, unknown>>;
  /** It left nothing behind and never runs any more, which its service has written down; else it may have been done in part. */
  readonly isDefinite?: boolean;
}

/** What a request comes to: what its handler returned, as JSON (undefined: nothing), or why it was refused. */
export type Answer = { readonly json: string | undefined } | { readonly refusal: Refusal };

/** CloudEvents types of the two messages an answer can be. Of no class, so that nobody subscribes to them. */
export const REPLY_TYPE = 'holdfast.reply';
export const REFUSAL_TYPE = 'holdfast.refusal';

/** Code of the refusal that says: it was handled, and what was returned cannot be carried. */
export const UNSENDABLE = 'HF_REPLY_UNSENDABLE';

/** What `keptText` puts around a value, which is one level deeper then: to a saga it travels like that, and is read within the same limits. */
const AROUND_VALUE_BYTES = '{"value":}'.length;

function limitsOfValue(limits: MessageLimits): MessageLimits {
  return { ...limits, bodyBytes: limits.bodyBytes - AROUND_VALUE_BYTES, depth: limits.depth - 1 };
}

/** The answer with what a handler returned. What JSON cannot carry, or is too large, becomes a refusal that says so: the work is done all the same. */
export function answerWith(value: unknown, limits: MessageLimits): Answer {
  try {
    const json = JSON.stringify(value) as string | undefined;
    const fault = json === undefined ? undefined : faultOf(json, limitsOfValue(limits));
    return fault === undefined ? { json } : unsendable(fault);
  } catch (error) {
    return unsendable(reasonFor(value, limits) ?? `it has no form in JSON: ${printable(error)}`);
  }
}

/** The answer after a failure that is final; `isDefinite` only where whoever refuses has made sure of it. */
export function refusalFor(error: unknown, limits: MessageLimits, isDefinite = false): Answer {
  const { code, message } = describeFailure(error);
  const details = isNonRetryableError(error) ? readProperty(error, 'details') : undefined;
  const checked = answerWith(details ?? {}, limits);
  const bare = { refusal: { code, message, details: {}, isDefinite } };
  if (!('json' in checked)) return bare;
  const whole = { refusal: { ...bare.refusal, details: JSON.parse(checked.json ?? '{}') as Refusal['details'] } };
  // The reason matters more than what came with it.
  return faultOf(JSON.stringify(whole), limits) === undefined ? whole : bare;
}

/** The answer as a message: its type, and its body, which is empty when nothing was returned. */
export function bodyOf(answer: Answer): { readonly type: string; readonly body: Buffer } {
  if ('refusal' in answer) return { type: REFUSAL_TYPE, body: Buffer.from(JSON.stringify(answer.refusal)) };
  return { type: REPLY_TYPE, body: Buffer.from(answer.json ?? '') };
}

/** The answer as it is kept beside the memory of its command; undefined when there is nothing to keep. */
export function keptText(answer: Answer): string | undefined {
  if ('refusal' in answer) return JSON.stringify(answer);
  return answer.json === undefined ? undefined : `{"value":${answer.json}}`;
}

/** Reads back what `keptText` wrote. */
export function answerFrom(kept: string | undefined): Answer {
  const { value, refusal } = JSON.parse(kept ?? '{}') as { readonly value?: unknown; readonly refusal?: Refusal };
  return refusal === undefined ? { json: JSON.stringify(value) as string | undefined } : { refusal };
}

/**
 * What a reply says: the value that was returned.
 *
 * @throws HF_REQUEST_REJECTED, HF_REPLY_UNSENDABLE when it says so, HF_REPLY_UNREADABLE when it is neither
 */
export function replyValue(
  reply: { readonly type: string; readonly body: Uint8Array },
  about: { type: string; id: string },
  limits: MessageLimits,
): unknown {
  const value = parse(reply.body, about, limits);
  if (reply.type === REPLY_TYPE) return value;
  const { code, message, details } = (value ?? {}) as Partial<Refusal>;
  if (reply.type !== REFUSAL_TYPE || typeof message !== 'string')
    throw hfError('HF_REPLY_UNREADABLE', { ...about, reason: `it is ${printable(reply.type)}, and no answer` });
  if (code === UNSENDABLE) throw hfError('HF_REPLY_UNSENDABLE', { ...about, reason: message });
  throw hfError('HF_REQUEST_REJECTED', { ...about, reason: message, code, details: details ?? {} });
}

function parse(body: Uint8Array, about: { type: string; id: string }, limits: MessageLimits): unknown {
  if (body.byteLength === 0) return undefined;
  const unreadable = (reason: string, cause?: unknown) => hfError('HF_REPLY_UNREADABLE', { ...about, reason }, { cause });
  if (body.byteLength > limits.bodyBytes) throw unreadable(sizeFault(body.byteLength, limits));
  if (!isUtf8(body)) throw unreadable('it is not UTF-8');
  const text = Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString();
  try {
    const fault = faultOf(text, limits);
    if (fault !== undefined) throw unreadable(fault);
    return JSON.parse(text);
  } catch (error) {
    throw isHoldfastError(error) ? error : unreadable(`it is not JSON: ${printable(text, 80)}`, error);
  }
}

function faultOf(json: string, limits: MessageLimits): string | undefined {
  const bytes = Buffer.byteLength(json);
  if (bytes > limits.bodyBytes) return sizeFault(bytes, limits);
  if (isNestedDeeper(json, limits.depth)) return depthFault(json, limits.depth);
  const polluting = pollutingPath(json);
  return polluting === undefined ? undefined : `it has the key ${printable(polluting)}, which would change a prototype`;
}

function sizeFault(bytes: number, { bodyBytes }: MessageLimits): string {
  return `it has ${bytes} bytes, the limit is ${bodyBytes}`;
}

function reasonFor(value: unknown, limits: MessageLimits): string | undefined {
  try {
    return unserialisable(value, limits.depth);
  } catch {
    return undefined; // a getter or toJSON threw: that is the cause already
  }
}

function unsendable(reason: string): Answer {
  return { refusal: { code: UNSENDABLE, message: reason, details: {} } };
}
