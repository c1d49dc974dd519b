import { seededRandom } from '../time/random.js';
import { asks, done, given, of } from './decide-scene.spec.js';
import { begin } from './decide.js';
import { defineSaga, type SagaBuilder } from './saga-builder.js';
import { SagaCourse } from './saga-course.js';
import type { SagaArrival, SagaEvent } from './saga-event.js';
import { runnableFrom } from './saga-plan.js';
import { parkingOf, type SagaProgress, type SagaWait } from './saga-progress.js';
import type { StoredSaga } from './saga.store.port.js';

const random = seededRandom(1);
const ignore = () => undefined;

/** An instance as it is locked, with what has come for it. */
function course(
  saga: SagaBuilder<object>,
  {
    waits = [],
    arrived,
    state = '{}',
    progress: stored,
    deaths = 0,
  }: {
    readonly waits?: readonly SagaWait[];
    readonly arrived: readonly unknown[];
    readonly state?: string;
    readonly progress?: SagaProgress;
    readonly deaths?: number;
  },
) {
  const runnable = runnableFrom(saga.plan, (text) => expect(text).toBeUndefined());
  const { progress } = begin(runnable.definition, { random });
  const instance: StoredSaga = {
    ...{ id: 's-1', number: '1', saga: saga.name, version: 1, outline: runnable.outline, state, parent: undefined },
    progress: stored ?? { ...progress, at: progress.at.map(({ callMs: _, ...entry }) => ({ ...entry, waits })) },
    ...{ revision: 0n, deaths, isOverdue: false, nowMs: 1000 },
    arrived: arrived.map((event, n) => ({ number: String(n), event: event as SagaArrival })),
  };
  return new SagaCourse(instance, runnable, random);
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

it('what is due at once is due whatever the clock of the database was set back to', () => {
  const two = defineSaga('two', { version: 1 })
    .step('take', ignore, { retry: { attempts: 9, backoff: { delay: 0 } }, compensate: ignore })
    .step('pay', ignore, { retry: false, pivot: true })
    .step('ship', ignore, { retry: false });
  const failed: SagaEvent = { kind: 'failed', step: 'take', error: new Error('busy') };
  const cancelled: SagaEvent = { kind: 'cancelled', error: new Error('no') };
  const lost: SagaEvent = { kind: 'failed', step: 'ship', error: new Error('no van') };
  for (const happened of [
    [],
    [failed],
    [done('take')],
    [done('take'), cancelled],
    [done('take'), done('pay'), lost, { kind: 'resumed' } as const],
  ]) {
    const script = given(two.definition)
      .when(...happened.slice(0, -1))
      .after(5_000_000)
      .when(...happened.slice(-1));
    // Its row is locked next at 1000.
    const one = course(two, { progress: script.progress, arrived: [] });
    expect([one.catchUp(), one.callable()?.step]).toEqual([true, script.progress.at[0]?.step]);
    expect(change(one).afterMs).toBe(0);
  }
});

describe('processes that died with a saga in hand', () => {
  const two = defineSaga('two', { version: 1 }).step('ask', ignore, { compensate: ignore }).step('ship', ignore);
  const linesOf = (one: SagaCourse) => change(one).notes.map(({ step, event }) => `${step} ${event}`);

  it('count against the step that was at work, which is given up', () => {
    const one = course(two, { arrived: [], deaths: 5, progress: begin(two.definition, { random }).progress });
    expect(one.catchUp()).toBe(false);
    expect(linesOf(one)).toEqual(['ask failed', 'ask turned-back', 'undefined compensated']);
  });

  it('count against no step that was not at work: what came is written first, and then they are counted anew', () => {
    const waits = [{ kind: 'request', id: 'r-1', type: 'ask' }] as const;
    const one = course(two, { waits, arrived: [{ kind: 'answered', id: 'r-1', value: 1 }], deaths: 5 });
    expect(one.catchUp()).toBe(false);
    const { notes, progress, afterMs } = change(one);
    expect([notes.map(({ event }) => event), progress.at.map(({ step }) => step), afterMs]).toEqual([['done'], ['ship'], 0]);
    const later = course(two, { arrived: [], progress, deaths: 5 });
    expect(later.catchUp()).toBe(false);
    expect(linesOf(later)).toEqual(['ship failed', 'ship turned-back']);
  });

  it('count against no compensation of the step that they died of', () => {
    const waits = [{ kind: 'request', id: 'r-1', type: 'ask' }] as const;
    const asking = begin(two.definition, { random }).progress;
    const progress = { ...asking, at: asking.at.map((entry) => ({ ...entry, waits })) };
    const one = course(two, { arrived: [{ kind: 'cancelled', by: 'ann', reason: 'no' }], progress, deaths: 5 });
    expect(one.catchUp()).toBe(false);
    expect(linesOf(one)).toEqual(['ask turned-back']);
    expect(one.progress.at).toMatchObject([{ step: 'ask', way: 'compensating', attempts: 0 }]);
  });
});

describe('what a person has said about a parked saga', () => {
  const ONCE = { retry: false } as const;
  const saga = defineSaga('shipping', { version: 1 })
    .step('pay', ignore, { ...ONCE, pivot: true })
    .step('pack', ignore, { ...ONCE, after: 'pay' })
    .step('bill', ignore, { ...ONCE, after: 'pay' });
  const refused = (id: string) => ({ kind: 'refused', id, error: new Error('no'), isDefinite: false }) as const;
  /** Two branches behind the pivot that both wait for a person, since 100. */
  const parked = () => {
    const script = given(saga.definition).when(done, of('pack', asks('r-1', { untilMs: 5000 })), of('bill', asks('r-2')));
    return script.after(100).when(refused('r-1'), refused('r-2')).progress;
  };
  const word = (kind: string, about = parkingOf(parked())) => ({ kind, by: 'ann', about });
  const after = (...arrived: readonly unknown[]) => {
    const one = course(saga, { progress: parked(), arrived });
    one.catchUp();
    return change(one);
  };
  const linesOf = ({ notes }: ReturnType<typeof after>) => notes.map(({ step, event }) => `${step} ${event}`);

  it('is done about the step that it was said about', () => {
    expect(linesOf(after(word('skipped')))).toEqual(['pack skipped', 'bill parked']);
  });

  it('counts for no other step when it was said twice, at once or later', () => {
    expect(linesOf(after(word('skipped'), word('skipped')))).toEqual(['pack skipped', 'bill parked']);
    const { progress } = after(word('skipped'));
    const later = course(saga, { progress, arrived: [word('skipped')] });
    later.catchUp();
    expect(change(later)).toMatchObject({ notes: [], progress: { status: 'parked' }, reach: { seen: ['0'] } });
  });

  it('counts for no other step when its own was answered after all', () => {
    expect(linesOf(after({ kind: 'answered', id: 'r-1', value: 1 }, word('skipped')))).toEqual(['pack done']);
  });

  it('does not count when the same step has parked again since', () => {
    expect(linesOf(after(word('skipped', { step: 'pack', sinceMs: 50 })))).toEqual([]);
  });

  it('is replaced by what was said later, where nobody has acted on it', () => {
    expect(linesOf(after(word('skipped'), word('resumed')))).toEqual(['pack resumed']);
  });

  it('is done about the branch that took too long, not about another one', () => {
    const timed = defineSaga('timed', { version: 1 })
      .step('pay', ignore, { ...ONCE, pivot: true })
      .step('pack', ignore, { ...ONCE, after: 'pay' })
      .step('bill', ignore, { ...ONCE, after: 'pay', branchTimeout: 1000 });
    const { progress } = given(timed.definition)
      .when(done)
      .after(0)
      .when(of('pack', asks('r-1', { untilMs: undefined })))
      .after(1000);
    const one = course(timed, { progress, arrived: [word('skipped', parkingOf(progress))] });
    one.catchUp();
    expect(linesOf(change(one))).toEqual(['bill skipped']);
  });
});
