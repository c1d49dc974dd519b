import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { systemScheduler } from '../time/scheduler.js';
import type { HandOver } from '../transport/transport.port.js';
import type { DeliveryStore, Hand } from './delivery.store.port.js';
import type { Intake } from './intake.port.js';
import { Permits } from './permits.js';
import { BoundedSink } from './bounded-sink.js';
import { NEVER_PAUSING } from './handling-scene.spec.js';
import { RetryRunner } from './retry-runner.js';
import type { Subscription } from './subscription.js';

const TIMEOUT_MS = 1000;

/** Suspect deliveries by subscription; the transcript tells what was counted, what began and what ended. */
function scene(suspects: ReadonlyMap<number, string[]>, connections = 10) {
  const transcript: string[] = [];
  const leases: number[] = [];
  const due = async () => new Map([...suspects].filter(([, left]) => left.length > 0).map(([id]) => [id, { ms: undefined, suspectMs: 0 }]));
  const countSuspect = async (id: number, leaseMs: number) => {
    leases.push(leaseMs);
    const name = suspects.get(id)?.shift();
    if (name === undefined) return undefined;
    transcript.push(`${name} counted`);
    const settle = async (_: unknown, outcome: unknown) =>
      void transcript.push(`${name} ${outcome === 'requeue' ? 'given back' : outcome}`);
    return { name, settle } as unknown as Intake;
  };
  const permits = new Permits(connections);
  const handle = async (intake: Intake): Promise<HandOver> => {
    const { name } = intake as unknown as { readonly name: string };
    transcript.push(`${name} begins`);
    await systemScheduler.sleep(1);
    transcript.push(`${name} ends`);
    return 'worked';
  };
  const sinkOf = (id: number) => {
    const subscription = { spec: { id, concurrency: 10 }, timeoutMs: TIMEOUT_MS } as unknown as Subscription;
    return new BoundedSink(
      subscription,
      { handle },
      { permits, failures: NEVER_PAUSING, scheduler: systemScheduler, unexpected: () => undefined },
    );
  };
  const store = { due, countSuspect, freeForgotten: async () => 0 } as unknown as DeliveryStore;
  const sinks = new Map([...suspects.keys()].map((id) => [id, sinkOf(id)]));
  const runner = new RetryRunner(store, sinks, { scheduler: systemScheduler, logger: silentLogger });
  return { runner, transcript, permits, leases };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemScheduler.sleep(1, undefined, { keepsProcessAlive: true });
}

describe('deliveries a process may have died of', () => {
  it('are counted and handled one at a time, of all subscriptions in turn, and given back should anything be left of them', async () => {
    const suspects = new Map([
      [1, ['a', 'c']],
      [2, ['b']],
    ]);
    const { runner, transcript, leases } = scene(suspects);
    runner.start();
    await until(() => transcript.length === 12);
    await runner.stop();
    expect(transcript).toEqual(
      ['a', 'b', 'c'].flatMap((name) => [`${name} counted`, `${name} begins`, `${name} ends`, `${name} given back`]),
    );
    expect(Math.min(...leases)).toBeGreaterThan(TIMEOUT_MS);
  });

  it('are not counted while they wait for a connection', async () => {
    const { runner, transcript, permits } = scene(new Map([[1, ['a']]]), 1);
    let free = (): void => undefined;
    const busy = permits.run(() => new Promise<void>((resolve) => (free = resolve)));
    runner.start();
    await systemScheduler.sleep(20, undefined, { keepsProcessAlive: true });
    expect(transcript).toEqual([]);
    free();
    await busy;
    await until(() => transcript.length === 4);
    await runner.stop();
  });
});

describe('deliveries that are due', () => {
  const settle = () => new Promise<void>((resolve) => setTimeout(resolve, 20));

  /** One subscription whose deliveries are always due; `begin` is called with the ordinal of each hand-over. */
  function busy(begin: (n: number) => Promise<HandOver>, concurrency = 10) {
    const time = new VirtualTime();
    const counts = { looks: 0, handed: 0 };
    const due = async () => {
      counts.looks += 1;
      // A loop that never rests would not let the test fail.
      if (counts.looks > 100) return new Map();
      return new Map([[1, { ms: 0, suspectMs: undefined }]]);
    };
    const store = { due, intake: () => ({}), freeForgotten: async () => 0 } as unknown as DeliveryStore;
    const handle = () => {
      counts.handed += 1;
      return begin(counts.handed);
    };
    const subscription = { spec: { id: 1, concurrency } } as unknown as Subscription;
    const sink = new BoundedSink(
      subscription,
      { handle },
      { failures: NEVER_PAUSING, permits: new Permits(10), scheduler: time, unexpected: () => undefined },
    );
    return { counts, time, runner: new RetryRunner(store, new Map([[1, sink]]), { scheduler: time, logger: silentLogger }) };
  }

  it('and in work elsewhere are looked at by the poll only', async () => {
    const { counts, time, runner } = busy(async () => 'idle');
    runner.start();
    await settle();
    expect(counts).toEqual({ looks: 1, handed: 1 });
    await time.advance(3000);
    expect(counts).toEqual({ looks: 4, handed: 4 });
    await runner.stop();
  });

  it('are looked at again at once when one was handled, or refused because as much as may be was in work', async () => {
    let end = (): void => undefined;
    const { counts, time, runner } = busy(
      (n) => (n === 1 ? new Promise((resolve) => (end = () => resolve('idle'))) : Promise.resolve('idle')),
      1,
    );
    runner.start();
    await settle();
    await time.advance(1000);
    expect(counts).toEqual({ looks: 2, handed: 1 });
    end();
    await settle();
    expect(counts).toEqual({ looks: 3, handed: 2 });
    await runner.stop();
    const worked = busy(async (n) => (n === 1 ? 'worked' : 'idle'));
    worked.runner.start();
    await settle();
    expect(worked.counts).toEqual({ looks: 2, handed: 3 });
    await worked.runner.stop();
  });
});

it('what one hand-over has taken is not for those beside it until it has ended', async () => {
  const time = new VirtualTime();
  const ends: (() => void)[] = [];
  const seen: (readonly string[])[] = [];
  const store = {
    due: async () => new Map([[1, { ms: 0, suspectMs: undefined }]]),
    intake: (_id: number, hand: Hand) => hand,
    freeForgotten: async () => 0,
  } as unknown as DeliveryStore;
  const handle = async (intake: Intake): Promise<HandOver> => {
    const hand = intake as unknown as Hand;
    seen.push(hand.others);
    hand.took(`delivery ${seen.length}`);
    await new Promise<void>((resolve) => ends.push(resolve));
    return 'idle';
  };
  const subscription = { spec: { id: 1, concurrency: 10 } } as unknown as Subscription;
  const parts = { failures: NEVER_PAUSING, permits: new Permits(10), scheduler: time, unexpected: () => undefined };
  const sinks = new Map([[1, new BoundedSink(subscription, { handle }, parts)]]);
  const runner = new RetryRunner(store, sinks, { scheduler: time, logger: silentLogger });
  runner.start();
  await time.advance(2000);
  ends.shift()?.();
  await time.advance(1000);
  expect(seen).toEqual([[], ['delivery 1'], ['delivery 1', 'delivery 2'], ['delivery 2', 'delivery 3']]);
  for (const end of ends) end();
  await runner.stop();
});

describe('deliveries that wait for nothing', () => {
  it('are looked for at the start and now and then, and what was let go is handed over at once', async () => {
    const time = new VirtualTime();
    const transcript: string[] = [];
    const store = {
      due: async () => {
        transcript.push('look');
        return new Map();
      },
      freeForgotten: async (rules: unknown) => {
        transcript.push(`free ${JSON.stringify(rules)}`);
        return 1;
      },
    } as unknown as DeliveryStore;
    const subscription = { spec: { id: 1, ordering: 'key' }, onDeadLetter: 'block' } as unknown as Subscription;
    const sink = { subscription } as unknown as BoundedSink;
    const runner = new RetryRunner(store, new Map([[1, sink]]), { scheduler: time, logger: silentLogger });
    runner.start();
    await new Promise<void>((resolve) => setTimeout(resolve, 20));
    const free = 'free [{"subscriptionId":1,"blocksKeys":true}]';
    expect(transcript).toEqual(['look', free, 'look']);
    await time.advance(60_000);
    await runner.stop();
    expect(transcript.filter((line) => line === free)).toHaveLength(3);
  });
});
