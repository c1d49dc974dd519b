import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { subscribe } from '../monitoring/events.js';
import { VirtualTime } from '../testing/virtual-time.js';
import type { Replies } from '../reply/replies.js';
import { seededRandom } from '../time/random.js';
import { FailurePause } from './failure-pause.js';
import type { FailurePausePolicy } from './failure-pause-options.js';
import { InProcessHandling } from './in-process-handling.js';
import type { Incoming, Intake, Lease, Settlement } from './intake.port.js';
import { messageOf, subscriptionOf } from './handling-scene.spec.js';
import type { HandlerPolicies } from './subscription-options.js';
import { WorkInHand } from './work-in-hand.js';

const RETRY = { attempts: 3, backoff: { delay: 1000, factor: 1, jitter: 'none' } } as const;

interface Given {
  readonly message?: Incoming;
  readonly policies?: Partial<HandlerPolicies<never>>;
  readonly holdLimitMs?: number;
  /** What the transport does before it settles. */
  readonly settling?: (outcome: Settlement, nth: number) => void;
  readonly isLost?: () => boolean;
  readonly canRefuse?: boolean;
  /** What the broker says of a reply. */
  readonly answering?: () => void;
  readonly failurePause?: FailurePausePolicy;
}

/** One message of a broker, and a bus without a store. */
function scene(
  work: (attempt: number) => unknown,
  { message = messageOf('1', 'k'), policies, holdLimitMs, settling, isLost, canRefuse, answering, failurePause }: Given = {},
) {
  const transcript: string[] = [];
  const logged: [string, Record<string, unknown>][] = [];
  const time = new VirtualTime();
  const inHand = new WorkInHand();
  const replies = {
    refuse: async () => {
      if (canRefuse === false) throw new Error('nobody can be told');
    },
    refusalFor: () => undefined,
    give: async () => {
      answering?.();
      transcript.push('answered');
    },
  } as unknown as Replies;
  const log = (text: string, fields: Record<string, unknown>) => void logged.push([text, fields]);
  const context = { clock: time, scheduler: time, random: seededRandom(1), logger: { info: log, warn: log, error: log }, inHand, replies };
  const check = async () => {
    if (isLost?.()) throw hfError('HF_LEASE_LOST', { resource: 'q' });
  };
  const lease: Lease = {
    ...{ messages: [message], hasMore: false, isMoved: false, isSuspect: false, hasStored: true },
    ...{ renew: check, finish: check, release: async () => void transcript.push('released') },
  };
  let settled = 0;
  const intake = {
    lease: async () => lease,
    settle: async (_: unknown, outcome: Settlement) => {
      settled += 1;
      settling?.(outcome, settled);
      if (typeof outcome === 'string') transcript.push(outcome);
      else transcript.push(`dead after ${outcome.deadLetter.attempts}: ${outcome.deadLetter.failure.message}`);
    },
  } as unknown as Intake;
  let attempt = 0;
  const handler = async () => {
    attempt += 1;
    transcript.push(`attempt ${attempt} at ${time.monotonicMs()}`);
    await work(attempt);
  };
  const failures = new FailurePause('orders.book', failurePause, context);
  const subscription = subscriptionOf(handler, { retry: RETRY, ...policies }, { hasStore: false, holdLimitMs });
  const handling = new InProcessHandling({ ...context, failures, keepsDeadLetters: true }, subscription);
  return { transcript, logged, time, inHand, failures, handled: handling.handle(intake) };
}

const always = () => {
  throw new Error('no');
};

/** What is told under these names while the tests run. */
function hear(
  ...names: ('delivery:refused' | 'delivery:succeeded' | 'delivery:retry-scheduled' | 'delivery:dead-lettered' | 'message:invalid')[]
) {
  const heard: string[] = [];
  const stops = names.map((name) => subscribe(name, (facts) => heard.push(`${name} ${facts.id} ${facts.attempt}`)));
  afterEach(() => {
    heard.length = 0;
  });
  afterAll(() => {
    for (const stop of stops) stop();
  });
  return heard;
}

describe('a message without a store', () => {
  const heard = hear('delivery:succeeded', 'delivery:retry-scheduled', 'delivery:dead-lettered', 'message:invalid');

  it('is tried again after its waits, in hand all the time, and acknowledged in the end', async () => {
    const { transcript, time, handled } = scene((attempt) => (attempt < 3 ? always() : undefined));
    await time.advance(5000);
    expect(await handled).toBe('worked');
    expect(transcript).toEqual(['attempt 1 at 0', 'attempt 2 at 1000', 'attempt 3 at 2000', 'ack']);
    expect(heard).toEqual(['delivery:retry-scheduled 1 1', 'delivery:retry-scheduled 1 2', 'delivery:succeeded 1 3']);
  });

  it('is a dead letter with its reason when the attempts are used up', async () => {
    const { transcript, logged, time, handled } = scene(always);
    await time.advance(5000);
    expect(await handled).toBe('worked');
    expect(transcript.slice(-2)).toEqual(['attempt 3 at 2000', 'dead after 3: no']);
    expect(heard.slice(-1)).toEqual(['delivery:dead-lettered 1 3']);
    expect(logged).toMatchObject([['a message was given up, and is a dead letter of the broker', { id: '1', attempts: 3, reason: 'no' }]]);
  });

  it('has its end although the one who asked for it could not be told', async () => {
    const { transcript, logged, time, handled } = scene(always, { canRefuse: false });
    await time.advance(5000);
    expect(await handled).toBe('worked');
    expect(transcript.slice(-1)).toEqual(['dead after 3: no']);
    expect(logged.at(-1)?.[0]).toBe('a requester could not be told that its command was given up');
  });

  it('is a dead letter at once when trying again cannot help', async () => {
    const { transcript, handled } = scene(() => {
      throw new NonRetryableError('never');
    });
    await handled;
    expect(transcript).toEqual(['attempt 1 at 0', 'dead after 1: never']);
  });

  it('is tried again, and is a dead letter in the end, when its schema does not answer within the time of its handler', async () => {
    const { transcript, time, handled } = scene(always, { message: messageOf('1', 'k', 'hanging') });
    await time.advance(91_999);
    expect(transcript).toEqual([]);
    await time.advance(1);
    expect(transcript).toEqual([expect.stringMatching(/^dead after 3: .*took longer than 30000 ms/)]);
    expect(await handled).toBe('worked');
    expect(heard).toEqual(['delivery:retry-scheduled 1 1', 'delivery:retry-scheduled 1 2', 'delivery:dead-lettered 1 3']);
  });

  it('is a dead letter without an attempt when nobody can read it', async () => {
    const { transcript, handled } = scene(always, { message: messageOf('1', 'k', 'unreadable') });
    await handled;
    expect(transcript).toEqual([expect.stringMatching(/^dead after 0: .*cannot be read/)]);
    expect(heard).toEqual(['message:invalid 1 0']);
  });

  it('is a dead letter without an attempt when it came back more than twenty times: it may be what ends its processes', async () => {
    const often = (timesReturned: number) => scene(() => undefined, { message: { ...messageOf('1', 'k'), timesReturned } });
    const [patient, poison] = [often(20), often(21)];
    await Promise.all([patient.handled, poison.handled]);
    expect(patient.transcript).toEqual(['attempt 1 at 0', 'ack']);
    expect(poison.transcript).toEqual([expect.stringMatching(/^dead after 0: orders.book was given this message 21 times before/)]);
  });

  it('waits no longer than there is time for, whatever its backoff says', async () => {
    const policies = { timeout: 100, retry: { attempts: 3, backoff: () => '1d' as const } };
    const { transcript, time, handled } = scene(always, { policies, holdLimitMs: 700 });
    await time.advance(1000);
    await handled;
    expect(transcript).toEqual(['attempt 1 at 0', 'attempt 2 at 200', 'attempt 3 at 400', 'dead after 3: no']);
  });

  it('stays in hand until its dead letter is put away, and its handler does not run meanwhile', async () => {
    const { transcript, time, handled } = scene(
      () => {
        throw new NonRetryableError('never');
      },
      {
        settling: (_, nth) => {
          if (nth < 4) throw new Error('the broker is away');
        },
      },
    );
    await time.advance(60_000);
    expect(await handled).toBe('worked');
    expect(transcript).toEqual(['attempt 1 at 0', 'dead after 1: never']);
  });

  it('is not handled again here when it is somebody else’s by then', async () => {
    let isLost = false;
    const { transcript, logged, time, handled } = scene(always, { isLost: () => isLost });
    await time.advance(500);
    isLost = true;
    await time.advance(5000);
    expect(await handled).toBe('blocked');
    expect(transcript).toEqual(['attempt 1 at 0', 'released', 'requeue']);
    expect(logged).toEqual([]);
  });

  it('is given back when stopping cannot wait, between two attempts or within one', async () => {
    const between = scene(always);
    await between.time.advance(500);
    const within = scene(() => new Promise(() => undefined));
    await within.time.advance(0);
    for (const { inHand } of [between, within]) inHand.giveUp();
    expect(await Promise.all([between.handled, within.handled])).toEqual(['blocked', 'blocked']);
    for (const { transcript, logged } of [between, within]) {
      expect(transcript).toEqual(['attempt 1 at 0', 'released', 'requeue']);
      expect(logged).toEqual([]);
    }
  });

  describe('that its handler refuses', () => {
    const message = messageOf('1', 'k');
    const asked = { ...message, attributes: JSON.stringify({ ...JSON.parse(message.attributes), replyto: 'there' }) };
    const failurePause = { messages: 1, share: 0, delayMs: 1000, maxDelayMs: 1000 };
    const refuse = () => {
      throw new NonRetryableError('no');
    };
    const told = hear('delivery:refused');

    it('is answered, acknowledged, and told then; that speaks for the handler', async () => {
      const { transcript, logged, failures, handled } = scene(refuse, { message: asked, failurePause });
      expect(await handled).toBe('worked');
      expect(transcript).toEqual(['attempt 1 at 0', 'answered', 'ack']);
      expect([told, logged.map(([text]) => text)]).toEqual([['delivery:refused 1 1'], ['a request was refused']]);
      expect(failures.isDelivering).toBe(true);
    });

    it('is not told while it cannot be acknowledged', async () => {
      const settling = (outcome: Settlement) => {
        if (outcome === 'ack') throw new Error('the broker is away');
      };
      const { transcript, logged, handled } = scene(refuse, { message: asked, settling });
      expect(await handled).toBe('blocked');
      expect(transcript).toEqual(['attempt 1 at 0', 'answered', 'released', 'requeue']);
      expect([told, logged.map(([text]) => text)]).toEqual([[], ['a message could not be dealt with; it is tried again']]);
    });

    it('and whose answer the broker does not take is a dead letter, and one more that failed', async () => {
      const answering = () => {
        throw hfError('HF_PUBLISH_FAILED', { type: 'a reply', id: '1', outcome: 'rejected' });
      };
      const { transcript, logged, failures, handled } = scene(refuse, { message: asked, answering, failurePause });
      expect(await handled).toBe('worked');
      expect(transcript).toEqual(['attempt 1 at 0', 'dead after 1: no']);
      expect(logged[0]?.[0]).toBe('a refusal could not be answered, so the message is given up');
      expect([told, failures.isDelivering]).toEqual([[], false]);
    });

    it('is given back when stopping keeps it from being answered', async () => {
      const answering = () => {
        throw hfError('HF_STOPPING', { activity: 'a publish' });
      };
      const { transcript, handled } = scene(refuse, { message: asked, answering });
      expect(await handled).toBe('blocked');
      expect(transcript).toEqual(['attempt 1 at 0', 'released', 'requeue']);
    });
  });

  it('says when it may have been handled before', async () => {
    const { transcript, handled } = scene(() => undefined, { message: { ...messageOf('1', 'k'), isRedelivery: true } });
    await handled;
    expect(transcript).toEqual(['attempt 1 at 0', 'ack']);
  });
});
