import { runSample } from './run-sample.js';

describe('samples/08-try-confirm-cancel', () => {
  it('books, gives back and repairs, and rooms and money add up', async () => {
    const { exitCode, output, lastLine } = await runSample('08-try-confirm-cancel');
    expect(lastLine).toBe('trips=2 sold=2 free=1 captured=160 lost=0');
    expect(output).toContain('t-2 is not booked: the card is refused; rooms: 2 free, 0 held, 1 sold');
    expect(output).toContain('parked: confirm of Cards.hold ["t-3",{"card":"card of cleo","amount":80}]: the card provider is closed');
    expect(exitCode).toBe(0);
  });
});
