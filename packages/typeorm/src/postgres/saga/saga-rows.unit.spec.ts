import { nextSagaMs, type SagaProgress } from '@holdfast/core';
import fc from 'fast-check';
import { folded, instanceOf, progressOf, type SagaRow } from './saga-rows.js';

const FAILURE = { step: 'a', code: 'E', message: 'no' };
/** One that has all there can be. */
const WHOLE: SagaProgress = {
  status: 'parked',
  at: [
    { step: 'b', way: 'running', attempts: 1, callMs: 5, isStopped: true },
    {
      step: 'c',
      way: 'running',
      attempts: 0,
      round: 1,
      waits: [
        { kind: 'request', id: 'r', type: 'card.charge', sentMs: 1, into: 'paid', untilMs: 6 },
        { kind: 'signal', type: 'paid', key: 'k', untilMs: 7 },
        { kind: 'time', untilMs: 8 },
      ],
    },
  ],
  done: [{ step: 'a', request: { id: 'q', type: 'card.hold', sentMs: 1, hasAnswered: true } }],
  leftOut: ['d'],
  branches: [{ step: 'b', untilMs: 9 }],
  kept: [{ type: 'paid', key: 'k', value: { n: 1 } }],
  lock: { key: 'account', isHeld: true },
  failure: FAILURE,
  parked: { while: 'compensating', failure: FAILURE, sinceMs: 4 },
  unread: undefined,
};

function rowOf(progress: string, status: SagaProgress['status'] = 'running'): SagaRow {
  const at = new Date(0);
  return { id: 'x', number: '1', saga: 'order', version: 1, status, progress, state: '{}', started_at: at, updated_at: at };
}

/** Where each value of it stands, and the values of those. */
function placesIn(value: unknown, place: readonly string[] = []): (readonly string[])[] {
  if (typeof value !== 'object' || value === null) return [place];
  return [place, ...Object.entries(value).flatMap(([name, inner]) => placesIn(inner, [...place, name]))];
}

function replaced(value: unknown, [name, ...rest]: readonly string[], by: unknown): unknown {
  if (name === undefined) return by;
  const copy = Array.isArray(value) ? [...(value as unknown[])] : { ...(value as object) };
  Reflect.set(copy, name, replaced(Reflect.get(copy, name), rest, by));
  return copy;
}

it('the progress of a saga is read as it was written', () => {
  expect(progressOf({ status: WHOLE.status, progress: folded(WHOLE) })).toEqual(WHOLE);
});

it.each([
  'torn',
  '',
  'null',
  '[]',
  '{"at":{}}',
  '{"at":[{}],"done":[],"leftOut":[]}',
  '{"at":[{"step":"a","way":"running","attempts":0,"waits":1}],"done":[],"leftOut":[]}',
  '{"at":[{"step":"a","way":"running","attempts":0,"waits":[{"kind":"time","untilMs":1e300}]}],"done":[],"leftOut":[]}',
  '{"at":[],"done":[],"leftOut":[],"branches":{}}',
  '{"at":[],"done":[],"leftOut":[],"lock":"account"}',
  '{"at":[],"done":[],"leftOut":[],"parked":{}}',
])('what is damaged is nowhere, and shown with that: %s', (progress) => {
  expect(progressOf({ status: 'running', progress })).toMatchObject({ at: [], done: [], unread: progress });
  expect(instanceOf(rowOf(progress), [])).toMatchObject({ status: 'running', waitsFor: [], failure: { code: 'HF_SAGA_PROGRESS' } });
});

it('whatever somebody has made of one value of it, the saga is shown', () => {
  const written = JSON.parse(folded(WHOLE)) as object;
  fc.assert(
    fc.property(fc.constantFrom(...placesIn(written)), fc.jsonValue(), fc.constantFrom('running', 'parked'), (place, value, status) => {
      const row = rowOf(JSON.stringify(replaced(written, place, value)), status);
      nextSagaMs(progressOf(row));
      const { waitsFor, failure } = instanceOf(row, []);
      for (const text of [...waitsFor, failure?.message]) expect(typeof text).toBe('string');
    }),
    { numRuns: 2000 },
  );
});
