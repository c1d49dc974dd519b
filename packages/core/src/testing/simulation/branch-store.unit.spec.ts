import { BRANCH_FACTS } from '../contracts/store-branches.contract.js';
import { simulatedStores } from './store-fixture.spec.js';

/** Their proof asks in SQL, or for the pages of a list. */
const NOT_HERE = /written down|deleted, and their decisions|listed by pages|or it is taken out|may have ended its process/;

describe('the simulated store of branches', () => {
  const facts = BRANCH_FACTS.filter(({ name }) => !NOT_HERE.test(name));

  it.each(facts)('keeps that $name', ({ check }) => check(simulatedStores));

  it('keeps all facts but five', () => {
    expect(BRANCH_FACTS.length - facts.length).toBe(5);
  });
});
