import fc from 'fast-check';
import { applicationFrame, describeFailure, MESSAGE_BYTES, STACK_BYTES } from './describe-failure.js';
import { NonRetryableError } from './non-retryable-error.js';

function withStack(frames: readonly string[], error: Error = new Error('boom')): Error {
  error.stack = `${error.name}: ${error.message}\n${frames.map((frame) => `    at ${frame}`).join('\n')}`;
  return error;
}

describe('describeFailure', () => {
  it('names code, type, message and stack', () => {
    class PaymentDeclined extends Error {}
    const failure = describeFailure(Object.assign(new PaymentDeclined('limit reached'), { code: 'E_LIMIT' }));
    expect(failure).toMatchObject({ code: 'E_LIMIT', errorType: 'PaymentDeclined', message: 'limit reached' });
    expect(failure.stack).toMatch(/^PaymentDeclined: limit reached\n {4}at .*describe-failure\.unit\.spec/);
  });

  it('describes what is no error', () => {
    expect(describeFailure('boom')).toMatchObject({ code: 'string', errorType: 'string', message: 'boom', stack: undefined });
    expect(describeFailure(null)).toMatchObject({ errorType: 'null', message: 'null', stack: undefined });
    expect(describeFailure({ reason: 1 })).toMatchObject({ errorType: 'Object', message: '{"reason":1}' });
  });

  it('keeps message and stack within their bytes, and whole characters only', () => {
    const failure = describeFailure(
      withStack(
        Array.from({ length: 1000 }, () => 'fn (/app/ü.js:1:1)'),
        new Error('ü🙂'.repeat(5000)),
      ),
    );
    expect(Buffer.byteLength(failure.message)).toBeLessThanOrEqual(MESSAGE_BYTES);
    expect(Buffer.byteLength(failure.message)).toBeGreaterThan(MESSAGE_BYTES - 4);
    expect(Buffer.byteLength(failure.stack as string)).toBeLessThanOrEqual(STACK_BYTES);
    expect(failure.message).toMatch(/^(ü🙂)+ü?$/u);
    for (const lead of ['', 'x', 'xx', 'xxx']) expect(describeFailure(new Error(lead + '🙂'.repeat(5000))).message).toMatch(/^x*🙂+$/u);
  });

  it('keeps the frames of an error whose message is longer than a stack may be', () => {
    const failure = describeFailure(withStack(['charge (/app/billing.js:1:1)'], new Error('x'.repeat(100_000))));
    expect(failure.stack).toContain('at charge (/app/billing.js:1:1)');
  });

  it('is storable as text: without NUL and without half a surrogate pair, for any message', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 3000 }), fc.boolean(), (text, isError) => {
        const failure = describeFailure(isError ? new Error(`\0\ud800${text}`) : `\0\ud800${text}`);
        for (const field of [failure.message, failure.stack ?? '']) {
          expect(field).not.toContain('\0');
          expect(Buffer.from(field).toString()).toBe(field);
        }
      }),
    );
  });

  it('never throws on values that throw when they are looked at', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(describeFailure(proxy)).toMatchObject({ errorType: 'object', stack: undefined });
  });
});

describe('the fingerprint', () => {
  const of = (frames: readonly string[], error?: Error): string => describeFailure(withStack(frames, error)).fingerprint;

  it('is the same for another line, another directory and another message', () => {
    const first = of(['Billing.charge (/app/dist/billing/billing.service.js:10:5)'], new Error('order 1'));
    const second = of(['async Billing.charge (/home/ci/build/billing/billing.service.js:99:1)'], new Error('order 2'));
    expect(second).toBe(first);
    expect(first).toMatch(/^[0-9a-f]{16}$/);
  });

  it('differs by function, file, type and code', () => {
    const frame = 'Billing.charge (/app/billing.js:1:1)';
    const all = [
      of([frame]),
      of(['Billing.refund (/app/billing.js:1:1)']),
      of(['Billing.charge (/app/orders.js:1:1)']),
      of([frame], new TypeError('boom')),
      of([frame], new NonRetryableError('boom')),
      of([frame], Object.assign(new Error('boom'), { code: '23505' })),
    ];
    expect(new Set(all).size).toBe(all.length);
  });

  it('skips frames of Node and of dependencies', () => {
    const noise = [
      'Parser.parse (/app/node_modules/pg-protocol/dist/parser.js:285:98)',
      'node:internal/process/task_queues:95:5',
      'new Promise (<anonymous>)',
      'Socket.emit (node:events:519:28)',
    ];
    expect(of([...noise, 'Billing.charge (/app/billing.js:1:1)'])).toBe(of(['Billing.charge (/app/billing.js:7:7)']));
  });

  it('is not led astray by a message that looks like frames', () => {
    const error = new Error('boom\n    at fake (/app/fake.js:1:1)');
    expect(of(['Billing.charge (/app/billing.js:1:1)'], error)).toBe(of(['Billing.charge (/app/billing.js:1:1)']));
  });
});

describe('applicationFrame', () => {
  it.each([
    ['    at charge (/app/src/billing.js:10:5)', 'charge src/billing.js'],
    ['    at /app/src/billing.js:10:5', ' src/billing.js'],
    ['    at async Billing.charge (file:///app/src/billing.js?t=17:10:5)', 'Billing.charge src/billing.js'],
    ['    at new Billing (C:\\app\\src\\billing.js:10:5)', 'Billing src/billing.js'],
    ['    at Billing.charge [as handler] (/app/src/billing.js:10:5)', 'Billing.charge src/billing.js'],
    ['    at async Promise.all (index 0)', ''],
    ['    at Array.map (<anonymous>)', ''],
    ['', ''],
  ])('of %p is %p', (line, frame) => {
    expect(applicationFrame(`Error: boom\n${line}`)).toBe(frame);
  });
});
