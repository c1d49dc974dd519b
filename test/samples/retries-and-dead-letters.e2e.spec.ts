import { runSample } from './run-sample.js';

describe('samples/02-retries-and-dead-letters', () => {
  it('charges once what an outage broke and a person redrove', async () => {
    const { exitCode, output, lastLine } = await runSample('02-retries-and-dead-letters');
    expect(lastLine).toBe('orders=19 charged=16 redriven=6 discarded=3 left=0 twice=0');
    expect(output).toContain('6 × GatewayDown: the card gateway does not answer (after 4 attempts)');
    expect(output).toContain('2 × NonRetryableError: card declined (after 1 attempt)');
    expect(exitCode).toBe(0);
  });
});
