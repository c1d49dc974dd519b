import { summary, table } from './report.js';
import { failed, skipped, valueAtMost } from './result.js';

const REASON = 'no Kafka can be started (java); name one with HOLDFAST_TEST_KAFKA';

it('a case that was skipped has its line in the file, with the reason and nothing met', () => {
  const line = { name: 'kafka-alone', value: null, unit: '', reference: null, ratio: null, target: 'runs', met: false, skipped: REASON };
  expect(JSON.parse(JSON.stringify(skipped('kafka-alone', REASON)))).toEqual(line);
});

it('what was skipped is no failure for its reader', () => {
  const results = [
    skipped('kafka-alone', REASON),
    failed('memory', new Error('no')),
    valueAtMost(2, { name: 'idle', value: 1, unit: 'ms' }),
  ];
  expect(results.map(summary)).toEqual([
    `– kafka-alone: skipped, ${REASON}`,
    '✗ memory: failed (runs: Error: no)',
    '✓ idle: 1 ms (≤ 2 ms)',
  ]);
  const ends = table(results).split('\n').slice(2).map((row) => row.split(/ +/).at(-1)); // biome-ignore format: one look
  expect(ends).toEqual(['skipped', 'NO', 'yes']);
});
