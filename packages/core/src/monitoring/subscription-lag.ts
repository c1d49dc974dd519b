/**
 * How far a subscription is behind at its broker, as this process counted it last: for people and metrics.
 *
 * **Not promised:** that it is of this moment (`at` says of which), or that all it counts are messages that the subscription takes.
 */
export interface SubscriptionLag {
  /** Durable name of the subscription. */
  readonly subscription: string;
  /** Messages that are not consumed yet, by any process, over all partitions or queues that it takes from. */
  readonly messages: number;
  /** The partition or queue with the most of them, as its broker calls it; undefined when there are none. */
  readonly most: { readonly place: string; readonly messages: number } | undefined;
  /** Partitions or queues that nobody could tell of; what they have is not in `messages`. */
  readonly unknown: number;
  /** When it was counted. */
  readonly at: Date;
}
