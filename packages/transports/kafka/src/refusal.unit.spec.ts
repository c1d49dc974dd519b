import { hfError } from '@holdfast/core';
import { KafkaJSNonRetriableError, KafkaJSNumberOfRetriesExceeded, KafkaJSProtocolError } from 'kafkajs';
import { isFinal, produceFailureOf, refusalIn } from './refusal.js';

/** What the broker says, as kafkajs wraps it. */
function said(type: string): Error {
  const error = Object.assign(new KafkaJSProtocolError(new Error(type)), { type });
  return Object.assign(new KafkaJSNonRetriableError(new Error('x')), { cause: error });
}

describe('an error of kafkajs', () => {
  it.each([
    ['MESSAGE_TOO_LARGE', 'refused'],
    ['TOPIC_AUTHORIZATION_FAILED', 'refused'],
    ['UNKNOWN_TOPIC_OR_PARTITION', 'no-topic'],
    ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 'unknown'],
    ['REQUEST_TIMED_OUT', 'unknown'],
  ])('that says %s of a publish means %s', (type, failure) => {
    expect(produceFailureOf(said(type))).toBe(failure);
  });

  it('that calls itself non-retriable, or has given up, means that nobody knows', () => {
    expect(produceFailureOf(new KafkaJSNonRetriableError(new Error('Connection error: connect ECONNREFUSED')))).toBe('unknown');
    expect(produceFailureOf(new KafkaJSNumberOfRetriesExceeded(new Error('x'), { retryCount: 1, retryTime: 1 }))).toBe('unknown');
    expect(produceFailureOf('text')).toBe('unknown');
  });

  it('is an error of Holdfast: of a service that is not let in, or of a broker that is out of reach', () => {
    expect(refusalIn(said('SASL_AUTHENTICATION_FAILED'), 'a:1')).toMatchObject({ code: 'HF_BROKER_REFUSED', details: { address: 'a:1' } });
    expect(refusalIn(said('TRANSACTIONAL_ID_AUTHORIZATION_FAILED'), 'a:1')).toMatchObject({ code: 'HF_BROKER_REFUSED' });
    expect(refusalIn(said('INVALID_TRANSACTION_TIMEOUT'), 'a:1')).toMatchObject({
      code: 'HF_BROKER_REFUSED',
      message: expect.stringMatching(/the timeout of @Transactional.* transaction\.max\.timeout\.ms/),
    });
    expect(refusalIn(new Error('ECONNREFUSED'), 'a:1')).toMatchObject({ code: 'HF_BROKER_UNREACHABLE' });
    const own = hfError('HF_BROKER_UNANSWERED', { request: 'x', timeoutMs: 1 });
    expect(refusalIn(own, 'a:1')).toBe(own);
  });

  it('ends a start at once where asking again cannot help', () => {
    expect(isFinal(refusalIn(said('SASL_AUTHENTICATION_FAILED'), 'a:1'))).toBe(true);
    expect(isFinal(hfError('HF_CAPABILITY_UNSUPPORTED', { feature: 'x', provider: 'y' }))).toBe(true);
    expect(isFinal(refusalIn(new Error('ECONNREFUSED'), 'a:1'))).toBe(false);
  });
});
