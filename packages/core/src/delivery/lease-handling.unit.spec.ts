import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import type { ClaimEnd } from '../inbox/inbox.store.port.js';
import { subscribe } from '../monitoring/events.js';
import { silentLogger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { DeliveryRecord } from './delivery.store.port.js';
import { HeldIntake } from './held-intake.js';
import type { Incoming, Intake, Lease } from './intake.port.js';
import { LeaseHandling } from './lease-handling.js';
import { LEASE_MS } from './lease-term.js';
import type { HandlingContext } from './handling-context.js';
import { messageOf, NEVER_PAUSING, subscriptionOf } from './handling-scene.spec.js';
import type { HandlerPolicies } from './subscription-options.js';
import { WorkInHand } from './work-in-hand.js';

const tx = {} as Transaction;

interface Given {
  /** What it is taken from, instead. */
  readonly intake?: Intake;
  readonly message?: Incoming;
  /** What it is remembered in. */
  readonly inbox?: object;
  readonly policies?: Partial<HandlerPolicies<never>>;
}

/** One stored delivery that is leased; `renew` is what the store does at each renewal, `commit` what it does at the end of a unit. */
function scene(renew: () => Promise<void>, commit: () => void = () => undefined, given: Given = {}) {
  const transcript: string[] = [];
  const tellings: (() => void)[] = [];
  const note = (text: string) => async () => void transcript.push(text);
  const time = new VirtualTime();
  const inHand = new WorkInHand();
  const lease: Lease = {
    messages: [given.message ?? messageOf('1', 'k')],
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
    store: { deliveries, inbox: given.inbox },
    runUnit: async (_options: unknown, work: (tx: Transaction) => Promise<unknown>) => {
      const result = await work(tx);
      try {
        commit();
      } catch (error) {
        tellings.splice(0);
        throw error;
      }
      for (const tell of tellings.splice(0)) tell();
      return result;
    },
    afterCommit: (then: () => void) => void tellings.push(then),
    onStored: () => undefined,
    replies: { refuse: async () => undefined },
    clock: time,
    scheduler: time,
    random: seededRandom(1),
    logger: silentLogger,
    failures: NEVER_PAUSING,
    receipts: { give: async () => undefined },
    inHand,
  } as unknown as HandlingContext;
  const intake = {
    lease: async () => lease,
    settle: async (_: unknown, outcome: string) => void transcript.push(outcome),
  } as unknown as Intake;
  let end = (_error?: Error): void => undefined;
  let calls = 0;
  const handler = () =>
    new Promise<void>((resolve, reject) => {
      calls += 1;
      end = (error) => (error === undefined ? resolve() : reject(error));
    });
  const handling = new LeaseHandling(context, subscriptionOf(handler, given.policies ?? {}));
  const handled = handling.handle(given.intake ?? intake);
  const stop = () => inHand.giveUp();
  return { transcript, time, handled, end: (error?: Error) => end(error), calls: () => calls, stop };
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

  it.each([
    [undefined, 'close'],
    [new Error('refused'), 'retry'],
  ])(
    "is given back when its end could not be committed and it is somebody else's, which is not told: its handler threw %s",
    async (error, stored) => {
      const told: string[] = [];
      const names = ['delivery:succeeded', 'delivery:retry-scheduled'] as const;
      const stops = names.map((name) => subscribe(name, () => told.push(name)));
      const { transcript, time, handled, end } = scene(
        async () => {
          throw hfError('HF_LEASE_LOST', { resource: 'a test' });
        },
        () => {
          throw new Error('the commit failed');
        },
      );
      await time.advance(1);
      end(error);
      await time.advance(1000);
      expect(await handled).toBe('blocked');
      for (const stop of stops) stop();
      expect(transcript).toEqual(['finish', stored, 'renew', 'release', 'requeue']);
      expect(told).toEqual([]);
    },
  );

  it.each([
    [undefined, 'close', 'delivery:succeeded'],
    [new Error('refused'), 'retry', 'delivery:retry-scheduled'],
  ])('keeps its end until that is stored, and its handler is called once: it threw %s', async (error, stored, event) => {
    const told: string[] = [];
    const names = ['delivery:succeeded', 'delivery:retry-scheduled'] as const;
    const stops = names.map((name) => subscribe(name, () => told.push(name)));
    const outages = [new Error('ECONNREFUSED'), new Error('ECONNREFUSED'), new Error('ECONNREFUSED')];
    const settled: string[] = [];
    const held = {
      incoming: messageOf('1', 'k'),
      isOurs: true,
      isSuspect: false,
      settle: (outcome: string) => void settled.push(outcome),
      putAway: async () => undefined,
    };
    const { transcript, time, handled, end, calls } = scene(
      async () => undefined,
      () => {
        const outage = outages.pop();
        if (outage !== undefined) throw outage;
      },
      { intake: new HeldIntake([held], 'a queue') },
    );
    await time.advance(1);
    end(error);
    await time.advance(60_000);
    expect(await handled).toBe('worked');
    for (const stop of stops) stop();
    expect({ calls: calls(), transcript, settled, told }).toEqual({
      calls: 1,
      transcript: [stored, stored, stored, stored],
      settled: ['ack'],
      told: [event],
    });
  });

  it('of which another copy has ended meanwhile is given back, to be looked at again', async () => {
    const { transcript, time, handled, end } = scene(
      async () => undefined,
      () => {
        throw hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: '1' });
      },
    );
    await time.advance(1);
    end(new NonRetryableError('declined'));
    await time.advance(60_000);
    expect(await handled).toBe('blocked');
    expect(transcript).toEqual(['finish', 'dead', 'release', 'requeue']);
  });

  it('whose end cannot be stored is let go of when stopping cannot wait any longer', async () => {
    const { transcript, time, handled, end, stop } = scene(
      async () => undefined,
      () => {
        throw new Error('ECONNREFUSED');
      },
    );
    await time.advance(1);
    end();
    await time.advance(1);
    stop();
    await time.advance(60_000);
    expect(await handled).toBe('blocked');
    expect(transcript).toEqual(['finish', 'close', 'release', 'requeue']);
  });

  describe('that is remembered', () => {
    const lost = hfError('HF_LEASE_LOST', { resource: 'the claim of 1' });
    const broken = new Error('ECONNRESET');

    /** An inbox that answers the end of a claim as told, in turn; `isDone`: what it says when it is asked. */
    function remembering(answers: readonly (Error | undefined)[], isDone = false, idempotent: HandlerPolicies<never>['idempotent'] = true) {
      const left = [...answers];
      const seen: string[] = [];
      const inbox = {
        claim: async () => ({ state: 'claimed', token: 'mine' }),
        renew: async () => void seen.push('renewed'),
        recall: async () => {
          seen.push('recalled');
          return { isDone };
        },
        finish: async ({ done }: ClaimEnd) => {
          seen.push(done === undefined ? 'given back' : 'finished');
          const answer = left.shift();
          if (answer !== undefined) throw answer;
        },
      };
      const made = scene(async () => undefined, undefined, { inbox, policies: { idempotent } });
      return { ...made, seen };
    }

    it.each([
      ['is not stored at once', [broken, broken], false, ['finished', 'renewed', 'finished', 'renewed', 'finished'], 'close'],
      ['is stored, and only the answer is lost', [broken, lost], true, ['finished', 'renewed', 'finished', 'recalled'], 'close'],
      ['is not stored until somebody else has its claim', [broken, lost], false, ['finished', 'renewed', 'finished', 'recalled'], 'retry'],
      ['comes when somebody else has its claim', [lost], true, ['finished'], 'retry'],
    ] as const)('is handled once, also where its end %s', async (_, answers, isDone, expected, stored) => {
      const { transcript, seen, time, handled, end, calls } = remembering(answers, isDone);
      await time.advance(1);
      end();
      await time.advance(1000);
      expect(await handled).toBe('worked');
      expect({ seen, stored: transcript.filter((line) => !line.startsWith('renew')) }).toEqual({
        seen: expected,
        stored: ['finish', stored, 'ack'],
      });
      expect(calls()).toBe(1);
    });

    it('does not wait for so long between tries to store its end that its claim lapses', async () => {
      const { seen, time, handled, end } = remembering(Array(6).fill(broken), false, { lockTtl: 1200 });
      await time.advance(1);
      end();
      await time.advance(100 + 200 + 400 + 400 + 400 + 400);
      expect(await handled).toBe('worked');
      expect(seen.filter((line) => line === 'finished')).toHaveLength(7);
    });

    it('keeps its claim when stopping cannot wait for its end: what it did is there', async () => {
      const { transcript, seen, time, handled, end, stop } = remembering(Array(9).fill(broken));
      await time.advance(1);
      end();
      await time.advance(1);
      stop();
      expect(await handled).toBe('blocked');
      expect({ seen, transcript }).toEqual({ seen: ['finished'], transcript: ['release', 'requeue'] });
    });

    it('gives its claim back when its handler throws', async () => {
      const { transcript, seen, time, handled, end } = remembering([]);
      await time.advance(1);
      end(new Error('declined'));
      await handled;
      expect({ seen, transcript }).toEqual({ seen: ['given back'], transcript: ['finish', 'retry', 'ack'] });
    });
  });

  describe('whose schema does not answer', () => {
    const hanging = { message: messageOf('1', 'k', 'hanging') };
    const sceneOf = (policies: Partial<HandlerPolicies<never>> = {}) =>
      scene(async () => undefined, undefined, { ...hanging, policies: { timeout: 2 * LEASE_MS, ...policies } });

    it.each([
      [{ retry: 2 }, 'retry'],
      [{ retry: 1 }, 'dead'],
      [{ retry: 2, idempotent: { key: ({ orderId }: { orderId: string }) => orderId.trim() } } as never, 'retry'],
    ])('has failed at the time-out of its handler, and is leased until then: %j', async (policies, state) => {
      const codes: unknown[] = [];
      const stops = (['delivery:retry-scheduled', 'delivery:dead-lettered'] as const).map((name) =>
        subscribe(name, ({ code, attempt }) => codes.push([code, attempt])),
      );
      const { transcript, time, handled } = sceneOf(policies);
      await time.advance(2 * LEASE_MS - 1);
      expect(transcript.slice(-2)).toEqual(['renew', 'renewed']);
      await time.advance(1);
      expect(transcript.slice(-3)).toEqual(['finish', state, 'ack']);
      expect(await handled).toBe('worked');
      for (const stop of stops) stop();
      expect(codes).toEqual([['HF_HANDLER_TIMEOUT', 1]]);
    });

    it('is given back when stopping cannot wait for it', async () => {
      const { transcript, time, stop, handled } = sceneOf();
      await time.advance(1);
      stop();
      await time.advance(1);
      expect(transcript).toEqual(['release', 'requeue']);
      expect(await handled).toBe('blocked');
    });
  });
});
