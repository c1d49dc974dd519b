import { writeSync } from 'node:fs';
import type { Logger, LogFields } from '@holdfast/core';
import type { Line } from './options.js';

/** Says a line, written before this returns: whatever was said happened, also when the process dies next. */
export function say(line: Line): void {
  const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(1, bytes, written);
    } catch (error) {
      // Whoever listens is slow.
      if ((error as { code?: string }).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function log(level: string) {
  return (message: string, fields: LogFields = {}): void => say({ e: 'log', level, message, fields: readable(fields) });
}

function readable(fields: LogFields): Record<string, unknown> {
  return Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, value instanceof Error ? codeAndMessage(value) : value]));
}

/** `code: message` of an error, with its causes. */
export function codeAndMessage(error: unknown): string {
  const { code, message, cause } = error as { code?: string; message?: string; cause?: unknown };
  return `${code ?? ''}: ${message ?? String(error)}${cause === undefined ? '' : ` <- ${codeAndMessage(cause)}`}`;
}

/** Log lines as lines of the report. */
export const reportLogger: Logger = { info: log('info'), warn: log('warn'), error: log('error') };
