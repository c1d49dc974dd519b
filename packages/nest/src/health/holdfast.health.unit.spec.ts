import type { Health, Holdfast } from '@holdfast/core';
import { HoldfastHealthIndicator } from './holdfast.health.js';

const DETAILS: Omit<Health, 'status'> = {
  problems: ['the broker is away'],
  store: { description: 'postgres', isReachable: true },
  transport: { name: 'rabbitmq', status: 'down', problem: undefined },
  transports: [],
  lagMs: 5,
  paused: [],
};

/** An indicator over a bus of this health, with the options that the bus was asked with. */
function indicatorOf(status: Health['status']) {
  const asked: unknown[] = [];
  const holdfast = {
    health: async (options: unknown) => {
      asked.push(options);
      return { status, ...DETAILS };
    },
  } as unknown as Holdfast;
  return { indicator: new HoldfastHealthIndicator(holdfast), asked };
}

/** What terminus makes of the results of indicators, from version 11 on: what is down fails the check, and version 11 drops a status that it does not know. */
async function terminus(version: 11 | 12, ...indicators: readonly (() => Promise<Record<string, { readonly status: string }>>)[]) {
  const results = (await Promise.all(indicators.map((each) => each()))).flatMap((result) => Object.entries(result));
  const isKnown = ([, { status }]: [string, { readonly status: string }]) =>
    ['up', 'down', ...(version === 12 ? ['degraded'] : [])].includes(status);
  const details = Object.fromEntries(results.filter(isKnown));
  const statuses = Object.values(details).map(({ status }) => status);
  return { status: statuses.includes('down') ? 'error' : statuses.includes('degraded') ? 'degraded' : 'ok', details };
}

describe('the health indicator', () => {
  it.each([
    ['up', 'ok'],
    ['degraded', 'ok'],
    ['down', 'error'],
  ] as const)('of a bus that is %s makes a check %s, with what is wrong', async (status, expected) => {
    const { indicator } = indicatorOf(status);
    for (const version of [11, 12] as const) {
      const check = await terminus(version, () => indicator.isHealthy());
      expect(check).toEqual({ status: expected, details: { holdfast: { ...DETAILS, status: status === 'down' ? 'down' : 'up' } } });
    }
  });

  it('calls a degraded bus what it is told to', async () => {
    const { indicator } = indicatorOf('degraded');
    expect((await terminus(12, () => indicator.isHealthy('bus', { degraded: 'degraded' }))).status).toBe('degraded');
    expect((await terminus(11, () => indicator.isHealthy('bus', { degraded: 'down' }))).status).toBe('error');
    expect((await terminus(12, () => indicatorOf('up').indicator.isHealthy('bus', { degraded: 'down' }))).status).toBe('ok');
  });

  it('hands on how long to wait and what is too late', async () => {
    const { indicator, asked } = indicatorOf('up');
    const result = await indicator.isHealthy('bus', { timeout: '1s', maxLag: '5m', degraded: 'down' });
    expect(asked).toEqual([{ timeout: '1s', maxLag: '5m' }]);
    expect(Object.keys(result)).toEqual(['bus']);
  });
});
