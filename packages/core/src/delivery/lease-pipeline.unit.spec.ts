import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { DeliveryRecord } from './delivery.store.port.js';
import type { Intake, Lease } from './intake.port.js';
import { LeasePipeline } from './lease-pipeline.js';
import { LEASE_MS } from './lease-term.js';
import type { PipelineContext } from './pipeline-context.js';
import { messageOf, NEVER_PAUSING, subscriptionOf } from './pipeline-scene.spec.js';
import { WorkInHand } from './work-in-hand.js';

const tx = {} as Transaction;

/** One stored delivery that is leased; `renew` is what the store does at each renewal, `commit` what it does at the end of a unit. */
function scene(renew: () => Promise<void>, commit: () => void = () => undefined) {
  const transcript: string[] = [];
  const note = (text: string) => async () => void transcript.push(text);
  const time = new VirtualTime();
  const lease: Lease = {
    messages: [messageOf('1', 'k')],
    hasMore: false,
    isMoved: false,
    isSuspect: false,
    hasStored: true,
    renew: async () => {
      transcript.push('renew');
      await renew();
      transcript.push('renewed');
    },
    finish: note('finish'),
    release: note('release'),
  };
  const deliveries = {
    record: async (_tx: Transaction, records: readonly DeliveryRecord[]) => void transcript.push(...records.map(({ state }) => state)),
    close: note('close'),
  };
  const context = {
    store: { deliveries },
    runUnit: async (_options: unknown, work: (tx: Transaction) => Promise<unknown>) => {
      const result = await work(tx);
      commit();
      return result;
    },
    onStored: () => undefined,
    replies: { refuse: async () => undefined },
    clock: time,
    scheduler: time,
    random: seededRandom(1),
    logger: silentLogger,
    failures: NEVER_PAUSING,
    receipts: { give: async () => undefined },
    inHand: new WorkInHand(),
  } as unknown as PipelineContext;
  const intake = {
    lease: async () => lease,
    settle: async (_: unknown, outcome: string) => void transcript.push(outcome),
  } as unknown as Intake;
  let end = (_error?: Error): void => undefined;
  const handler = () =>
    new Promise<void>((resolve, reject) => {
      end = (error) => (error === undefined ? resolve() : reject(error));
    });
  const pipeline = new LeasePipeline(context, subscriptionOf(handler, {}));
  return { transcript, time, handled: pipeline.handle(intake), end: (error?: Error) => end(error) };
}

describe('a leased message', () => {
  it.each([
    [undefined, 'close'],
    [new Error('refused'), 'retry'],
  ])('is finished when no renewal is under way any more: its handler threw %s', async (error, stored) => {
    let answer = (): void => undefined;
    const { transcript, time, handled, end } = scene(() => new Promise<void>((resolve) => (answer = resolve)));
    await time.advance(LEASE_MS / 3);
    end(error);
    await time.advance(1);
    expect(transcript).toEqual(['renew']);
    answer();
    expect(await handled).toBe('worked');
    await time.advance(LEASE_MS);
    expect(transcript).toEqual(['renew', 'renewed', 'finish', stored, 'ack']);
  });

  it('is renewed again after a renewal that failed', async () => {
    let renewals = 0;
    const { transcript, time, handled, end } = scene(async () => {
      renewals += 1;
      if (renewals === 1) throw new Error('connection lost');
    });
    await time.advance(LEASE_MS - 1);
    end();
    await handled;
    expect(transcript).toEqual(['renew', 'renew', 'renewed', 'finish', 'close', 'ack']);
  });

  it('is given back when its end cannot be committed', async () => {
    const { transcript, time, handled, end } = scene(
      async () => undefined,
      () => {
        throw new Error('the commit failed');
      },
    );
    await time.advance(1);
    end();
    await time.advance(1000);
    expect(await handled).toBe('blocked');
    expect(transcript).toEqual(['finish', 'close', 'release', 'requeue']);
  });
});
