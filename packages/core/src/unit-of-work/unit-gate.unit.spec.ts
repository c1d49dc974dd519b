import { UnitGate } from './unit-gate.js';

describe('the gate of units of work', () => {
  it('lets nobody in before it is open, and nobody after it was closed', async () => {
    const gate = new UnitGate();
    expect(() => gate.enter()).toThrow(/was called before the bus had started/);
    gate.open();
    gate.enter();
    gate.leave();
    await gate.close();
    expect(() => gate.enter()).toThrow(/stopping/);
  });

  it('is closed when those inside have left', async () => {
    const gate = new UnitGate();
    gate.open();
    gate.enter();
    gate.enter();
    let isClosed = false;
    const closed = gate.close().then(() => {
      isClosed = true;
    });
    gate.leave();
    await Promise.resolve();
    expect([isClosed, gate.count]).toEqual([false, 1]);
    gate.leave();
    await closed;
    expect(gate.count).toBe(0);
  });
});
