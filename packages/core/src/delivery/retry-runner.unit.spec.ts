import { silentLogger } from '../monitoring/logger.js';
import { systemScheduler } from '../time/scheduler.js';
import type { HandOver } from '../transport/transport.port.js';
import type { DeliveryStore } from './delivery.store.port.js';
import type { Intake } from './intake.port.js';
import { Permits } from './permits.js';
import { Pipeline } from './pipeline.js';
import { RetryRunner } from './retry-runner.js';
import type { Subscription } from './subscription.js';

/** Suspect deliveries by subscription; the transcript tells what was counted, what began and what ended. */
function scene(suspects: ReadonlyMap<number, string[]>, connections = 10) {
  const transcript: string[] = [];
  const due = async () => new Map([...suspects].filter(([, left]) => left.length > 0).map(([id]) => [id, { ms: undefined, suspectMs: 0 }]));
  const countSuspect = async (id: number) => {
    const name = suspects.get(id)?.shift();
    if (name === undefined) return undefined;
    transcript.push(`${name} counted`);
    return { name } as unknown as Intake;
  };
  const permits = new Permits(connections);
  const handle = async (intake: Intake): Promise<HandOver> => {
    const { name } = intake as unknown as { readonly name: string };
    transcript.push(`${name} begins`);
    await systemScheduler.sleep(1);
    transcript.push(`${name} ends`);
    return 'worked';
  };
  const pipelineOf = (id: number) => {
    const subscription = { spec: { id, concurrency: 10 }, timeoutMs: 1000 } as unknown as Subscription;
    return new Pipeline(subscription, { handle }, { permits, scheduler: systemScheduler, unexpected: () => undefined });
  };
  const store = { due, countSuspect } as unknown as DeliveryStore;
  const pipelines = new Map([...suspects.keys()].map((id) => [id, pipelineOf(id)]));
  const runner = new RetryRunner(store, pipelines, { scheduler: systemScheduler, logger: silentLogger });
  return { runner, transcript, permits };
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await systemScheduler.sleep(1, undefined, { keepsProcessAlive: true });
}

describe('deliveries a process may have died of', () => {
  it('are counted and handled one at a time, of all subscriptions', async () => {
    const suspects = new Map([
      [1, ['a', 'b']],
      [2, ['c']],
    ]);
    const { runner, transcript } = scene(suspects);
    runner.start();
    await until(() => transcript.length === 9);
    await runner.stop();
    expect(transcript).toEqual(['a', 'b', 'c'].flatMap((name) => [`${name} counted`, `${name} begins`, `${name} ends`]));
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
    await until(() => transcript.length === 3);
    await runner.stop();
  });
});
