import { NonRetryableError } from '../errors/non-retryable-error.js';
import type { RememberedRequest, RequestMemory } from '../inbox/inbox.store.port.js';
import type { Envelope } from '../message/envelope.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { isRefusedForGood, type RefusedRequest } from './definite-refusal.js';

const DAY_MS = 86_400_000;
const ENVELOPE = { id: 'r-1', source: 'shop', sagaId: 'o1', replyTo: 'holdfast.saga-reply.shop' } as Envelope;
const declined = new NonRetryableError('card declined');

function refused(
  memory: RequestMemory,
  {
    isUndoable = false,
    envelope = ENVELOPE,
    error = declined as unknown,
  }: { isUndoable?: boolean; envelope?: Envelope; error?: unknown } = {},
) {
  const asked: RememberedRequest[] = [];
  const guard = async (_: Transaction, request: RememberedRequest) => {
    asked.push(request);
    return memory;
  };
  const subscription = {
    spec: { id: 7 },
    idempotency: undefined,
    undoes: undefined,
    isUndoable,
  } as unknown as RefusedRequest['subscription'];
  return { asked, answer: isRefusedForGood({ guard }, {} as Transaction, { subscription, envelope, error }) };
}

it('a refusal is definite when nothing is remembered of the request, and only then', async () => {
  expect(await refused('none').answer).toBe(true);
  expect(await refused('done').answer).toBe(false);
  await expect(refused('undoing').answer).rejects.toMatchObject({ code: 'HF_IDEMPOTENT_IN_PROGRESS' });
});

it('what is no request of a saga, and what may be tried again, is not asked about', async () => {
  for (const other of [{ envelope: { ...ENVELOPE, sagaId: undefined } as Envelope }, { error: new Error('not now') }]) {
    const { asked, answer } = refused('none', other);
    expect([await answer, asked]).toEqual([false, []]);
  }
});

it('a refusal by a handler that nobody undoes is remembered for a year, because its dead letter may be redriven at any age', async () => {
  const [kept, undoable] = [refused('none'), refused('none', { isUndoable: true })];
  await Promise.all([kept.answer, undoable.answer]);
  expect(kept.asked[0]?.keepMs).toBe(365 * DAY_MS);
  expect(undoable.asked[0]?.keepMs).toBe(8 * DAY_MS);
});
