import { isUtf8 } from 'node:buffer';
import { type DeadLetter, printable } from '@holdfast/core';
import { factLines, WHOLE_LENGTH } from './facts-text.js';

/** A dead letter as a person reads it: its facts, its error, its body. Everything in it came from outside and is made printable. */
export function letterText({ id, subscription, message, attempts, deadAt, group, error, body }: DeadLetter): string {
  const facts = {
    id,
    subscription,
    type: message.type,
    'message id': message.id,
    source: message.source,
    key: message.key,
    attempts,
    'dead since': deadAt,
    group,
    error: error.code,
  };
  const stack = (error.stack ?? error.message).split('\n').map((line) => `  ${printable(line, WHOLE_LENGTH)}`);
  return `${[...factLines(facts), ...stack, `body (${body.byteLength} bytes)`, `  ${bodyText(body)}`].join('\n')}\n`;
}

function bodyText(body: Uint8Array): string {
  const bytes = Buffer.from(body);
  return isUtf8(bytes)
    ? printable(bytes.toString('utf8'), WHOLE_LENGTH)
    : `not text; base64: ${printable(bytes.toString('base64'), WHOLE_LENGTH)}`;
}
