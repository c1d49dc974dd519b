import { type LogFields, type Logger, printable } from '@holdfast/core';
import { Logger as NestLogger } from '@nestjs/common';

/** Longest text of one value, in characters. */
const VALUE_LENGTH = 500;

/** The engine's log lines through Nest's logger, under the context `Holdfast`; line breaks and control characters in values are escaped. */
export class NestLoggerAdapter implements Logger {
  private readonly logger = new NestLogger('Holdfast');

  info(message: string, fields?: LogFields): void {
    this.logger.log(lineOf(message, fields));
  }

  warn(message: string, fields?: LogFields): void {
    this.logger.warn(lineOf(message, fields));
  }

  error(message: string, fields?: LogFields): void {
    const stack = Object.values(fields ?? {}).find((value) => value instanceof Error)?.stack;
    if (stack === undefined) this.logger.error(lineOf(message, fields));
    else this.logger.error(lineOf(message, fields), stack);
  }
}

function lineOf(message: string, fields: LogFields = {}): string {
  const values = Object.entries(fields).filter(([, value]) => value !== undefined);
  return [printable(message, Number.MAX_SAFE_INTEGER), ...values.map(([name, value]) => `${name}=${printable(value, VALUE_LENGTH)}`)].join(
    ' ',
  );
}
