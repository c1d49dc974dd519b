import fc from 'fast-check';
import { hfError } from '../errors/catalogue.js';
import { NonRetryableError } from '../errors/non-retryable-error.js';
import { ownSubscription } from '../delivery/own-subscription.js';
import { decodeData } from '../message/codec.js';
import { limitsFrom } from '../message/limits.js';
import { describeMessages } from '../message/message-class.js';
import { sagaReplyType } from '../saga/saga-messages.js';
import { seededRandom } from '../time/random.js';
import { VirtualTime } from '../testing/virtual-time.js';
import { type Answer, answerFrom, answerWith, bodyOf, keptText, refusalFor, REPLY_TYPE, replyValue } from './answer.js';
import { replyOf } from './replies.js';

const LIMITS = limitsFrom({ bodyBytes: 1000, depth: 3 });
const about = { type: 'card.charge', id: 'r-1' };
const read = (answer: Answer) => replyValue(bodyOf(answer), about, LIMITS);
/** What the service of a saga reads that has asked. */
const readBySaga = (answer: Answer, limits = limitsFrom()) => {
  const replyTo = sagaReplyType('shop');
  const reply = replyOf({ ...about, replyTo, correlationId: 'c' }, answer, {
    service: 'card',
    clock: new VirtualTime(),
    random: seededRandom(1),
  });
  return { ...(decodeData(reply, describeMessages(ownSubscription('replies', replyTo, 'default').types), limits) as object) };
};
const nested = (levels: number): Record<string, never> => JSON.parse(`${'{"a":'.repeat(levels - 1)}{}${'}'.repeat(levels - 1)}`);
const failure = (work: () => unknown): { code?: string; message?: string; details?: unknown } => {
  try {
    work();
  } catch (error) {
    return error as { code: string };
  }
  return {};
};

describe('an answer', () => {
  it('comes back as JSON carries it, at once and after it was kept', () => {
    const value = fc.jsonValue({ maxDepth: 2 }).filter((each) => JSON.stringify(each).length < 900);
    fc.assert(
      fc.property(fc.option(value, { nil: undefined }), (given) => {
        const expected = given === undefined ? undefined : JSON.parse(JSON.stringify(given));
        const answer = answerWith(given, LIMITS);
        fc.pre(!('refusal' in answer));
        expect(read(answer)).toEqual(expected);
        expect(read(answerFrom(keptText(answer)))).toEqual(expected);
      }),
    );
  });

  it.each([62, 63, 64])('of %d levels is read by a saga, or told to be more than can be sent', (levels) => {
    const answer = answerWith(nested(levels), limitsFrom());
    const expected = levels <= 63 ? { value: nested(levels) } : { refusal: { code: 'HF_REPLY_UNSENDABLE' } };
    expect(readBySaga(answer)).toMatchObject(expected);
  });

  it('of as many bytes as there may be is read by a saga', () => {
    const [fits, more] = [986, 989].map((length) => 'x'.repeat(length));
    expect(readBySaga(answerWith(fits, LIMITS), LIMITS)).toEqual({ value: fits });
    expect(readBySaga(answerWith(more, LIMITS), LIMITS)).toMatchObject({ refusal: { code: 'HF_REPLY_UNSENDABLE' } });
  });

  it('keeps nothing of a handler that returned nothing', () => {
    expect(keptText(answerWith(undefined, LIMITS))).toBeUndefined();
  });

  it.each<[string, unknown, RegExp]>([
    ['is too large', 'x'.repeat(1000), /it has 1002 bytes, the limit is 990/],
    ['is nested too deep', [[[[1]]]], /it is nested 4 levels deep, the limit is 2/],
    ['has a BigInt in it', { total: 1n }, /total: a BigInt/],
    ['would change a prototype', JSON.parse('{"__proto__":{"isAdmin":true}}'), /__proto__/],
    ['refuses to be written', { toJSON: () => { throw new Error('not me'); } }, /not me/], // biome-ignore format: one row each
  ])('of a value that %s says that the work is done and the reply is not', (_, value, reason) => {
    const answer = answerWith(value, LIMITS);
    for (const one of [answer, answerFrom(keptText(answer))]) {
      expect(failure(() => read(one))).toMatchObject({ code: 'HF_REPLY_UNSENDABLE', message: expect.stringMatching(reason) });
    }
  });
});

describe('a refusal', () => {
  it('carries code and message, and details only of a NonRetryableError', () => {
    const own = new NonRetryableError('no such order', { details: { orderId: 'o-1' } });
    expect(failure(() => read(refusalFor(own, LIMITS)))).toMatchObject({
      code: 'HF_REQUEST_REJECTED',
      details: { ...about, code: 'NonRetryableError', reason: 'no such order', details: { orderId: 'o-1' } },
    });
    const other = hfError('HF_HANDLER_TIMEOUT', { subscription: 'cards', timeoutMs: 5 });
    expect(failure(() => read(refusalFor(other, LIMITS))).details).toMatchObject({ code: 'HF_HANDLER_TIMEOUT', details: {} });
  });

  it.each([1, 2, 61, 62, 63, 64, 65])('is read by whoever asked, whatever its details of %d levels', (levels) => {
    const limits = limitsFrom();
    const refused = refusalFor(new NonRetryableError('no', { details: nested(levels) }), limits);
    const isCarried = levels <= 62;
    expect(failure(() => replyValue(bodyOf(refused), about, limits))).toMatchObject({
      code: 'HF_REQUEST_REJECTED',
      details: { reason: 'no', details: isCarried ? nested(levels) : {} },
    });
    expect(readBySaga(refused)).toMatchObject({ refusal: { message: 'no' } });
  });

  it('tells its reason without details for which there is no room beside it', () => {
    const message = 'm'.repeat(500);
    const error = new NonRetryableError(message, { details: { text: 'x'.repeat(450) } });
    expect(failure(() => read(refusalFor(error, LIMITS))).details).toMatchObject({ reason: message, details: {} });
  });

  it('tells its reason without details that cannot be carried', () => {
    const error = new NonRetryableError('too much', { details: { text: 'x'.repeat(1000) } });
    expect(failure(() => read(refusalFor(error, LIMITS))).details).toMatchObject({ reason: 'too much', details: {} });
  });
});

describe('a reply of unknown origin', () => {
  it.each<[string, string, Buffer]>([
    ['another type', 'order.placed', Buffer.from('{"message":"x"}')],
    ['a refusal without a reason', 'holdfast.refusal', Buffer.from('{}')],
    ['no UTF-8', REPLY_TYPE, Buffer.from([0xff, 0xfe])],
    ['no JSON', REPLY_TYPE, Buffer.from('{"a":')],
    ['more bytes than the limit', REPLY_TYPE, Buffer.from(`"${'x'.repeat(2000)}"`)],
    ['deeper nesting than the limit', REPLY_TYPE, Buffer.from('[[[[[[1]]]]]]')],
    ['a prototype', REPLY_TYPE, Buffer.from('{"__proto__":{}}')],
  ])('with %s is told as one that cannot be read', (_, type, body) => {
    expect(failure(() => replyValue({ type, body }, about, LIMITS))).toMatchObject({ code: 'HF_REPLY_UNREADABLE', details: about });
  });
});
