import { createHash } from 'node:crypto';
import type { Failure } from '../delivery/failure.js';
import { classify, codeOf, errorType } from './classify.js';
import { printable, readProperty } from './printable.js';

/** Longest message kept, in bytes of UTF-8. */
export const MESSAGE_BYTES = 2048;
/** Longest stack kept, in bytes of UTF-8. */
export const STACK_BYTES = 8192;

/**
 * What is stored of a thrown value: bounded, and fit for a text column (no NUL, no half of a surrogate pair). Never throws.
 *
 * Two failures have the same fingerprint when type, code and first application frame are the same. A frame is function and file, without
 * line numbers and without the directories above the file's own, so that a new release or another machine does not change it.
 */
export function describeFailure(error: unknown): Failure {
  const type = storable(errorType(error), 200);
  const message = storable(messageOf(error), MESSAGE_BYTES);
  const frames = framesOf(error);
  return {
    code: storable(classify(error).code, 200),
    errorType: type,
    message,
    stack: frames === undefined ? undefined : storable(`${type}: ${message}\n${frames}`, STACK_BYTES),
    fingerprint: fingerprint([type, codeOf(error) ?? '', applicationFrame(frames ?? '')]),
  };
}

/** The stack without the message it begins with: that one may be longer than all we keep, or look like frames. */
function framesOf(error: unknown): string | undefined {
  const stack = readProperty(error, 'stack');
  if (typeof stack !== 'string') return undefined;
  const message = messageOf(error);
  const begin = stack.indexOf(message);
  const frames = begin === -1 ? stack : stack.slice(begin + message.length);
  return frames.slice(0, STACK_BYTES).replace(/^\n/, '');
}

/** Function and file of the first frame of a stack that is neither Node's nor a dependency's; empty when there is none. */
export function applicationFrame(stack: string): string {
  for (const line of stack.split('\n')) {
    const frame = FRAME.exec(line);
    if (!frame) continue;
    const file = (frame[2] as string).replaceAll('\\', '/');
    if (/^node:|^internal\/|\/node_modules\/|<anonymous>|^native$/.test(file)) continue;
    // The last two segments: the directories above differ between machines.
    return `${(frame[1] ?? '').trim()} ${file
      .replace(/[?#].*$/, '')
      .split('/')
      .slice(-2)
      .join('/')}`;
  }
  return '';
}

// "    at async new Type.method [as alias] (file:line:column)", or the location alone.
const FRAME = /^\s+at (?:async )?(?:new )?(?:(.{1,500}?) (?:\[as [^\]]*\] )?\()?(.{1,2000}?):\d+:\d+\)?$/;

function messageOf(error: unknown): string {
  const message = readProperty(error, 'message');
  return typeof message === 'string' ? message : printable(error, MESSAGE_BYTES);
}

function fingerprint(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\n')).digest('hex').slice(0, 16);
}

function storable(text: string, maxBytes: number): string {
  // A character is at least one byte, so what lies beyond is never needed.
  const clean = text
    .slice(0, maxBytes)
    .replaceAll('\0', '')
    .replace(/\p{Surrogate}/gu, '\ufffd');
  const bytes = Buffer.from(clean);
  if (bytes.length <= maxBytes) return clean;
  let end = maxBytes;
  while (((bytes[end] as number) & 0xc0) === 0x80) end -= 1; // not in the middle of a character
  return bytes.toString('utf8', 0, end);
}
