import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { limitsFrom } from '../message/limits.js';
import { subscribe } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { DeliveryRecord, KeyLock } from './delivery.store.port.js';
import { FailureRecorder } from './failure-recorder.js';
import type { Incoming } from './intake.port.js';
import type { OpenedMessage } from './opened-message.js';
import type { PipelineContext } from './pipeline-context.js';
import type { Subscription } from './subscription.js';

const LIMIT = 3;
const tx = {} as Transaction;

function scene(onDeadLetter: Subscription['onDeadLetter'] = 'block') {
  const transcript: string[] = [];
  const stored: DeliveryRecord[] = [];
  const deliveries = {
    record: async (_tx: Transaction, records: readonly DeliveryRecord[]) => void stored.push(...records),
    free: async (_tx: Transaction, { keys }: KeyLock) => void transcript.push(`freed ${keys.join(' ')}`),
  };
  const warn: Logger['warn'] = (text, fields) => void transcript.push(`${text}: ${String(fields?.code)}`);
  const context = {
    store: { deliveries },
    logger: { warn },
    replies: { refuse: async () => undefined },
    receipts: { give: async () => undefined },
  } as unknown as PipelineContext;
  const subscription = { spec: { id: 1, name: 'reader' }, retry: { attempts: LIMIT }, onDeadLetter } as unknown as Subscription;
  return { recorder: new FailureRecorder(context, subscription), transcript, stored };
}

function messageOf(incoming: Partial<Incoming>, key?: string): OpenedMessage {
  return {
    incoming: { type: 'order', ...incoming },
    envelope: { source: 'shop', id: 'm1', key },
    error: undefined,
  } as unknown as OpenedMessage;
}

describe('a message whose attempts', () => {
  it.each([true, false])('are left is attempted: with a stored failure %p', (hasFailure) => {
    expect(scene().recorder.usedUp(messageOf({ attempts: LIMIT - 1, hasFailure }))).toBeUndefined();
  });

  it('ended with the process is a dead letter that says so', () => {
    expect(scene().recorder.usedUp(messageOf({ attempts: LIMIT }))).toMatchObject({
      state: 'dead',
      attempts: LIMIT,
      failure: {
        code: 'HF_HANDLER_UNSETTLED_KILLED',
        message: expect.stringContaining('The process ended while reader had this message in work, and its 3 attempts are used up.'),
      },
    });
  });

  it.each([LIMIT, LIMIT + 4])('were %d when the limit was lowered is a dead letter with the failure it had', (attempts) => {
    expect(scene().recorder.usedUp(messageOf({ attempts, hasFailure: true }))).toMatchObject({
      state: 'dead',
      attempts,
      failure: undefined,
      error: { code: 'HF_HANDLER_ATTEMPTS_LOWERED', details: { attempts, limit: LIMIT } },
    });
  });
});

describe('a message whose key another call holds', () => {
  it.each([true, false])('is tried again without counting, and is as suspect as it was: counted in advance %p', async (isCounted) => {
    const { recorder, stored } = scene();
    const message = { ...messageOf({ attempts: 1, isCounted }, 'k'), data: {} } as unknown as OpenedMessage;
    await recorder.record(tx, message, hfError('HF_IDEMPOTENT_IN_PROGRESS', { key: 'm1' }));
    expect(stored).toMatchObject([{ state: 'retry', attempts: 1, isSuspect: isCounted }]);
  });
});

describe('what ends without an attempt', () => {
  it.each([
    ['skip', ['freed k', 'dead letter: HF_HANDLER_UNSETTLED_KILLED']],
    ['block', ['dead letter: HF_HANDLER_UNSETTLED_KILLED']],
  ] as const)('is told, and with onDeadLetter %p: %j', async (onDeadLetter, expected) => {
    const { recorder, transcript, stored } = scene(onDeadLetter);
    const codes: string[] = [];
    const unsubscribe = subscribe('delivery:dead-lettered', ({ code }) => codes.push(code));
    const dead = recorder.usedUp(messageOf({ attempts: LIMIT }, 'k'));
    await recorder.put(tx, dead === undefined ? [] : [dead]);
    unsubscribe();
    expect({ transcript, codes, stored }).toEqual({ transcript: expected, codes: ['HF_HANDLER_UNSETTLED_KILLED'], stored: [dead] });
  });

  it('but only waits frees nothing and is not told', async () => {
    const { recorder, transcript, stored } = scene('skip');
    await recorder.put(tx, [recorder.waiting(messageOf({ attempts: 0 }, 'k'))]);
    expect({ transcript, states: stored.map(({ state }) => state) }).toEqual({ transcript: [], states: ['waiting'] });
  });
});

describe('a request of a saga whose attempt failed', () => {
  it.each([
    [true, { stored: 0, closed: ['d1'], codes: ['HF_REQUEST_UNDONE'] }],
    [false, { stored: 1, closed: [], codes: [] }],
  ])('and that was undone meanwhile %p: %j', async (isUndone, expected) => {
    const [stored, closed, codes]: [unknown[], unknown[], unknown[]] = [[], [], []];
    const context = {
      clock: { now: () => new Date(0) },
      logger: { warn: () => undefined },
      failures: { failed: () => undefined },
      replies: {
        give: async (_request: unknown, { refusal }: { refusal: { code: string } }) => void codes.push(refusal.code),
        refuse: async () => undefined,
      },
      receipts: { give: async () => undefined },
      store: {
        inbox: { recall: async () => ({ isUndone, result: undefined }), guard: async () => 'none' },
        deliveries: {
          record: async (_tx: Transaction, records: readonly DeliveryRecord[]) => void stored.push(...records),
          close: async (_tx: Transaction, _rule: unknown, messages: readonly { deliveryId?: string; isDropped?: boolean }[]) =>
            void closed.push(...messages.filter(({ isDropped }) => isDropped).map(({ deliveryId }) => deliveryId)),
        },
      },
    } as unknown as PipelineContext;
    const subscription = {
      spec: { id: 1, name: 'cards', types: [] },
      retry: { attempts: LIMIT },
      limits: limitsFrom(),
      isUndoable: true,
      onDeadLetter: 'block',
      timeoutMs: 1,
    } as unknown as Subscription;
    const message = messageOf({ attempts: 0, deliveryId: 'd1' });
    const asked = { ...message, envelope: { ...message.envelope, sagaId: 's', replyTo: 'saga' }, data: {} } as unknown as OpenedMessage;
    await new FailureRecorder(context, subscription).record(tx, asked, new NonRetryableError('declined'));
    expect({ stored: stored.length, closed, codes }).toEqual(expected);
  });
});
