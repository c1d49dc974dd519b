import { ERRORS, type ErrorCode, hfError } from './catalogue.js';
import { HoldfastError, isHoldfastError } from './holdfast-error.js';

describe('the catalogue', () => {
  const rows = Object.entries(ERRORS);

  it.each(rows)('%s has a sentence, a fix and a code of the agreed form', (code, { sentence, fix }) => {
    expect(code).toMatch(/^HF(_[A-Z]+)+$/);
    expect(sentence).toMatch(/^[A-Z@{].*(\.|\{\w+\})$/);
    expect(fix).toMatch(/^[A-Z].*\.$/);
  });

  it.each(rows)('%s prints without a placeholder or a brace left over', (code, { sentence, fix }) => {
    const names = [...`${sentence}${fix}`.matchAll(/\{(\w+)\}/g)].map(([, name]) => [name, 'VALUE']);
    const { message } = hfError(code as ErrorCode, Object.fromEntries(names));
    expect(
      message.replaceAll(
        /\{ (VALUE|\.\.\.|key|name: '\.\.\.'|key: \(\.\.\.args\) => \.\.\.|strategy: app\.get\(HoldfastStrategy\)) \}/g,
        '',
      ),
    ).not.toMatch(/[{}]|undefined/);
  });
});

describe('hfError', () => {
  it('says what happened, the value and the fix', () => {
    const { message } = hfError('HF_UOW_TIMEOUT', { timeoutMs: 5000 });
    expect(message).toBe(
      'The unit of work was rolled back after its time-out of 5000 ms. Do slow calls to others outside the unit, or give it a longer timeout.',
    );
  });

  it('carries code, category, retryable, details and cause', () => {
    const cause = new Error('socket closed');
    const error = hfError('HF_UOW_COMMIT_UNKNOWN', { dataSource: 'default', extra: 1 }, { cause });
    expect(error).toBeInstanceOf(HoldfastError);
    expect(error).toMatchObject({ code: 'HF_UOW_COMMIT_UNKNOWN', category: 'outcome', retryable: false, cause, name: 'HoldfastError' });
    expect(error.details).toEqual({ dataSource: 'default', extra: 1 });
  });

  it('prints several entries of a list one a line, and the fix after them', () => {
    const { message } = hfError('HF_CONFIG_INVALID', { problems: ['no service', 'no transport'] });
    expect(message).toBe('The configuration is not valid: \n  - no service\n  - no transport\nCorrect all of this; nothing was started.');
  });

  it('prints a single entry in the sentence', () => {
    expect(hfError('HF_CONFIG_INVALID', { problems: ['no service'] }).message).toMatch(
      /^The configuration is not valid: no service\. Correct/,
    );
  });

  it('prints at most fifty entries', () => {
    const problems = Array.from({ length: 60 }, (_, index) => `problem ${index}`);
    expect(hfError('HF_CONFIG_INVALID', { problems }).message).toMatch(/problem 49\n {2}- and 10 more\n/);
  });

  it('shortens values and escapes what could break a line, and keeps them whole in the details', () => {
    const value = `a\nb\u001b[31m${'x'.repeat(10_000)}`;
    const error = hfError('HF_CONFIG_DURATION', { option: 'timeout', value });
    expect(error.message).toContain('a\\nb\\u001b[31mxxx');
    expect(error.message.length).toBeLessThan(500);
    expect(error.details.value).toBe(value);
  });

  it('ends a sentence with one full stop whatever its last value ends with', () => {
    const message = (reason: string): string => hfError('HF_STORE_SEQUENCE_LOCK', { reason }).message;
    expect(message('no lock')).toContain('failed: no lock. Use');
    expect(message('no lock.')).toContain('failed: no lock. Use');
    expect(message('why?')).toContain('failed: why? Use');
  });

  it('begins its stack at the caller', () => {
    const frame = hfError('HF_UOW_ENDED', {}).stack?.split('\n')[1];
    expect(frame).toContain('catalogue.unit.spec');
  });

  it('cannot be changed by changing what it was made of', () => {
    const details = { call: 'afterCommit' };
    const error = hfError('HF_UOW_NONE', details);
    details.call = 'other';
    expect(error.details.call).toBe('afterCommit');
    expect(Object.isFrozen(error.details)).toBe(true);
  });
});

describe('isHoldfastError', () => {
  it('recognises an error of another copy of the package', async () => {
    await jest.isolateModulesAsync(async () => {
      const copy = await import('./catalogue.js');
      const error = copy.hfError('HF_UOW_ENDED', {});
      expect(error).not.toBeInstanceOf(HoldfastError);
      expect(isHoldfastError(error)).toBe(true);
      expect(isHoldfastError(error, 'HF_UOW_ENDED')).toBe(true);
      expect(isHoldfastError(error, 'HF_UOW_NONE')).toBe(false);
    });
  });

  it.each([null, undefined, 'HF_UOW_ENDED', {}, new Error('x'), { code: 'HF_UOW_ENDED' }])('is false for %p', (value) => {
    expect(isHoldfastError(value)).toBe(false);
  });

  it('is false for a revoked proxy', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(isHoldfastError(proxy)).toBe(false);
  });
});
