/** One fact of a contract, for any test runner: it has a name, and it throws when an adapter breaks it. */
export interface ContractCase<Fixture> {
  /** The fact, as a sentence; unique in its contract. */
  readonly name: string;
  /**
   * Checks the fact on what `fixture` opens, and closes it, also when the fact does not hold. Cases share nothing, so that they may run in any
   * order. Some wait for things that must not happen, and all of them for things that must: allow 30 s for a case.
   *
   * @throws AssertionError of `node:assert`, or whatever the adapter threw
   */
  run(fixture: Fixture): Promise<void>;
}
