import { type LeaseRound, seededRandom, silentLogger, type Store, VirtualTime } from '@holdfast/core';
import type { Consumer } from './consumer.js';
import { type PartitionedParts, PartitionedSubscription } from './partitioned-subscription.js';

describe('a partitioned subscription', () => {
  it('opens a partition anew that went to another process and came back while its consumer was on its way out', async () => {
    const time = new VirtualTime();
    const leased = (ownerToken: string, share: number): LeaseRound => ({ held: [{ part: 0, ownerToken, leftMs: 5000 }], share });
    let round = leased('first', 1);
    const leases = { declare: async () => 1, round: async () => round, release: async () => undefined, leave: async () => undefined };
    const opened: string[] = [];
    let drained = (): void => undefined;
    const consumerOf = (partition: number) => {
      const name = `${partition}.${opened.length}`;
      const consumer: Partial<Consumer> = {
        start: async () => void opened.push(name),
        drain: () => new Promise((resolve) => (drained = resolve)),
        stop: async () => undefined,
      };
      return consumer as Consumer;
    };
    const subscription = new PartitionedSubscription({
      context: {
        service: 'bank',
        nodeId: 'node',
        clock: time,
        scheduler: time,
        random: seededRandom(1),
        logger: silentLogger,
        store: { leases } as unknown as Store,
      },
      spec: { name: 'bank.book', types: [], from: 'now', ordering: 'key', concurrency: 1, batchSize: 1, id: 1 },
      scope: 'partitions',
      count: 1,
      terms: { timeoutMs: 1000, isFinal: () => false },
      health: () => ({ status: 'up', problem: undefined }),
      consumerOf,
    } satisfies PartitionedParts);

    await subscription.start();
    round = leased('first', 0);
    await time.advance('600ms');
    expect(opened).toEqual(['0.0']);
    round = leased('second', 1);
    await time.advance('600ms');
    drained();
    await time.advance('600ms');
    expect(opened).toEqual(['0.0', '0.1']);
    await subscription.stop();
  });
});
