import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import type { InboxKey } from '../inbox/inbox.store.port.js';
import { subscribe } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { seededRandom } from '../time/random.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { DeliveryRecord, KeyLock, KeyRule } from './delivery.store.port.js';
import { FailurePause } from './failure-pause.js';
import type { Incoming, Intake, Taken } from './intake.port.js';
import type { HandlingContext } from './handling-context.js';
import { messageOf, NEVER_PAUSING, subscriptionOf } from './handling-scene.spec.js';
import type { HandlerPolicies } from './subscription-options.js';
import { UnitHandling } from './unit-handling.js';
import { WorkInHand } from './work-in-hand.js';

const fail = (error: Error): never => {
  throw error;
};

function scene(messages: readonly Incoming[], policies: Partial<HandlerPolicies<never>> = {}, failures: FailurePause = NEVER_PAUSING) {
  const transcript: string[] = [];
  const warnings: string[] = [];
  const taken: Taken = { messages, hasMore: false, isMoved: true, isSuspect: false, hasStored: true };
  const deliveries = {
    failures: 0,
    failsWith: new Error('the disk is full') as Error,
    begin: async (): Promise<unknown> => ({ hasStored: true }),
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
  let forgotten = 0;
  const inbox = {
    remember: async (_tx: Transaction, { keys }: { readonly keys: readonly InboxKey[] }) => {
      forgotten -= 1;
      return keys.map(({ id }) => forgotten >= 0 || id !== 'again');
    },
    guard: async () => 'none',
    refuse: async () => undefined,
  };
  const time = new VirtualTime();
  const server = { isDown: false, isCutOff: false, isMoved: false, isConflicting: false };
  let tellings: (() => void)[] = [];
  const tx = {
    isCutOff: false,
    abort: async () => {
      await new Promise(setImmediate);
      tx.isCutOff = true;
    },
  };
  const context = {
    store: { deliveries, inbox, subscriptions: { takenTypes: async () => new Set(['order.placed', 'order.new']) } },
    runUnit: async (_options: unknown, work: (tx: Transaction) => Promise<unknown>) => {
      const before = transcript.length;
      tellings = [];
      try {
        tx.isCutOff = false;
        let value = await work(tx as unknown as Transaction);
        if (server.isConflicting) {
          server.isConflicting = false;
          value = await work(tx as unknown as Transaction);
        }
        if (server.isDown) throw new Error('the COMMIT failed');
        if (server.isCutOff) {
          server.isCutOff = false;
          throw hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default' }, { cause: new Error('the connection broke') });
        }
        for (const tell of tellings) tell();
        return value;
      } catch (error) {
        transcript.splice(before);
        throw error;
      }
    },
    afterCommit: (then: () => void) => void tellings.push(then),
    onStored: () => undefined,
    replies: { refuse: async () => undefined, give: async () => undefined },
    clock: time,
    scheduler: time,
    random: seededRandom(1),
    logger: { warn: (text: string) => void warnings.push(text), info: (text: string) => void warnings.push(text) },
    failures,
    receipts: { give: async () => undefined },
    inHand: new WorkInHand(),
  } as unknown as HandlingContext;
  const looks: string[] = [];
  const intake = (isSuspect = false): Intake => ({
    take: async (_tx, limit) => ({ ...taken, messages: messages.slice(0, limit), isSuspect }),
    retake: async (_tx, _message, { waits = false } = {}) => {
      looks.push(waits ? 'waits' : 'at once');
      return !server.isMoved;
    },
    lease: async () => undefined,
    settle: async (_messages, outcome) => void transcript.push(String(outcome)),
  });
  const handling = new UnitHandling(
    context,
    subscriptionOf(
      (id) => {
        if (id === 'bad') throw new Error('bad');
        if (id === 'no') throw new NonRetryableError('no');
        if (id === 'unknown') throw hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'other' });
        transcript.push(`handled ${id}`);
      },
      { transactional: true, idempotent: true, batchSize: 10, ...policies },
    ),
  );
  /** So many times the inbox knows nothing. */
  const forgets = (times: number) => {
    forgotten = times;
  };
  return {
    transcript,
    warnings,
    looks,
    deliveries,
    server,
    time,
    forgets,
    handle: (isSuspect?: boolean) => handling.handle(intake(isSuspect)),
    handleFrom: (take: Intake['take']) => handling.handle({ ...intake(), take }),
  };
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

describe('a batch with a message of a type that this process has no class for', () => {
  const ofType = (type: string, incoming: Incoming): Incoming => ({
    ...incoming,
    type,
    attributes: incoming.attributes.replace('order.placed', type),
  });
  const batch = (type: string) => [messageOf('1', 'k'), ofType(type, messageOf('2', 'k')), messageOf('3', 'k'), messageOf('4', 'other')];

  it.each(['block', 'skip'] as const)(
    'keeps it for another version that has one, and what comes after it in its key waits, with onDeadLetter %p',
    async (onDeadLetter) => {
      const { transcript, handle } = scene(batch('order.new'), { ordering: 'key', onDeadLetter });
      await handle();
      expect(transcript).toEqual(['handled 1', 'handled 4', 'closed 1 4', '2 retry', '3 waiting', 'ack']);
    },
  );

  it('is handled but for that one without an order of keys', async () => {
    const { transcript, handle } = scene(batch('order.new'));
    await handle();
    expect(transcript.slice(-3)).toEqual(['closed 1 3 4', '2 retry', 'ack']);
  });

  it('that no version has one for is invalid', async () => {
    const { transcript, handle } = scene(batch('order.unknown'));
    await handle();
    expect(transcript.slice(-3)).toEqual(['closed 1 3 4', '2 invalid', 'ack']);
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

describe('a COMMIT whose outcome is unknown', () => {
  const fromBroker = (id: string): Incoming => ({ ...messageOf(id, 'k'), lane: undefined });

  it.each([
    ['of the log', messageOf('unknown', 'k')],
    ['of a broker', fromBroker('unknown')],
  ])('that a handler lets through is its failure: the message %s is tried again later', async (_, message) => {
    const { transcript, looks, handle } = scene([message]);
    expect(await handle()).toBe('worked');
    expect({ transcript, looks }).toEqual({ transcript: ['unknown retry', 'ack'], looks: ['at once'] });
  });

  it('that a handler lets through makes its batch be handled one by one', async () => {
    const { transcript, handle } = scene([messageOf('unknown', 'unknown'), messageOf('2', '2')]);
    await handle();
    expect(transcript.slice(0, 2)).toEqual(['unknown retry', 'ack']);
  });

  it.each([
    [{ isMoved: false }, ['1 retry', 'ack']],
    [{ isMoved: true }, []],
  ])('is a failure when the place has not moved, once whoever was cut off has ended: %j', async (place, expected) => {
    const { transcript, looks, server, handle } = scene([messageOf('1', '1')]);
    Object.assign(server, { isCutOff: true, ...place });
    expect(await handle()).toBe('worked');
    expect({ transcript, looks }).toEqual({ transcript: expected, looks: ['waits'] });
  });

  it.each([
    [{ isMoved: false }, ['handled 1', 'closed 1', 'ack']],
    [{ isMoved: true }, []],
  ])('of a batch is found out before its messages are handled one by one: %j', async (place, expected) => {
    const { transcript, looks, server, handle } = scene([messageOf('1', '1'), messageOf('2', '2')]);
    Object.assign(server, { isCutOff: true, ...place });
    expect(await handle()).toBe('worked');
    expect({ transcript: transcript.slice(0, 3), looks }).toEqual({ transcript: expected, looks: ['waits'] });
  });

  it('leaves a batch where it is when that cannot be found out', async () => {
    const { transcript, warnings, server, handle } = scene([messageOf('1', '1'), messageOf('2', '2')]);
    Object.defineProperty(server, 'isMoved', { get: () => fail(new Error('no connection')) });
    server.isCutOff = true;
    expect(await handle()).toBe('blocked');
    expect({ transcript, warnings }).toEqual({ transcript: ['requeue'], warnings: ['messages could not be taken; it is tried again'] });
  });

  it.each([
    ['as it was not committed', { idempotent: true }, '1', ['1 retry', 'ack']],
    ['and is left to its next hand-over as a repeat when it was', { idempotent: true }, 'again', []],
    ['and nobody knows, where nothing is remembered', { idempotent: false }, '1', ['1 retry', 'ack']],
  ])('of what a broker handed over costs an attempt, %s', async (_, policies, id, expected) => {
    const { transcript, looks, server, handle, forgets } = scene([fromBroker(id)], policies);
    forgets(1);
    server.isCutOff = true;
    expect(await handle()).toBe('worked');
    expect({ transcript, looks }).toEqual({ transcript: expected, looks: expected.length > 0 ? ['at once'] : [] });
  });

  it('of a repeat that a broker handed over, or of what waits, costs nothing: it is handed over again', async () => {
    for (const [message, policies] of [
      [fromBroker('again'), {}],
      [fromBroker('1'), { ordering: 'key' }],
    ] as const) {
      const { transcript, warnings, server, deliveries, handle } = scene([message], policies);
      deliveries.lockKeys = async (_tx, { keys }) => new Set(keys);
      server.isCutOff = true;
      expect(await handle()).toBe('blocked');
      expect({ transcript, warnings }).toEqual({ transcript: ['requeue'], warnings: ['messages could not be taken; it is tried again'] });
    }
  });

  it('of a batch that a broker handed over makes each of them be handled by itself', async () => {
    const { transcript, server, handle } = scene([fromBroker('1'), fromBroker('2')]);
    server.isCutOff = true;
    expect(await handle()).toBe('worked');
    expect(transcript.slice(0, 3)).toEqual(['handled 1', 'closed 1', 'ack']);
  });
});

describe('a unit that is run again', () => {
  it('and comes to its end before it has its messages has had an attempt all the same', async () => {
    const { transcript, server, handleFrom } = scene([]);
    server.isConflicting = true;
    const messages = [messageOf('1', 'k')];
    let looks = 0;
    const take = async (): Promise<Taken> => {
      looks += 1;
      if (looks === 2) throw new Error('the connection broke');
      return { messages, hasMore: false, isMoved: true, isSuspect: false, hasStored: false };
    };
    expect(await handleFrom(take)).toBe('worked');
    expect(transcript).toEqual(['1 retry', 'ack']);
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

describe('messages that had been read ahead', () => {
  it('have their stored deliveries closed where the confirm of their place tells that there are any', async () => {
    const { transcript, handleFrom } = scene([]);
    let isConfirmed = false;
    const taken: Taken = {
      messages: [{ ...messageOf('1', 'k'), lane: 0 }],
      hasMore: false,
      isMoved: true,
      isSuspect: false,
      get hasStored() {
        return isConfirmed;
      },
      confirm: async () => {
        isConfirmed = true;
      },
    };
    await handleFrom(async () => taken);
    expect(transcript).toEqual(['handled 1', 'closed 1', 'ack']);
  });
});

describe('what a message came to is told when that is committed, and not before', () => {
  const asking = (id: string): Incoming => {
    const message = messageOf(id, 'k');
    return { ...message, attributes: JSON.stringify({ ...JSON.parse(message.attributes), replyto: 'there' }) };
  };
  const policy = { messages: 1, share: 0, delayMs: 1000, maxDelayMs: 1000 };

  it.each([
    ['delivery:refused', asking('no'), true],
    ['delivery:dead-lettered', messageOf('no', 'k'), false],
    ['delivery:retry-scheduled', messageOf('bad', 'k'), false],
    ['message:invalid', messageOf('1', 'k', 'unreadable'), true],
    ['delivery:duplicate', messageOf('again', 'k'), true],
  ] as const)('%s', async (name, message, isDelivering) => {
    const told: unknown[] = [];
    const stop = subscribe(name, ({ id }) => told.push(id));
    const logger = { warn: () => undefined } as unknown as Logger;
    const failures = new FailurePause('orders.book', policy, { clock: new VirtualTime(), random: seededRandom(1), logger });
    const { server, warnings, handle } = scene([message], {}, failures);
    server.isDown = true;
    expect(await handle()).toBe('blocked');
    const before = { told: [...told], warnings: [...warnings], isDelivering: failures.isDelivering };
    server.isDown = false;
    await handle();
    stop();
    expect(before).toEqual({ told: [], warnings: ['a failure could not be stored; the message stays where it is'], isDelivering: true });
    expect({ told, isDelivering: failures.isDelivering }).toEqual({ told: [JSON.parse(message.attributes).id], isDelivering });
  });
});

describe('a message whose schema does not answer', () => {
  const after = async (message: Incoming, policies: Partial<HandlerPolicies<never>>) => {
    const codes: unknown[] = [];
    const stops = (['delivery:retry-scheduled', 'delivery:dead-lettered'] as const).map((name) =>
      subscribe(name, ({ id, code, attempt }) => codes.push([id, code, attempt])),
    );
    const { transcript, looks, time, handle } = scene([message], { timeout: 1000, ...policies });
    const handled = handle();
    await time.advance(1000);
    await handled;
    for (const stop of stops) stop();
    return { transcript, codes, looks, handled };
  };

  it.each([
    [{ retry: 2 }, 'retry'],
    [{ retry: 1 }, 'dead'],
    [{ retry: 2, idempotent: { key: ({ orderId }: { orderId: string }) => orderId.trim() } } as never, 'retry'],
    [{ retry: 2, timeout: 5000, transactional: { timeout: 2000 } }, 'retry'],
  ])('has failed at the time-out of its handler: %j', async (policies, state) => {
    const { transcript, codes, looks, handled } = await after(messageOf('1', 'k', 'hanging'), policies);
    expect(transcript).toEqual([`1 ${state}`, 'ack']);
    expect(codes).toEqual([['1', 'HF_HANDLER_TIMEOUT', 1]]);
    expect(await handled).toBe('worked');
    // A session that was cut off may still have the place; one whose handler was not called yet was not.
    expect(looks).toEqual(['idempotent' in policies ? 'at once' : 'waits']);
  });

  it('in a batch has each of its messages handled by itself, once the session that was cut off has ended', async () => {
    const { transcript, looks, time, handle } = scene([messageOf('1', 'k', 'hanging'), messageOf('2', 'l')], { timeout: 1000 });
    const handled = handle();
    for (let n = 0; n < 4; n += 1) await time.advance(1000);
    expect(await handled).toBe('worked');
    expect({ transcript, looks }).toEqual({
      transcript: ['1 retry', 'ack', '1 retry', 'ack'],
      looks: ['waits', 'waits', 'waits'],
    });
  });
});

it('a message of which nobody knows what it is stays where it is, and that is told', async () => {
  const { transcript, warnings, deliveries, handle } = scene([{ ...messageOf('1', 'k'), lane: undefined }]);
  deliveries.begin = () => Promise.reject(new Error('the disk is full'));
  expect(await handle()).toBe('blocked');
  expect({ transcript, warnings }).toEqual({ transcript: ['requeue'], warnings: ['messages could not be taken; it is tried again'] });
});
