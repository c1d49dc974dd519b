import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { limitsFrom } from '../message/limits.js';
import { subscribe } from '../monitoring/events.js';
import type { Logger } from '../monitoring/logger.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import type { DeliveryRecord, KeyLock, SucceededMessage } from './delivery.store.port.js';
import { FailureRecorder } from './failure-recorder.js';
import type { Incoming } from './intake.port.js';
import type { OpenedMessage } from './opened-message.js';
import type { HandlingContext } from './handling-context.js';
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
  const tellings: (() => void)[] = [];
  const context = {
    store: { deliveries },
    logger: { warn },
    afterCommit: (then: () => void) => void tellings.push(then),
    replies: { refuse: async () => undefined },
    receipts: { give: async () => undefined },
  } as unknown as HandlingContext;
  const subscription = { spec: { id: 1, name: 'reader' }, retry: { attempts: LIMIT }, onDeadLetter } as unknown as Subscription;
  const commit = () => {
    transcript.push('COMMIT');
    for (const tell of tellings) tell();
  };
  return { recorder: new FailureRecorder(context, subscription), transcript, stored, commit };
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

describe('a message whose handler asked for what cannot be any more', () => {
  it.each([
    hfError('HF_SAGA_NOT_RUNNING', { id: 'o1', status: 'completed', step: 'none' }),
    hfError('HF_SAGA_NOT_PARKED', { action: 'resume', id: 'o1', status: 'completed', step: 'none' }),
    hfError('HF_TCC_NOT_PARKED', { action: 'retry', id: 'b1', status: 'confirmed' }),
  ])('is a dead letter at once: $code', async (error) => {
    const { recorder, stored } = scene();
    const message = { ...messageOf({ attempts: 0 }, 'k'), data: {} } as unknown as OpenedMessage;
    await recorder.record(tx, message, error);
    expect(stored).toMatchObject([{ state: 'dead', attempts: 1, failure: { code: error.code } }]);
  });
});

describe('what ends without an attempt', () => {
  it.each([
    ['skip', ['freed k', 'COMMIT', 'dead letter: HF_HANDLER_UNSETTLED_KILLED']],
    ['block', ['COMMIT', 'dead letter: HF_HANDLER_UNSETTLED_KILLED']],
  ] as const)('is told when it is committed, and with onDeadLetter %p: %j', async (onDeadLetter, expected) => {
    const { recorder, transcript, stored, commit } = scene(onDeadLetter);
    const codes: string[] = [];
    const unsubscribe = subscribe('delivery:dead-lettered', ({ code }) => codes.push(code));
    const dead = recorder.usedUp(messageOf({ attempts: LIMIT }, 'k'));
    await recorder.recordUnattempted(tx, dead === undefined ? [] : [dead]);
    expect(codes).toEqual([]);
    commit();
    unsubscribe();
    expect({ transcript, codes, stored }).toEqual({ transcript: expected, codes: ['HF_HANDLER_UNSETTLED_KILLED'], stored: [dead] });
  });

  it('but only waits frees nothing and is not told', async () => {
    const { recorder, transcript, stored, commit } = scene('skip');
    await recorder.recordUnattempted(tx, [recorder.waiting(messageOf({ attempts: 0 }, 'k'))]);
    commit();
    expect({ transcript, states: stored.map(({ state }) => state) }).toEqual({ transcript: ['COMMIT'], states: ['waiting'] });
  });
});

interface Asking {
  readonly error: unknown;
  /** What is remembered of the request. */
  readonly recalled?: { readonly isUndone: boolean; readonly result: string | undefined };
  readonly isUndoable?: boolean;
  readonly deliveryId?: string;
  readonly sagaId?: string;
}

/** A request whose first attempt failed; what is stored, closed, answered, told and logged of it. */
async function asking({ error, recalled, isUndoable = false, deliveryId = 'd1', sagaId = 's' }: Asking) {
  const end = { stored: [] as string[], closed: [] as (string | undefined)[], answers: [] as string[], lines: [] as string[] };
  const codeOf = (answer: unknown) => (answer as { refusal: { code: string } }).refusal.code;
  const line = (level: string) => (text: string) => void end.lines.push(`${level} ${text}`);
  const tellings: (() => void)[] = [];
  const context = {
    afterCommit: (then: () => void) => void tellings.push(then),
    clock: { now: () => new Date(0) },
    logger: { info: line('info'), warn: line('warn') },
    failures: { failed: () => end.lines.push('counts as failed'), succeeded: () => end.lines.push('counts as dealt with') },
    replies: {
      give: async (_: unknown, answer: unknown) => void end.answers.push(codeOf(answer)),
      refuse: async (_: unknown, thrown: Error) => void end.answers.push(`${thrown.name}, it is stored`),
    },
    receipts: { give: async () => undefined },
    store: {
      inbox: { recall: async () => recalled, guard: async () => 'none', refuse: async () => undefined },
      deliveries: {
        record: async (_: Transaction, records: readonly DeliveryRecord[]) => void end.stored.push(...records.map(({ state }) => state)),
        close: async (_: Transaction, _rule: unknown, messages: readonly SucceededMessage[]) =>
          void end.closed.push(...messages.filter(({ isDropped }) => isDropped).map((each) => each.deliveryId)),
      },
    },
  } as unknown as HandlingContext;
  const spec = { id: 1, name: 'cards', types: [] };
  const policies = { retry: { attempts: 1 }, limits: limitsFrom(), isUndoable, onDeadLetter: 'block', timeoutMs: 1 };
  const message = messageOf({ attempts: 0, deliveryId });
  const asked = { ...message, envelope: { ...message.envelope, sagaId, replyTo: 'saga' }, data: {} } as unknown as OpenedMessage;
  const told: string[] = [];
  const names = ['delivery:refused', 'delivery:dead-lettered'] as const;
  const stops = names.map((name) => subscribe(name, ({ id, attempt, code }) => told.push(`${name} ${id} ${attempt} ${code}`)));
  await new FailureRecorder(context, { spec, ...policies } as unknown as Subscription).record(tx, asked, error);
  // Whatever is said before that may turn out to be wrong.
  expect([told, end.lines]).toEqual([[], []]);
  for (const tell of tellings) tell();
  for (const stop of stops) stop();
  return { ...end, told };
}

const declined = new NonRetryableError('declined');

describe('a request whose attempt failed', () => {
  it('because its handler refused it is answered and told, is stored nowhere, and says nothing against the handler', async () => {
    expect(await asking({ error: declined })).toEqual({
      stored: [],
      closed: ['d1'],
      answers: ['NonRetryableError'],
      lines: ['info a request was refused', 'counts as dealt with'],
      told: ['delivery:refused m1 1 NonRetryableError'],
    });
  });

  it('because of a fault is a dead letter, whoever was told of it', async () => {
    expect(await asking({ error: new Error('the bank is closed') })).toEqual({
      stored: ['dead'],
      closed: [],
      answers: ['Error, it is stored'],
      lines: ['warn dead letter', 'counts as failed'],
      told: ['delivery:dead-lettered m1 1 Error'],
    });
  });

  it.each([
    [undefined, 'HF_REQUEST_UNDONE', ['warn a request was dropped, because it was undone']],
    ['{"refusal":{"code":"CARD"}}', 'CARD', []],
  ] as const)('and was undone or refused meanwhile, with %p kept, is answered with that and dropped', async (result, code, lines) => {
    const end = await asking({ error: declined, isUndoable: true, recalled: { isUndone: true, result } });
    expect(end).toEqual({ stored: [], closed: ['d1'], answers: [code], lines, told: [] });
  });
});
