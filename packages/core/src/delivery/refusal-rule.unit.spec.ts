import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import type { Envelope } from '../message/envelope.js';
import { seededRandom } from '../time/random.js';
import type { OpenedMessage } from './opened-message.js';
import { decideFailure } from './refusal-rule.js';
import type { FailedAttempt, RetryPolicy } from './retry-policy.js';

const ASKED = { replyTo: 'q' };
const declined = new NonRetryableError('declined');
const forbidden = Object.assign(new Error('no'), { getStatus: () => 403 });

interface Given {
  readonly error?: unknown;
  readonly attempt?: number;
  readonly isOnlyStored?: boolean;
  readonly retryIf?: RetryPolicy['retryIf'];
}

function refuses(envelope: Partial<Envelope>, { error = declined, attempt = 1, isOnlyStored, retryIf }: Given = {}): boolean {
  const message = { incoming: {}, envelope, data: {} } as unknown as OpenedMessage;
  return decisionOf(message, { error, attempt }, { attempts: 3, retryIf, isOnlyStored }) === 'refused';
}

function decisionOf(
  message: OpenedMessage,
  failed: FailedAttempt,
  { isOnlyStored = false, ...retry }: Partial<RetryPolicy> & { readonly isOnlyStored?: boolean } = {},
): string {
  const subscription = { retry: { attempts: 3, delayMs: () => 1, ...retry } as unknown as RetryPolicy, isOnlyStored };
  return decideFailure({ subscription, message }, failed, seededRandom(1)).kind;
}

describe('a failed attempt at a request is a refusal', () => {
  it('when the handler says that trying again cannot help, at the first attempt or the last', () => {
    expect([refuses(ASKED), refuses(ASKED, { attempt: 2 }), refuses(ASKED, { attempt: 3 })]).toEqual([true, true, true]);
    expect([refuses(ASKED, { error: forbidden }), refuses({ ...ASKED, sagaId: 'o1' })]).toEqual([true, true]);
  });

  it('never where nobody gets the answer, a receipt is asked for, or something is being undone', () => {
    expect(refuses({})).toBe(false);
    expect(refuses({ ...ASKED, wantsReceipt: true })).toBe(false);
    expect(refuses({ ...ASKED, compensates: 'r-1' })).toBe(false);
    expect(refuses(ASKED, { isOnlyStored: true })).toBe(false);
  });

  it('never for an ordinary error, one of ours, or one that retryIf has to do with', () => {
    expect(refuses(ASKED, { error: new Error('the bank is closed'), attempt: 3 })).toBe(false);
    expect(refuses(ASKED, { error: new TypeError('a bug'), retryIf: () => false })).toBe(false);
    expect(refuses(ASKED, { error: hfError('HF_REQUEST_REJECTED', { type: 'a', reason: 'no' }) })).toBe(false);
    expect(refuses(ASKED, { error: forbidden, attempt: 3, retryIf: () => true })).toBe(false);
    expect(refuses(ASKED, { retryIf: () => true })).toBe(true);
  });

  it('never of a message that nobody can read', () => {
    const unread = { incoming: {}, envelope: ASKED, error: declined } as unknown as OpenedMessage;
    expect(decisionOf(unread, { error: declined, attempt: 1 })).toBe('dead');
  });
});

describe('retryIf is asked once of a failed attempt', () => {
  const asked = { incoming: {}, envelope: ASKED, data: {} } as unknown as OpenedMessage;
  const event = { incoming: {}, envelope: {}, data: {} } as unknown as OpenedMessage;

  it.each([
    ['at which trying again may help', asked, new Error('busy'), 1, true, 'retry'],
    ['that it has nothing more to hope from', asked, new Error('a bug'), 2, false, 'dead'],
    ['that may be a refusal', asked, forbidden, 1, false, 'refused'],
    ['that may be one, at the last attempt', asked, forbidden, 3, true, 'dead'],
    ['that nobody gets as an answer', event, forbidden, 1, true, 'retry'],
  ])('%s', (_, message, error, attempt, word, decision) => {
    const calls: unknown[] = [];
    const retryIf = (...given: unknown[]) => {
      calls.push(given);
      return word;
    };
    expect([decisionOf(message, { error, attempt }, { retryIf }), calls]).toEqual([decision, [[error, attempt]]]);
  });

  it('and not where its word changes nothing', () => {
    const calls: unknown[] = [];
    const retryIf = (error: unknown) => {
      calls.push(error);
      return true;
    };
    expect(decisionOf(asked, { error: new Error('busy'), attempt: 3 }, { retryIf })).toBe('dead');
    expect(decisionOf(asked, { error: declined, attempt: 1 }, { retryIf })).toBe('refused');
    expect(calls).toEqual([]);
  });
});
