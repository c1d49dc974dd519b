import { NonRetryableError } from '../errors/non-retryable-error.js';
import type { RememberedRequest, RequestMemory } from '../inbox/inbox.store.port.js';
import type { Envelope } from '../message/envelope.js';
import { limitsFrom } from '../message/limits.js';
import type { Transaction } from '../unit-of-work/transaction.port.js';
import { type RefusedRequest, refuseRequest } from './refused-request.js';

const DAY_MS = 86_400_000;
const OF_SAGA = { id: 'r-1', source: 'shop', sagaId: 'o1', replyTo: 'holdfast.saga-reply.shop' } as Envelope;
const PLAIN = { ...OF_SAGA, sagaId: undefined } as Envelope;
const REMEMBERED = { ttlMs: 7 * DAY_MS, key: undefined } as RefusedRequest['subscription']['idempotency'];
const declined = new NonRetryableError('card declined', { details: { limit: 10 } });

interface Given {
  readonly isUndoable?: boolean;
  readonly envelope?: Envelope;
  readonly idempotency?: RefusedRequest['subscription']['idempotency'];
}

function refused(memory: RequestMemory, { isUndoable = false, envelope = OF_SAGA, idempotency }: Given = {}) {
  const asked: RememberedRequest[] = [];
  const kept: unknown[] = [];
  const inbox = {
    guard: async (_: Transaction, request: RememberedRequest) => {
      asked.push(request);
      return memory;
    },
    refuse: async (_: Transaction, { result }: { readonly result: string }) => void kept.push(JSON.parse(result)),
  };
  const subscription = { spec: { id: 7 }, idempotency, undoes: undefined, isUndoable, limits: limitsFrom() };
  const about = { subscription: subscription as unknown as RefusedRequest['subscription'], envelope, error: declined };
  return { asked, kept, answer: refuseRequest(inbox, {} as Transaction, about) };
}

const refusal = (isDefinite: boolean) => ({
  refusal: { code: 'NonRetryableError', message: 'card declined', details: { limit: 10 }, isDefinite },
});

describe('the answer to a request of a saga that was refused', () => {
  it('is kept, and definite, where nothing was remembered of it', async () => {
    const { kept, answer } = refused('none');
    expect([await answer, kept]).toEqual([refusal(true), [refusal(true)]]);
  });

  it('is neither where it was begun outside any transaction: a person who has the step tried again has it called again', async () => {
    const { kept, answer } = refused('begun');
    expect([await answer, kept]).toEqual([refusal(false), []]);
  });

  it.each(['done', 'claimed', 'cancelled', 'undoing', 'compensated'] as const)(
    'is that of another copy where the memory says %p: it is looked at again, and nothing is kept',
    async (memory) => {
      const { kept, answer } = refused(memory);
      await expect(answer).rejects.toMatchObject({ code: 'HF_IDEMPOTENT_IN_PROGRESS' });
      expect(kept).toEqual([]);
    },
  );

  it('is remembered for a year where nobody undoes it, because nobody bounds its age', async () => {
    const [lone, undoable] = [refused('none'), refused('none', { isUndoable: true })];
    await Promise.all([lone.answer, undoable.answer]);
    expect(lone.asked[0]?.keepMs).toBe(365 * DAY_MS);
    expect(undoable.asked[0]?.keepMs).toBe(8 * DAY_MS);
  });
});

describe('the answer to a request of nobody’s saga', () => {
  it('is kept as long as its handler remembers, and says nothing of what is left behind', async () => {
    const { asked, kept, answer } = refused('none', { envelope: PLAIN, idempotency: REMEMBERED });
    expect([await answer, kept, asked[0]?.keepMs]).toEqual([refusal(false), [refusal(false)], 7 * DAY_MS]);
  });

  it('is not kept where the handler remembers nothing, or a business key that others have too', async () => {
    const byOrder = { ...REMEMBERED, key: () => 'order-1' } as RefusedRequest['subscription']['idempotency'];
    for (const idempotency of [undefined, byOrder]) {
      const { asked, kept, answer } = refused('none', { envelope: PLAIN, idempotency });
      expect([await answer, asked, kept]).toEqual([refusal(false), [], []]);
    }
  });
});
