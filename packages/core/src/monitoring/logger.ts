import { escapeControls, printable, readProperty } from '../errors/printable.js';

/** Values that belong to a log line, by name. */
export type LogFields = Readonly<Record<string, unknown>>;

/** Where log lines go. Implementations must not throw, and must escape what they print: fields carry foreign text. */
export interface Logger {
  /** Something to know: started, paused by an operator, taken over. */
  info(message: string, fields?: LogFields): void;
  /** Something to look at when there is time; it goes on by itself. */
  warn(message: string, fields?: LogFields): void;
  /** Something a person has to do something about. */
  error(message: string, fields?: LogFields): void;
}

/** Longest text of one field, in characters. */
const FIELD_LENGTH = 2000;

/** Logs to the console, one line each: time, level, message, `name=value`. Line breaks and control characters in values are escaped. */
export const consoleLogger: Logger = {
  info: (message, fields) => console.info(lineOf('INFO', message, fields)),
  warn: (message, fields) => console.warn(lineOf('WARN', message, fields)),
  error: (message, fields) => console.error(lineOf('ERROR', message, fields)),
};

/** Logs nothing. */
export const silentLogger: Logger = { info: () => {}, warn: () => {}, error: () => {} };

function lineOf(level: string, message: string, fields: LogFields = {}): string {
  const values = Object.entries(fields).filter(([, value]) => value !== undefined);
  const texts = values.map(([name, value]) => ` ${escapeControls(name)}=${fieldText(value)}`);
  // tidy: ambient-time: a logger is made before any engine, and its lines are for people
  return `${new Date().toISOString()} ${level.padEnd(5)} holdfast: ${escapeControls(message)}${texts.join('')}`;
}

function fieldText(value: unknown): string {
  const stack = readProperty(value, 'stack');
  const text = printable(typeof stack === 'string' ? stack : value, FIELD_LENGTH);
  // Quoted where a reader could not tell the end of the value.
  return text === '' || /[\s"=]/.test(text) ? `"${text.replaceAll('"', '\\"')}"` : text;
}
