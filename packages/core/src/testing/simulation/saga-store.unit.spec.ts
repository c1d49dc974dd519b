import { SAGA_FACTS } from '../contracts/store-sagas.contract.js';
import { simulatedStores } from './store-fixture.spec.js';

/** Their proof asks in SQL: that operators are written down, and that what is old is deleted. Nothing of the simulation depends on that. */
const IN_SQL = /written down|deleted with their history|signals are trimmed/;

describe('the simulated store of sagas', () => {
  const facts = SAGA_FACTS.filter(({ name }) => !IN_SQL.test(name));

  it.each(facts)('keeps that $name', ({ check }) => check(simulatedStores));

  it('keeps all facts that are not asked for in SQL', () => {
    expect(SAGA_FACTS.length - facts.length).toBe(3);
  });
});
