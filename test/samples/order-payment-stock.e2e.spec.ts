import { runSample } from './run-sample.js';

describe('samples/01-order-payment-stock', () => {
  it('gives every order one payment and one reservation, with payments killed half-way', async () => {
    const { exitCode, output, lastLine } = await runSample('01-order-payment-stock', '--orders', '40');
    expect(lastLine).toMatch(/^orders=(\d+) paid=\1 reserved=\1 lost=0 twice=0 killed=1$/);
    expect(output).toMatch(/kill -9 \d+: payments is gone/);
    expect(exitCode).toBe(0);
  }, 240_000);

  it('says what is wrong with its command line', async () => {
    const { exitCode, output } = await runSample('01-order-payment-stock', '--orders', 'many');
    expect(output).toContain('--orders is many; use a whole number from 10 to 5000');
    expect(exitCode).toBe(1);
  });
});
