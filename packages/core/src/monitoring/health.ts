import type { Duration } from '../time/duration.js';
import type { TransportHealth } from '../transport/transport.port.js';

/** How the bus of this process is. */
export interface Health {
  /**
   * - `up`: nothing is wrong.
   * - `degraded`: it works, and somebody should look: the broker is away or takes nothing (with a store, messages wait in the outbox), what waits is old, or a
   *   subscription has paused because most of its deliveries fail.
   * - `down`: it cannot work: it has not started yet, is stopping, the store does not answer, or there is no store and the broker is away.
   */
  readonly status: 'up' | 'degraded' | 'down';
  /** What is wrong, one sentence each; empty when it is `up`. */
  readonly problems: readonly string[];
  /** Undefined without a store. */
  readonly store: { readonly description: string; readonly isReachable: boolean } | undefined;
  /** The default one, without its `lags`; `name`: as its package calls it. */
  readonly transport: Omit<TransportHealth, 'lags'> & { readonly name: string };
  /** All of them, the default first; `name`: that of the options, `kind`: as its package calls it. */
  readonly transports: readonly (TransportHealth & { readonly name: string; readonly kind: string })[];
  /** Milliseconds since the oldest message was written that is not sent, or on the database transport not handled, by everyone; undefined when not known. */
  readonly lagMs: number | undefined;
  /** Subscriptions that get nothing: paused by an operator, or by this process because most of their deliveries fail. */
  readonly paused: readonly { readonly subscription: string; readonly reason: 'operator' | 'failures' }[];
}

/** What counts as healthy. */
export interface HealthOptions {
  /** Longest wait for the store; then it counts as not reachable; default '3s'. */
  timeout?: Duration;
  /** A message that waits longer makes it `degraded`; default '1m'. A subscription that is paused on purpose keeps its messages waiting too. */
  maxLag?: Duration;
}
