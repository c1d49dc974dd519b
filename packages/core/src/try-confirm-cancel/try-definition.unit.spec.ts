import { defineTry, runnableTry, type TryDefinition, type TryOptions } from './try-definition.js';

const METHOD = async (account: string, points: number) => ({ left: points, account });
const FINE: TryOptions<[string, number], { left: number; account: string }> = {
  confirm: async (_account, _points, _branch) => undefined,
  cancel: async (_account, _points) => undefined,
};

function made(options: Partial<typeof FINE> = {}, name = 'points.freeze') {
  const problems: string[] = [];
  const definition = defineTry(name, METHOD, { ...FINE, ...options }) as TryDefinition<never>;
  const runnable = runnableTry(definition, (text) => problems.push(text), ['default', 'ledger']);
  return { runnable, problems };
}

it('a try has a minute, and its ends are tried for about six', () => {
  const { runnable, problems } = made();
  expect(problems).toEqual([]);
  const { timeoutMs, retries, arity, dataSource } = runnable;
  expect({ timeoutMs, arity, dataSource }).toEqual({ timeoutMs: 60_000, arity: 2, dataSource: undefined });
  for (const { attempts, longestDelayMs } of Object.values(retries)) {
    expect(attempts).toBe(20);
    const longest = Array.from({ length: attempts - 1 }, (_, n) => longestDelayMs(n + 1) as number).reduce((sum, ms) => sum + ms);
    // Half of it, as the delays have a full jitter.
    expect(longest / 2 / 60_000).toBeCloseTo(5.85, 1);
  }
});

it('what it can be cancelled with says whether it can tell a half try', () => {
  expect(made().runnable.cancelsHalfDone).toBe(false);
  expect(made({ cancel: async (_account, _points, _branch) => undefined }).runnable.cancelsHalfDone).toBe(true);
});

it.each([
  ['a name that cannot be stored', () => made({}, ''), 'its name is not usable: it is empty'],
  ['a confirm that is none', () => made({ confirm: undefined as never }), 'its confirm is no function'],
  ['fewer parameters', () => made({ cancel: async () => undefined }), 'it declares 2 parameters and its cancel 0'],
  ['a rest', () => made({ confirm: async (..._all) => undefined }), 'it declares 2 parameters and its confirm 0'],
  ['a time-out that is none', () => made({ timeout: '5 minutes' as never }), 'timeout'],
  ['no attempt', () => made({ confirmRetry: 0 }), 'attempts is 0'],
  ['a DataSource nobody knows', () => made({ dataSource: 'other' }), 'other'],
  ['a cancel that cannot tell, over another DataSource', () => made({ dataSource: 'ledger' }), 'let its cancel take the branch'],
])('%s is told at the start', (_what, make, expected) => {
  const { problems } = make();
  expect(problems.join('\n')).toContain(expected);
  expect(problems.every((text) => text.startsWith('The try '))).toBe(true);
});

it('another DataSource is one of those of the store, and its first one is none', () => {
  const cancel: typeof FINE.cancel = async (_account, _points, _branch) => undefined;
  expect(made({ dataSource: 'ledger', cancel })).toMatchObject({ problems: [], runnable: { dataSource: 'ledger' } });
  expect(made({ dataSource: 'default' })).toMatchObject({ problems: [], runnable: { dataSource: undefined } });
});
