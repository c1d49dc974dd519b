import { consoleLogger } from './logger.js';

function lineOf(level: 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>): string {
  const print = jest.spyOn(console, level).mockImplementation(() => {});
  try {
    consoleLogger[level](message, fields);
    expect(print).toHaveBeenCalledTimes(1);
    return print.mock.calls[0]![0] as string;
  } finally {
    print.mockRestore();
  }
}

describe('consoleLogger', () => {
  it('prints time, level, message and fields on one line', () => {
    const line = lineOf('info', 'subscription paused', { subscription: 'billing.charge', failures: 12, until: undefined });
    expect(line).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z INFO {2}holdfast: subscription paused subscription=billing\.charge failures=12$/);
  });

  it.each(['info', 'warn', 'error'] as const)('prints %s to the console of that level', (level) => {
    expect(lineOf(level, 'message')).toContain(` ${level.toUpperCase()}`);
  });

  it('escapes line breaks and terminal sequences in message, names and values', () => {
    const line = lineOf('warn', 'a\nb', { 'c\rd': 'e\n2030-01-01 ERROR forged\u001b[2J' });
    expect(line).not.toMatch(/\p{Cc}/u);
    expect(line).toContain('a\\nb c\\rd="e\\n2030-01-01 ERROR forged\\u001b[2J"');
  });

  it('quotes values whose end could not be told', () => {
    expect(lineOf('info', 'm', { a: '', b: 'x y', c: 'x=y', d: 'x"y', e: { f: 1 } })).toMatch(
      / a="" b="x y" c="x=y" d="x\\"y" e="\{\\"f\\":1\}"$/,
    );
  });

  it('prints the stack of an error', () => {
    expect(lineOf('error', 'm', { error: new TypeError('boom') })).toMatch(/ error="TypeError: boom\\n {4}at .*logger\.unit\.spec/);
  });

  it('shortens what is long and survives what cannot be printed', () => {
    const { proxy, revoke } = Proxy.revocable({}, {});
    revoke();
    expect(lineOf('info', 'm', { long: 'x'.repeat(100_000) }).length).toBeLessThan(2200);
    expect(lineOf('info', 'm', { proxy })).toContain('proxy="(unprintable object)"');
  });
});
