import { type Health, type HealthOptions, Holdfast } from '@holdfast/core';
import { Inject, Injectable } from '@nestjs/common';

/** What a health check of the bus looks at, and what it calls that. */
export interface HoldfastHealthOptions extends HealthOptions {
  /**
   * What terminus is told of a bus that works and needs somebody to look at it, such as one whose broker is away: 'up', with its problems in the details;
   * 'degraded', which terminus knows from version 12.1 on; or 'down', which takes the process out of service, and with it every other one that uses the same
   * broker. Default 'up'.
   */
  degraded?: 'up' | 'degraded' | 'down';
}

/** One line of a health check, as `@nestjs/terminus` expects it. */
export type HoldfastHealthResult<Key extends string> = Record<
  Key,
  { readonly status: 'up' | 'degraded' | 'down' } & Omit<Health, 'status'>
>;

/**
 * Tells `@nestjs/terminus` how the bus is: `health.check([() => holdfast.isHealthy('holdfast')])`. Inject it by this class; it needs no terminus itself.
 *
 * A bus that has not started or is stopping is down, so it serves as a readiness check. **Not for liveness:** a process whose database is away is not helped
 * by being killed.
 */
@Injectable()
export class HoldfastHealthIndicator {
  constructor(@Inject(Holdfast) private readonly holdfast: Holdfast) {}

  /**
   * @param key its name in the result
   * @param options what counts as healthy
   */
  async isHealthy<const Key extends string = 'holdfast'>(
    key: Key = 'holdfast' as Key,
    { degraded = 'up', ...options }: HoldfastHealthOptions = {},
  ): Promise<HoldfastHealthResult<Key>> {
    const { status, ...details } = await this.holdfast.health(options);
    const told = status === 'degraded' ? degraded : status;
    return { [key]: { status: told, ...details } } as HoldfastHealthResult<Key>;
  }
}
