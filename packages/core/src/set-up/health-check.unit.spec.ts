import type { Store } from '../store/store.port.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { systemScheduler } from '../time/scheduler.js';
import type { Transport, TransportHealth } from '../transport/transport.port.js';
import { Transports } from './transports.js';
import { checkHealth, type HealthParts } from './health-check.js';

const UP: TransportHealth = { status: 'up', problem: undefined };

interface Scene extends Partial<Pick<HealthParts, 'phase' | 'failing' | 'scheduler'>> {
  readonly transport?: TransportHealth;
  /** Of others, by name. */
  readonly further?: Readonly<Record<string, TransportHealth>>;
  readonly lagMs?: () => Promise<number>;
  readonly paused?: readonly string[];
  readonly hasStore?: boolean;
}

const kindOf = (name: string) => (name === 'default' ? 'rabbitmq' : 'kafka');

function healthOf({ transport = UP, further = {}, lagMs = async () => 0, paused = [], hasStore = true, ...also }: Scene = {}) {
  const store = { description: 'postgres', log: { lagMs }, subscriptions: { paused: async () => new Set(paused) } } as unknown as Store;
  return checkHealth({
    phase: 'running',
    store: hasStore ? store : undefined,
    transports: new Transports(
      Object.entries({ default: transport, ...further }).map(([name, health]) => ({
        name,
        kind: kindOf(name),
        transport: { health } as Transport,
      })),
    ),
    failing: [],
    scheduler: systemScheduler,
    timeoutMs: 3000,
    maxLagMs: 60_000,
    ...also,
  });
}

describe('a bus', () => {
  it('is up when nothing is wrong, whatever an operator has paused', async () => {
    expect(await healthOf({ paused: ['billing.charge'], lagMs: async () => 60_000 })).toEqual({
      status: 'up',
      problems: [],
      store: { description: 'postgres', isReachable: true },
      transport: { name: 'rabbitmq', status: 'up', problem: undefined },
      transports: [{ name: 'default', kind: 'rabbitmq', status: 'up', problem: undefined }],
      lagMs: 60_000,
      paused: [{ subscription: 'billing.charge', reason: 'operator' }],
    });
  });

  it.each([
    [
      { transport: { status: 'blocked', problem: 'low memory' } },
      'the transport rabbitmq takes no messages (low memory); messages wait in the outbox',
    ],
    [{ transport: { status: 'down', problem: undefined } }, 'the transport rabbitmq is not connected; messages wait in the outbox'],
    [
      { further: { events: { status: 'down', problem: 'refused' } } },
      'the transport events (kafka) is not connected (refused); messages wait in the outbox',
    ],
    [{ lagMs: async () => 60_001 }, 'the oldest message that waits was written 60001 ms ago'],
    [{ failing: ['billing.charge'] }, 'the subscription billing.charge has paused, because most of its deliveries fail'],
  ] as const)('is degraded: %j', async (scene, problem) => {
    expect(await healthOf(scene)).toMatchObject({ status: 'degraded', problems: [problem] });
  });

  it('has a line for each transport, the default first', async () => {
    const { transports } = await healthOf({ further: { events: { status: 'blocked', problem: 'full' } } });
    expect(transports).toEqual([
      { name: 'default', kind: 'rabbitmq', status: 'up', problem: undefined },
      { name: 'events', kind: 'kafka', status: 'blocked', problem: 'full' },
    ]);
  });

  it('has the lags of its subscriptions with each transport that counts them', async () => {
    const lags = [{ subscription: 'billing.charge', messages: 3, most: { place: 'orders/1', messages: 2 }, unknown: 0, at: new Date(0) }];
    const health = await healthOf({ transport: { ...UP, lags }, further: { events: UP } });
    expect(health.transports.map((each) => each.lags)).toEqual([lags, undefined]);
    expect(health).toMatchObject({ status: 'up', problems: [] });
    expect(JSON.parse(JSON.stringify(health)).transports[0].lags[0]).toMatchObject({ messages: 3, at: '1970-01-01T00:00:00.000Z' });
    expect(health.transport).toEqual({ name: 'rabbitmq', ...UP });
  });

  it('tells which subscription has paused by itself', async () => {
    const { paused } = await healthOf({ failing: ['a', 'b'], paused: ['b'] });
    expect(paused).toEqual([
      { subscription: 'b', reason: 'operator' },
      { subscription: 'a', reason: 'failures' },
    ]);
  });

  it.each([
    [{ phase: 'starting' }, 'it has not started yet'],
    [{ phase: 'stopping' }, 'it is stopping'],
    [{ lagMs: () => Promise.reject(new Error('connection refused')) }, 'the store cannot be reached: connection refused'],
    [{ hasStore: false, further: { events: { status: 'down', problem: undefined } } }, 'the transport events (kafka) is not connected'],
    [{ hasStore: false, transport: { status: 'blocked', problem: 'low memory' } }, 'the transport rabbitmq takes no messages (low memory)'],
  ] as const)('is down: %j', async (scene, problem) => {
    expect(await healthOf(scene)).toMatchObject({ status: 'down', problems: [problem] });
  });

  it('does not ask a store that it has not opened yet, or is letting go of', async () => {
    const lagMs = jest.fn(async () => 0);
    await healthOf({ phase: 'starting', lagMs });
    await healthOf({ phase: 'stopping', lagMs });
    expect(lagMs).not.toHaveBeenCalled();
  });

  it('does not wait longer than it may for a store that says nothing', async () => {
    const scheduler = new VirtualTime();
    const health = healthOf({ scheduler, lagMs: () => new Promise(() => undefined) });
    await scheduler.advance(3000);
    expect(await health).toMatchObject({
      status: 'down',
      problems: ['the store cannot be reached: no answer within 3000 ms'],
      store: { isReachable: false },
    });
  });
});
