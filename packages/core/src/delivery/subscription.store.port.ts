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

/** Known subscriptions as rows of their service. */
export interface SubscriptionStore {
  /**
   * Registers what this node serves: makes rows, renames by `formerly`, updates types.
   *
   * @throws HF_SUBSCRIPTION_MISSING when a known subscription of the service is served by no live node and not declared here
   */
  register(nodeId: string, declarations: readonly SubscriptionDeclaration[]): Promise<readonly RegisteredSubscription[]>;
  list(): Promise<readonly SubscriptionInfo[]>;
  /** Sets the state; false when there is no such subscription. */
  setState(name: string, state: 'active' | 'paused' | 'retired', action: OperatorAction): Promise<boolean>;
  /** Names of paused subscriptions, for this service. */
  paused(): Promise<ReadonlySet<string>>;
}
