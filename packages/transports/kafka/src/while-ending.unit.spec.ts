import { VirtualTime } from '@holdfast/core';
import { settingsFrom } from './settings.js';
import { whileEnding } from './while-ending.js';

const time = new VirtualTime();
const parts = { settings: settingsFrom({ brokers: ['a:1'], requestTimeout: '2s' }), clock: time, scheduler: time };
const broken = (type: string) => Object.assign(new Error(type), { type });

describe('what a transaction is in the way of', () => {
  it('is asked for again until it has ended, and what cannot be waited for is told at once', async () => {
    const answers = [broken('CONCURRENT_TRANSACTIONS'), new Error('x', { cause: broken('UNSTABLE_OFFSET_COMMIT') })];
    const asked = whileEnding(parts, async () => {
      const failure = answers.shift();
      if (failure !== undefined) throw failure;
      return 'settled';
    });
    await time.advance('1s');
    expect(await asked).toBe('settled');
    await expect(whileEnding(parts, () => Promise.reject(broken('NOT_COORDINATOR_FOR_GROUP')))).rejects.toThrow(
      'NOT_COORDINATOR_FOR_GROUP',
    );
  });

  it('is not asked for again once nobody waits for the answer', async () => {
    let tries = 0;
    const ask = async () => {
      tries += 1;
      throw broken('UNSTABLE_OFFSET_COMMIT');
    };
    const ended = expect(whileEnding({ ...parts, isOver: () => tries === 2 }, ask)).rejects.toThrow('UNSTABLE_OFFSET_COMMIT');
    await time.advance('1s');
    await ended;
    expect(tries).toBe(2);
  });

  it('is given up when it does not end in the time of a request', async () => {
    let tries = 0;
    const asked = whileEnding(parts, async () => {
      tries += 1;
      throw broken('UNSTABLE_OFFSET_COMMIT');
    });
    const ended = expect(asked).rejects.toThrow('UNSTABLE_OFFSET_COMMIT');
    await time.advance('3s');
    await ended;
    expect(tries).toBeGreaterThan(5);
    expect(tries).toBeLessThan(20);
  });
});
