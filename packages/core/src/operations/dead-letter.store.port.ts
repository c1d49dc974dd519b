import type { DeadLetter, DeadLetterChoice, DeadLetterFilter, OperatorAction, Page, Paged } from './operators.js';

/** Dead letters of one service in the store. */
export interface DeadLetterStore {
  list(filter: DeadLetterFilter & Page): Promise<Paged<DeadLetter>>;
  groups(filter: DeadLetterFilter): Promise<readonly { readonly group: string; readonly count: number; readonly sample: DeadLetter }[]>;
  get(id: string): Promise<DeadLetter | undefined>;
  /**
   * Makes the chosen ones due now, with fresh attempts and the operator's consent; how many. Those of retired subscriptions are left out.
   *
   * @throws HF_DEAD_LETTER_RETIRED when all of them are of retired subscriptions
   */
  redrive(which: DeadLetterChoice, action: OperatorAction): Promise<number>;
  /** Deletes the chosen ones and frees their keys. */
  discard(which: DeadLetterChoice, action: OperatorAction): Promise<number>;
}
