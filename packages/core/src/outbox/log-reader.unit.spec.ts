import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { HandOver, Sink, SubscriptionSpec } from '../transport/transport.port.js';
import { LogReader, type LogReaderParts } from './log-reader.js';
import { preferredNode } from './rendezvous.js';

const [ONE, OTHER] = ['00000000-0000-4000-8000-000000000001', '00000000-0000-4000-8000-000000000002'] as const;
/** A lane that the other process is preferred for. */
const LANE = Array.from({ length: 64 }, (_, lane) => lane).find((lane) => preferredNode([ONE, OTHER], `1/${lane}`) === OTHER) as number;

it('what comes into a lane while it is read is read afterwards, also where another process is preferred for that lane', async () => {
  const time = new VirtualTime();
  const reads: ((outcome: HandOver) => void)[] = [];
  const cursors = { news: async () => [], refresh: async <K>(keys: K) => keys };
  const store = { cursors, nodes: { live: async () => [ONE, OTHER] } } as unknown as LogReaderParts['store'];
  const reader = new LogReader({ store, nodeId: ONE, pollMs: 1000, clock: time, scheduler: time, logger: silentLogger });
  const sink = { handle: () => new Promise<HandOver>((resolve) => reads.push(resolve)) } as Partial<Sink> as Sink;
  reader.read({ id: 1, name: 'orders.book', concurrency: 10 } as SubscriptionSpec, sink);
  await time.advance(0);
  reader.nudge([LANE]);
  await time.advance(20);
  expect(reads).toHaveLength(1);
  // The preferred one finds the lane locked.
  reader.nudge([LANE]);
  await time.advance(20);
  reads[0]?.('idle');
  await time.advance(0);
  expect(reads).toHaveLength(2);
  reads[1]?.('idle');
  await reader.close(1000);
});
