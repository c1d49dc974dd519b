import { type Bank, ended, openBank } from './support/bank.js';

let bank: Bank;

beforeEach(async () => {
  bank = await openBank();
});

afterEach(() => bank.close());

describe('the tries of a unit of work', () => {
  it('are confirmed when it has committed, and what the try returned is there', async () => {
    const { bus, freeze, hold, calls } = await bank.open();
    const results = await bus.unitOfWork.run(async () => [await freeze('ann', 30), await hold('o-1')]);
    expect(results).toEqual([{ left: 70 }, { hold: 'h-o-1' }]);
    expect(await ended(bank, 2)).toEqual(['points.freeze confirmed', 'card.hold confirmed']);
    expect(await bank.books()).toEqual({ balances: { ann: 70, ben: 100, cleo: 100 }, frozen: 0, taken: 30, lost: 0 });
    expect(calls).toEqual(['hold o-1', 'capture o-1 h-o-1']);
  });

  it('are cancelled when it was rolled back', async () => {
    const { bus, freeze, hold, calls } = await bank.open();
    const work = bus.unitOfWork.run(async () => {
      await freeze('ann', 30);
      await hold('o-1');
      throw new Error('no');
    });
    await expect(work).rejects.toThrow('no');
    expect(await ended(bank, 2)).toEqual(['points.freeze cancelled', 'card.hold cancelled']);
    expect(await bank.books()).toEqual({ balances: { ann: 100, ben: 100, cleo: 100 }, frozen: 0, taken: 0, lost: 0 });
    expect(calls).toEqual(['hold o-1', 'release o-1 h-o-1']);
  });
});
