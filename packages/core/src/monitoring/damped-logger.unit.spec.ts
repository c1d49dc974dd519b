import { VirtualTime } from '../testing/virtual-time.js';
import { dampedLogger } from './damped-logger.js';
import type { LogFields } from './logger.js';

function scene() {
  const time = new VirtualTime();
  const lines: string[] = [];
  const line = (level: string) => (message: string, fields?: LogFields) =>
    lines.push([level, message, ...Object.entries(fields ?? {}).map(([name, value]) => `${name}=${String(value)}`)].join(' '));
  const logger = dampedLogger({ info: line('info'), warn: line('warn'), error: line('error') }, time);
  return { time, lines, logger };
}

describe('a damped logger', () => {
  it('tells a failure once, and its repeats as a number when the time is over', async () => {
    const { time, lines, logger } = scene();
    for (let each = 0; each < 40; each += 1) logger.warn('could not be taken', { subscription: 'billing', error: 'away' });
    await time.advance(5000);
    logger.warn('could not be taken', { subscription: 'billing', error: 'away' });
    expect(lines).toEqual([
      'warn could not be taken subscription=billing error=away',
      'warn could not be taken subscription=billing error=away repeats=39',
    ]);
  });

  it('keeps the failures of other subscriptions, other words, and everything that is no failure', () => {
    const { lines, logger } = scene();
    logger.warn('could not be taken', { subscription: 'billing', error: 'away' });
    logger.warn('could not be taken', { subscription: 'stock', error: 'away' });
    logger.error('ended unexpectedly', { subscription: 'billing', error: 'away' });
    for (const id of [1, 2]) logger.warn('dead letter', { subscription: 'billing', id });
    for (const id of [1, 2]) logger.info('started', { id });
    expect(lines).toHaveLength(7);
  });
});
