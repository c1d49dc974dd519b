/** Attempts of whatever the bank does. */
export const RETRY = { attempts: 4, backoff: { delay: 50, factor: 1, jitter: 'none' } } as const;

export const SERVICES = ['north', 'south', 'west'] as const;
export type Service = (typeof SERVICES)[number];

/** How all handlers of the bank are called. */
export interface BankPolicies {
  readonly idempotent: true;
  readonly transactional: true;
  readonly retry: { readonly attempts: number; readonly backoff: (typeof RETRY)['backoff'] };
  readonly from: 'earliest' | 'now';
}
