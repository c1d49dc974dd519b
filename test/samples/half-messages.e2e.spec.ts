import { runSample } from './run-sample.js';

describe('samples/05-half-messages', () => {
  it('books what was committed when the till was killed, and not what was not', async () => {
    const { exitCode, output, lastLine } = await runSample('05-half-messages');
    expect(lastLine).toBe('sold=5 booked=5 lost=0 twice=0 invented=0');
    expect(output.match(/SIGKILL/g)).toHaveLength(2);
    expect(output).toContain('2 messages are registered.');
    expect(exitCode).toBe(0);
  });
});
