import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { OperatorAction, SubscriptionInfo } from '../operations/operators.js';

/** What a node says of a subscription it serves. */
export interface SubscriptionDeclaration {
  readonly name: string;
  readonly types: readonly string[];
  readonly formerly: readonly string[];
  readonly ordering: 'none' | 'key';
  /** False for the scope of an idempotent method, which has no messages. */
  readonly isHandler: boolean;
}

/** What became of a declaration. */
export interface RegisteredSubscription {
  readonly name: string;
  readonly id: number;
  readonly isNew: boolean;
}

/** Types that a subscription took once and no process takes any more. */
export interface Leftover {
  readonly name: string;
  readonly ordering: 'none' | 'key';
  readonly types: readonly string[];
}

/** Known subscriptions as rows of their service. */
export interface SubscriptionStore {
  /**
   * Registers what this node serves: makes rows, renames by `formerly`, updates types. What live nodes of another version take besides, and what those took that
   * left in the last ten minutes, the subscription takes on: a deploy, its failure and its rollback find what came meanwhile.
   *
   * @throws HF_SUBSCRIPTION_MISSING when a known subscription of the service is served by no live node and not declared here
   */
  register(nodeId: string, declarations: readonly SubscriptionDeclaration[]): Promise<readonly RegisteredSubscription[]>;
  /** What a subscription takes, of all versions, each type as it was declared. */
  takenTypes(tx: Transaction, subscriptionId: number): Promise<ReadonlySet<string>>;
  list(): Promise<readonly SubscriptionInfo[]>;
  /**
   * Sets the state; false when there is no such subscription.
   *
   * @throws HF_SUBSCRIPTION_IN_USE when it is to be retired and a live node serves it
   * @throws HF_SUBSCRIPTION_RETIRED when it is retired and is to be paused or active: only a node that declares it brings it back
   */
  setState(name: string, state: 'active' | 'paused' | 'retired', action: OperatorAction): Promise<boolean>;
  /** Names of paused subscriptions, for this service. */
  paused(): Promise<ReadonlySet<string>>;
  /**
   * Hands over what was taken once, and since `afterMs` by no live process: types that a newer version does without, and all of a retired subscription. It
   * is forgotten when `unroute` has ended well, and no process can register meanwhile. Nothing of a subscription that is served by a process of an older
   * Holdfast, which does not say what it takes.
   */
  clearLeftovers(afterMs: number, unroute: (leftover: Leftover) => Promise<void>): Promise<void>;
}
