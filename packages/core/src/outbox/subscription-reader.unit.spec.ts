import type { Intake } from '../delivery/intake.port.js';
import type { HandOver, SubscriptionSpec } from '../transport/transport.port.js';
import { SubscriptionReader } from './subscription-reader.js';

interface Call {
  readonly lane: number;
  end(outcome: HandOver): void;
}

function make(concurrency: number) {
  const calls: Call[] = [];
  const sink = {
    isPaused: false,
    onPause: () => () => undefined,
    handle: (intake: Intake) =>
      new Promise<HandOver>((resolve) => calls.push({ lane: (intake as unknown as { lane: number }).lane, end: resolve })),
  };
  const reader = new SubscriptionReader({ concurrency } as SubscriptionSpec, sink, (lane) => ({ lane }) as unknown as Intake);
  const finish = async (index: number, outcome: HandOver) => {
    calls[index]?.end(outcome);
    await new Promise((resolve) => setImmediate(resolve));
  };
  return { reader, finish, lanes: () => calls.map(({ lane }) => lane) };
}

describe('the reader of a subscription', () => {
  it('reads a lane once at a time, and again when it was woken meanwhile', async () => {
    const { reader, finish, lanes } = make(4);
    reader.wake(1);
    reader.wake(1);
    reader.wake(1);
    expect(lanes()).toEqual([1]);
    await finish(0, 'idle');
    expect(lanes()).toEqual([1, 1]);
    await finish(1, 'idle');
    expect(reader.isBusy).toBe(false);
  });

  it('keeps to its concurrency', async () => {
    const { reader, finish, lanes } = make(2);
    for (const lane of [1, 2, 3]) reader.wake(lane);
    expect(lanes()).toEqual([1, 2]);
    await finish(0, 'idle');
    expect(lanes()).toEqual([1, 2, 3]);
  });

  it('lets other lanes go first when one has more', async () => {
    const { reader, finish, lanes } = make(1);
    reader.wake(1);
    reader.wake(2);
    await finish(0, 'worked');
    await finish(1, 'idle');
    expect(lanes()).toEqual([1, 2, 1]);
  });

  it('takes nothing new when it stops, and waits for what is in hand', async () => {
    const { reader, finish, lanes } = make(1);
    reader.wake(1);
    reader.wake(2);
    let isStopped = false;
    const stopped = reader.stop().then(() => {
      isStopped = true;
    });
    await new Promise((resolve) => setImmediate(resolve));
    expect(isStopped).toBe(false);
    await finish(0, 'worked');
    await stopped;
    reader.wake(3);
    expect(lanes()).toEqual([1]);
  });
});
