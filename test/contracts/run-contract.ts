import type { ContractCase } from '@holdfast/core/testing/contracts';

/** Runs the cases of a contract with Jest, several at a time (`maxConcurrency`), because most of their time is waiting. */
export function runContract<Fixture>(title: string, cases: readonly ContractCase<Fixture>[], fixture: Fixture): void {
  describe(title, () => {
    for (const { name, run } of cases) it.concurrent(name, () => run(fixture));
  });
}
