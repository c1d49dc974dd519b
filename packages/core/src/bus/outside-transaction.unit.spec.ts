import { runInThisContext } from 'node:vm';
import { subscribe } from '../monitoring/events.js';
import type { SeenWrite } from '../unit-of-work/scope.js';
import { OutsideTransaction } from './outside-transaction.js';

function scene(policy: 'warn' | 'throw' | 'allow', seen: SeenWrite) {
  const sites: unknown[] = [];
  const quiet = () => undefined;
  const outside = new OutsideTransaction(policy, () => seen, {
    info: quiet,
    error: quiet,
    warn: (_text, fields) => void sites.push(fields?.site),
  });
  return { outside, sites };
}

/** A call from this file of an application. */
const callFrom = (filename: string): ((work: () => void) => void) =>
  runInThisContext('(function place(work) {\n  work();\n})', { filename }) as (work: () => void) => void;

it.each([
  ['warn', 'none', 'nothing'],
  ['warn', 'near', 'warned'],
  ['warn', 'own', 'warned'],
  ['throw', 'none', 'nothing'],
  ['throw', 'near', 'warned'],
  ['throw', 'own', 'HF_OUTSIDE_TRANSACTION'],
  ['allow', 'near', 'nothing'],
  ['allow', 'own', 'nothing'],
] as const)('%p, with a write that is %p: %s', (policy, seen, expected) => {
  const { outside, sites } = scene(policy, seen);
  let outcome = 'nothing';
  try {
    outside.check('order');
    if (sites.length > 0) outcome = 'warned';
  } catch (error) {
    outcome = (error as { code: string }).code;
  }
  expect(outcome).toBe(expected);
});

it('names the place in the application, also where its folders are named like ours', () => {
  const { outside, sites } = scene('warn', 'own');
  const places = ['/app/core/src/orders.ts', '/app/libs/nest/src/bus/orders.ts', '/app/core/src/orders.ts'];
  const told: unknown[] = [];
  const unsubscribe = subscribe('process:outside-transaction', ({ site }) => told.push(site));
  for (const place of places) callFrom(place)(() => callFrom('/app/node_modules/dep/index.js')(() => outside.check('order')));
  unsubscribe();
  expect(sites).toEqual([
    expect.stringContaining('place (/app/core/src/orders.ts:'),
    expect.stringContaining('place (/app/libs/nest/src/bus/orders.ts:'),
  ]);
  expect(told).toEqual(sites);
});

it('tells once for each type where the place is not known', () => {
  const { outside, sites } = scene('warn', 'own');
  const limit = Error.stackTraceLimit;
  Error.stackTraceLimit = 0;
  for (const type of ['order', 'order', 'invoice']) outside.check(type);
  Error.stackTraceLimit = limit;
  expect(sites).toEqual(['unknown', 'unknown']);
});
