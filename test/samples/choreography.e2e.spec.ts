import { runSample } from './run-sample.js';

describe('samples/09-choreography', () => {
  it('flies, undoes and repairs, and rooms and seats add up', async () => {
    const { exitCode, output, lastLine } = await runSample('09-choreography');
    expect(lastLine).toBe('trips=4 flying=1 off=3 parked=0 lost=0');
    expect(output).toContain('dan gets a mail: the plane is full');
    expect(output).toContain('ben waits in hotels.book.undo, because the reception is closed');
    expect(exitCode).toBe(0);
  });
});
