/** The command was called in a way that cannot be carried out: exit code 2. Nothing was done. */
export class UsageError extends Error {
  override readonly name = 'UsageError';

  /**
   * @param problem what is wrong, with the value, as a sentence
   * @param fix what to do instead, as a sentence
   */
  constructor(problem: string, fix: string) {
    super(`${problem} ${fix}`);
  }
}
