import { seededRandom } from '../time/random.js';
import { begin } from './decide.js';
import { defineSaga, type SagaBuilder } from './saga-builder.js';
import { SagaCourse } from './saga-course.js';
import type { SagaArrival } from './saga-event.js';
import { runnableFrom } from './saga-plan.js';
import type { SagaWait } from './saga-progress.js';
import type { StoredSaga } from './saga.store.port.js';

const random = seededRandom(1);
const ignore = () => undefined;

/** An instance as it is locked, with what has come for it. */
function course(
  saga: SagaBuilder<object>,
  { waits, arrived, state = '{}' }: { readonly waits: readonly SagaWait[]; readonly arrived: readonly unknown[]; readonly state?: string },
) {
  const runnable = runnableFrom(saga.plan, (text) => expect(text).toBeUndefined());
  const { progress } = begin(runnable.definition, { random });
  const stored: StoredSaga = {
    ...{ id: 's-1', number: '1', saga: saga.name, version: 1, outline: runnable.outline, state, parent: undefined },
    progress: { ...progress, at: progress.at.map(({ callMs: _, ...entry }) => ({ ...entry, waits })) },
    ...{ revision: 0n, deaths: 0, isOverdue: false, nowMs: 1000 },
    arrived: arrived.map((event, n) => ({ number: String(n), event: event as SagaArrival })),
  };
  return new SagaCourse(stored, runnable, random);
}

const change = (one: SagaCourse) => one.change(() => false);

it('what a saga was handed it waits for anew when its next step asks for the same', () => {
  const signal = { kind: 'signal', type: 'approved', key: 'o-1' } as const;
  const saga = defineSaga('approval', { version: 1 }).step('first', ignore).step('second', ignore);
  const one = course(saga, { waits: [signal], arrived: [{ kind: 'signalled', type: 'approved', key: 'o-1', value: 1 }] });
  one.catchUp();
  expect(one.callable()?.step).toBe('second');
  one.happen({ kind: 'waits', step: 'second', waits: [signal] });
  expect(change(one).reach).toMatchObject({ awaits: [{ type: 'approved', key: 'o-1' }], awaitsNoMore: [] });
});

it('a saga that goes on waiting for the same message is not written down twice', () => {
  const signal = { kind: 'signal', type: 'approved', key: 'o-1' } as const;
  const one = course(defineSaga('approval', { version: 1 }).step('first', ignore), {
    waits: [signal],
    arrived: [{ kind: 'answered', id: 'nobody' }],
  });
  one.catchUp();
  expect(change(one).reach).toMatchObject({ seen: ['0'], awaits: [], awaitsNoMore: [] });
});

it.each([[{ kind: 'refused', id: 'r-1', refusal: null }], [{ kind: 'of a later version' }]])(
  'what nobody can understand parks the saga, and is seen once: %j',
  (arrival) => {
    const one = course(defineSaga('odd', { version: 1 }).step('ask', ignore), {
      waits: [{ kind: 'request', id: 'r-1', type: 'ask' }],
      arrived: [arrival],
    });
    one.catchUp();
    expect(change(one)).toMatchObject({ progress: { status: 'parked' }, reach: { seen: ['0'] } });
  },
);

it('a reply that is too large for the state parks the saga as it stood, also at its last step', () => {
  const saga = defineSaga('large', { version: 1 }).step('ask', ignore);
  const wait = { kind: 'request', id: 'r-1', type: 'ask', into: 'reply' } as const;
  const one = course(saga, { waits: [wait], arrived: [{ kind: 'answered', id: 'r-1', value: 'x'.repeat(300_000) }], state: '{"n":1}' });
  one.catchUp();
  const { progress, state } = change(one);
  expect(progress).toMatchObject({
    status: 'parked',
    parked: { failure: { code: 'HF_SAGA_STATE_TOO_LARGE' } },
    at: [{ step: 'ask', waits: [wait] }],
  });
  expect(state).toBeUndefined();
});
