import { Logger } from '@nestjs/common';
import { NestLoggerAdapter } from './nest-logger.js';

it('writes lines of the engine to the logger of Nest, fields escaped, with the stack of an error', () => {
  const lines: unknown[][] = [];
  const record =
    (level: string) =>
    (...line: unknown[]) =>
      void lines.push([level, ...line]);
  Logger.overrideLogger({ log: record('log'), warn: record('warn'), error: record('error') });
  const logger = new NestLoggerAdapter();
  const error = new Error('gone\nfor good');
  logger.info('started', { service: 'shop', store: undefined, subscriptions: 'a, b' });
  logger.warn('careful', { name: 'two\nlines' });
  logger.error('failed', { error });
  logger.error('failed');
  Logger.overrideLogger(false);
  expect(lines).toEqual([
    ['log', 'started service=shop subscriptions=a, b', 'Holdfast'],
    ['warn', 'careful name=two\\nlines', 'Holdfast'],
    ['error', 'failed error=gone\\nfor good', error.stack, 'Holdfast'],
    ['error', 'failed', undefined, 'Holdfast'],
  ]);
});
