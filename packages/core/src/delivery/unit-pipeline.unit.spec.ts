import { hfError } from '../errors/catalogue.js';
import type { Logger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { DeliveryRecord, KeyLock, KeyRule } from './delivery.store.port.js';
import { FailurePause } from './failure-pause.js';
import type { Incoming, Intake, Taken } from './intake.port.js';
import type { PipelineContext } from './pipeline-context.js';
import { messageOf, NEVER_PAUSING, subscriptionOf } from './pipeline-scene.spec.js';
import type { HandlerPolicies } from './subscription-options.js';
import { UnitPipeline } from './unit-pipeline.js';
import { WorkInHand } from './work-in-hand.js';

const tx = { abort: () => undefined } as unknown as Transaction;

function scene(messages: readonly Incoming[], policies: Partial<HandlerPolicies<never>> = {}, failures: FailurePause = NEVER_PAUSING) {
  const transcript: string[] = [];
  const warnings: string[] = [];
  const taken: Taken = { messages, hasMore: false, isMoved: true, isSuspect: false, hasStored: true };
  const deliveries = {
    failures: 0,
    failsWith: new Error('the disk is full') as Error,
    lockKeys: async (_tx: Transaction, _lock: KeyLock) => new Set<string>(),
    record: async (_tx: Transaction, records: readonly DeliveryRecord[]) => {
      deliveries.failures -= 1;
      if (deliveries.failures >= 0) throw deliveries.failsWith;
      for (const { state, identity, isSuspect } of records) transcript.push(`${identity?.id} ${state}${isSuspect ? ' suspect' : ''}`);
    },
    close: async (_tx: Transaction, _rule: KeyRule, closed: readonly { readonly id: string }[]) =>
      void transcript.push(`closed ${closed.map(({ id }) => id).join(' ')}`),
    free: async (_tx: Transaction, { keys }: KeyLock) => void transcript.push(`freed ${keys.join(' ')}`),
  };
  const inbox = { remember: async (_tx: Transaction, { keys }: { readonly keys: readonly unknown[] }) => keys.map(() => true) };
  const time = new VirtualTime();
  const context = {
    store: { deliveries, inbox },
    runUnit: async (_options: unknown, work: (tx: Transaction) => Promise<unknown>) => {
      const before = transcript.length;
      try {
        return await work(tx);
      } catch (error) {
        transcript.splice(before);
        throw error;
      }
    },
    onStored: () => undefined,
    replies: { refuse: async () => undefined },
    clock: time,
    scheduler: time,
    random: seededRandom(1),
    logger: { warn: (text: string) => void warnings.push(text) },
    failures,
    receipts: { give: async () => undefined },
    inHand: new WorkInHand(),
  } as unknown as PipelineContext;
  const intake = (isSuspect = false): Intake => ({
    take: async (_tx, limit) => ({ ...taken, messages: messages.slice(0, limit), isSuspect }),
    retake: async () => true,
    lease: async () => undefined,
    settle: async (_messages, outcome) => void transcript.push(String(outcome)),
  });
  const pipeline = new UnitPipeline(
    context,
    subscriptionOf(
      (id) => {
        if (id === 'bad') throw new Error('bad');
        transcript.push(`handled ${id}`);
      },
      { transactional: true, idempotent: true, batchSize: 10, ...policies },
    ),
  );
  return { transcript, warnings, deliveries, handle: (isSuspect?: boolean) => pipeline.handle(intake(isSuspect)) };
}

describe('a batch with a message that ends badly', () => {
  describe.each(['unreadable', 'old'] as const)('%s', (kind) => {
    const messages = [messageOf('1', 'k'), messageOf('2', 'k', kind), messageOf('3', 'k'), messageOf('4', 'other')];
    const state = kind === 'old' ? 'dead' : 'invalid';

    it('does not handle what comes after it in its key when that blocks, and stores both in their order', async () => {
      const { transcript, handle } = scene(messages, { ordering: 'key' });
      expect(await handle()).toBe('idle');
      expect(transcript).toEqual(['handled 1', 'handled 4', 'closed 1 4', `2 ${state}`, '3 waiting', 'ack']);
    });

    it('handles what comes after it in its key when that does not block', async () => {
      const { transcript, handle } = scene(messages, { ordering: 'key', onDeadLetter: 'skip' });
      await handle();
      expect(transcript).toEqual(['handled 1', 'handled 4', 'handled 3', 'closed 1 3 4', `2 ${state}`, 'freed k', 'ack']);
    });

    it('handles all others without an order of keys', async () => {
      const { transcript, handle } = scene(messages);
      await handle();
      expect(transcript.filter((line) => line.startsWith('handled')).sort()).toEqual(['handled 1', 'handled 3', 'handled 4']);
    });
  });
});

describe('messages at a place where a process died', () => {
  const messages = [messageOf('1', 'k'), messageOf('2', 'l')];

  it('are put aside, not handled', async () => {
    const { transcript, handle } = scene(messages);
    await handle(true);
    expect(transcript).toEqual(['1 retry suspect', '2 retry suspect', 'ack']);
  });

  it.each([1, 2])('stay where they are, and suspect, when %d of them cannot be put aside', async (count) => {
    const { transcript, deliveries, handle } = scene(messages.slice(0, count));
    deliveries.failures = 1;
    expect(await handle(true)).toBe('blocked');
    expect(transcript).toEqual(['requeue']);
  });
});

describe('a failure that cannot be stored', () => {
  it.each([
    [new Error('the disk is full'), 'a failure could not be stored; the message stays where it is'],
    [
      hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' }),
      'whether a failure was stored is not known; the message is looked for again',
    ],
  ])('is told with what is known of it: %s', async (error, text) => {
    const { transcript, warnings, deliveries, handle } = scene([messageOf('bad', 'k')]);
    Object.assign(deliveries, { failures: 1, failsWith: error });
    expect(await handle()).toBe('blocked');
    expect({ transcript, warnings }).toEqual({ transcript: ['requeue'], warnings: [text] });
  });
});

describe('a batch of which every message fails', () => {
  const messages = ['1', '2', '3'].map((key) => messageOf('bad', key));
  const attempts = async (failures: FailurePause) => {
    const { transcript, handle } = scene(messages, {}, failures);
    await handle();
    return transcript.filter((line) => line === 'bad retry').length;
  };

  it('costs each of them an attempt', async () => {
    expect(await attempts(NEVER_PAUSING)).toBe(3);
  });

  it('costs no attempt of those whose turn had not come when the subscription paused', async () => {
    const policy = { messages: 1, share: 0, delayMs: 1000, maxDelayMs: 1000 };
    const logger = { warn: () => undefined } as unknown as Logger;
    expect(await attempts(new FailurePause('orders.book', policy, { clock: new VirtualTime(), random: seededRandom(1), logger }))).toBe(1);
  });
});
