import { runSample } from './run-sample.js';

describe('samples/07-saga', () => {
  it('ships, undoes and repairs, and stock and money add up', async () => {
    const { exitCode, output, lastLine } = await runSample('07-saga');
    expect(lastLine).toBe('orders=6 shipped=3 cancelled=3 parked=0 lost=0');
    expect(output).toContain('o-4 is compensated, because of charge: not enough money');
    expect(output).toContain('o-6 is parked, because of charge: the bank is closed');
    expect(exitCode).toBe(0);
  }, 240_000);
});
