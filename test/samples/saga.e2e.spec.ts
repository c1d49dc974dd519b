import { runSample } from './run-sample.js';

describe('samples/07-saga', () => {
  it('ships, undoes, repairs and waits for days, and stock and money add up', async () => {
    const { exitCode, output, lastLine } = await runSample('07-saga');
    expect(lastLine).toBe('orders=6 shipped=2 cancelled=3 returned=1 parked=0 lost=0');
    expect(output).toContain('o-4 is compensated, because of charge: not enough money');
    expect(output).toContain('o-6 is parked, because of charge: the bank is closed');
    expect(output).toMatch(
      /day 4: return o-1 is waiting at waitForParcel\n.*day 8: return o-1 is completed\n.*day 16: return o-2 is compensated/s,
    );
    expect(exitCode).toBe(0);
  });
});
