import { seededRandom } from '../time/random.js';
import { decide } from './decide.js';
import { declined, described, done, failed, given, type Happened, killed, nothing, ONCE, PATIENT, sagaOf } from './decide-scene.spec.js';
import type { SagaDefinition } from './saga-definition.js';
import type { SagaEvent } from './saga-event.js';
import type { SagaProgress } from './saga-progress.js';

const late: SagaEvent = { kind: 'timed-out', error: new Error('too late') };
const cancelled: SagaEvent = { kind: 'cancelled', error: new Error('by ann') };

const UNDONE = { ...ONCE, compensate: nothing };
const THREE = sagaOf({ reserve: UNDONE, charge: UNDONE, ship: ONCE });

describe('a saga that goes well', () => {
  it('runs its steps one after another and is completed', () => {
    given(THREE)
      .expect('run reserve')
      .when(done)
      .expect('run charge')
      .when(done)
      .expect('run ship')
      .when(done)
      .expect('completed')
      .ends('completed', 'reserve done', 'charge done', 'ship done', 'completed');
  });

  it('is not moved by anything once it has ended', () => {
    given(THREE)
      .when(done, done, done)
      .when(done, failed(), late, cancelled, { kind: 'resumed' }, { kind: 'skipped' })
      .expect()
      .ends('completed', 'reserve done', 'charge done', 'ship done', 'completed');
  });
});

describe('a step that fails', () => {
  it('is tried again, with longer waits, and goes on when it succeeds', () => {
    const script = given(sagaOf({ charge: { retry: PATIENT } }))
      .when(failed())
      .expect('run charge after 100')
      .when(failed())
      .expect('run charge after 200');
    expect(script.progress.at[0]?.attempts).toBe(2);
    script.when(done).ends('completed', 'charge failed', 'charge failed', 'charge done', 'completed');
  });

  it('turns the saga back when its attempts are used up: what is done is undone in reverse order, the failed step is not', () => {
    given(THREE)
      .when(done, done, failed('no van'))
      .expect('undo charge')
      .when(done)
      .expect('undo reserve')
      .when(done)
      .expect('compensated')
      .ends(
        'compensated',
        'reserve done',
        'charge done',
        'ship failed',
        'ship turned-back',
        'charge undone',
        'reserve undone',
        'compensated',
      );
  });

  it('turns it back at once when trying again cannot help', () => {
    const script = given(sagaOf({ reserve: UNDONE, charge: { retry: PATIENT } }))
      .when(done, declined)
      .expect('undo reserve');
    expect(script.progress.failure).toEqual({ step: 'charge', code: 'NonRetryableError', message: 'card declined' });
  });

  it('is compensated at once when nothing was done, and passes over steps that have nothing to undo', () => {
    given(THREE).when(failed()).expect('compensated');
    given(sagaOf({ a: ONCE, b: UNDONE, c: ONCE, d: ONCE }))
      .when(done, done, done, failed())
      .expect('undo b')
      .when(done)
      .expect('compensated');
  });

  it('has fresh attempts for each step and for each compensation', () => {
    const definition = sagaOf({ a: { retry: PATIENT, compensate: nothing, compensateRetry: PATIENT }, b: { retry: PATIENT } });
    const script = given(definition).when(failed(), done);
    expect(script.progress.at[0]?.attempts).toBe(0);
    script.when(declined).expect('undo a');
    expect(script.progress.at[0]?.attempts).toBe(0);
  });

  it.each([
    [
      'throws',
      () => {
        throw new Error('in the backoff');
      },
    ],
    ['gives no time', () => undefined as never],
  ])('is counted, and tried again after the default delay, when its backoff %s', (_what, backoff) => {
    const script = given(sagaOf({ charge: { retry: { attempts: 3, backoff } } })).when(failed(), failed());
    expect(script.progress.at[0]?.attempts).toBe(2);
    script.when(failed()).expect('compensated');
  });

  it('is given up when too many processes died with it', () => {
    given(THREE).when(done, killed).expect('undo reserve');
  });
});

describe('a compensation that fails', () => {
  const definition = sagaOf({ reserve: UNDONE, charge: { ...ONCE, compensate: nothing, compensateRetry: PATIENT }, ship: ONCE });

  it('is tried again with its own policy, and then parks the saga for a person', () => {
    const script = given(definition)
      .when(done, done, failed('no van'))
      .when(failed('bank away'))
      .expect('undo charge after 100')
      .when(failed('bank away'), failed('bank closed'))
      .expect('park at charge: bank closed');
    expect(script.progress.parked).toMatchObject({ while: 'compensating' });
    expect(script.progress.failure).toMatchObject({ step: 'ship', message: 'no van' });
  });

  it('is not hurried by the time-out of the saga, nor stopped by a cancellation', () => {
    given(definition).when(done, done, failed()).when(late).expect().when(cancelled).expect().when(done).expect('undo reserve');
  });
});

describe('behind the pivot', () => {
  const definition = sagaOf({ reserve: UNDONE, pay: { retry: false, pivot: true }, ship: { retry: PATIENT } });

  it('a step is tried again and then parks, never undone', () => {
    given(definition)
      .when(done, done, failed(), failed())
      .expect('run ship after 200')
      .when(failed('no van'))
      .expect('park at ship: no van')
      .ends('parked', 'reserve done', 'pay done', 'ship failed', 'ship failed', 'ship failed', 'ship parked');
  });

  it('what cannot be helped, a time-out and a lost attempt park too', () => {
    for (const event of [declined, late, killed]) expect(given(definition).when(done, done, event).progress.status).toBe('parked');
  });

  it('nothing can be cancelled', () => {
    given(definition).when(done, done).when(cancelled).expect().ends('running', 'reserve done', 'pay done');
  });

  it('the pivot itself can still fail, and then there is a way back', () => {
    given(definition).when(done, failed()).expect('undo reserve');
  });
});

describe('behind a pivot that was left out', () => {
  const definition = sagaOf({ reserve: UNDONE, pay: { retry: false, pivot: true, when: () => false }, ship: ONCE, bill: ONCE });
  const ahead = () => given(definition).when(done).expect('run ship');

  it('a step that fails parks, because nothing behind it can be undone', () => {
    ahead()
      .when(done, failed('no paper'))
      .expect('park at bill: no paper')
      .ends('parked', 'reserve done', 'pay left-out', 'ship done', 'bill failed', 'bill parked');
  });

  it('a time-out parks, and nothing can be cancelled', () => {
    ahead().when(done, late).expect('park at bill: too late');
    ahead().when(done, cancelled).expect().ends('running', 'reserve done', 'pay left-out', 'ship done');
    ahead().when(declined, cancelled).expect();
  });
});

describe('before the pivot', () => {
  it('a time-out and a cancellation turn the saga back', () => {
    given(THREE).when(done).when(late).expect('undo reserve');
    const script = given(THREE).when(done, done).when(cancelled).expect('undo charge').when(done).expect('undo reserve');
    expect(script.progress.failure).toMatchObject({ step: 'ship', message: 'by ann' });
  });
});

describe('a parked saga', () => {
  const definition = sagaOf({ reserve: UNDONE, pay: { retry: false, pivot: true }, ship: { retry: PATIENT }, bill: ONCE });
  const parked = () => given(definition).when(done, done, declined);
  const undoing = () => given(THREE).when(done, done, failed('no van'), failed('bank closed')).expect('park at charge: bank closed');

  it('is moved by nothing but a person', () => {
    parked().when(done, failed(), late).expect().ends('parked', 'reserve done', 'pay done', 'ship failed', 'ship parked');
  });

  it('goes on from where it stands, with fresh attempts, when it is resumed', () => {
    parked().when({ kind: 'resumed' }).expect('run ship').when(failed()).expect('run ship after 100').when(done).expect('run bill');
    undoing().when({ kind: 'resumed' }).expect('undo charge').when(done).expect('undo reserve');
  });

  it('has one attempt when it is retried, and its other steps have theirs', () => {
    const once = parked().when({ kind: 'retried' }).expect('run ship');
    once.when(failed('still no van')).expect('park at ship: still no van');
    const script = parked().when({ kind: 'retried' }, done).expect('run bill');
    expect(script.progress.at[0]?.isSingle).toBeUndefined();
  });

  it('takes what a person did as done when it is skipped', () => {
    parked().when({ kind: 'skipped' }).expect('run bill').when(done).expect('completed');
    undoing().when({ kind: 'skipped' }).expect('undo reserve').when(done).expect('compensated');
  });

  it('is still parked when a cancellation changes nothing', () => {
    undoing().when(cancelled).expect().when({ kind: 'resumed' }).expect('undo charge');
  });

  it('keeps why it turned back when its compensation is resumed', () => {
    expect(undoing().when({ kind: 'resumed' }).progress).toMatchObject({ failure: { message: 'no van' }, parked: undefined });
  });
});

describe('a saga that stands where its definition has no place', () => {
  const changed = sagaOf({ reserve: UNDONE, wrap: ONCE });
  const stuck: SagaEvent = { kind: 'stuck', error: new Error('no such step') };
  const forward = given(THREE).when(done).progress;
  const backward = given(THREE).when(done, done, failed()).progress;
  const later = (definition: SagaDefinition, progress: SagaProgress, event: Happened) =>
    decide(
      definition,
      { id: 'o1', progress, event: typeof event === 'function' ? event(progress.at[0]?.step ?? '') : event },
      seededRandom(1),
    );

  it('parks, and says what it has done and what the definition is', () => {
    expect(later(changed, forward, stuck).progress.status).toBe('parked');
    expect(later(changed, forward, cancelled).commands.map(described)).toEqual([
      'park at charge: The saga order o1 of version 1 is at the step charge with reserve done, which is no place in: reserve (undone by reserve:compensate), wrap. Deploy the code it was started with, then resume the saga; a changed saga needs a new version.',
    ]);
  });

  it.each<[string, SagaDefinition, SagaProgress]>([
    ['a step was put before it', sagaOf({ weigh: ONCE, reserve: UNDONE, charge: UNDONE, ship: ONCE }), forward],
    ['steps changed places', sagaOf({ charge: UNDONE, reserve: UNDONE, ship: ONCE }), forward],
    ['a done step is gone', sagaOf({ charge: UNDONE, ship: ONCE }), forward],
    ['what undoes it is gone', sagaOf({ reserve: UNDONE, charge: ONCE, ship: ONCE }), backward],
  ])('parks where %s: nothing is run twice, left out or dropped', (_what, definition, progress) => {
    for (const event of [done, failed(), declined, late, cancelled])
      expect(later(definition, progress, event).commands).toMatchObject([{ do: 'park', failure: { code: 'HF_SAGA_STEP_UNKNOWN' } }]);
    const { progress: parked } = later(definition, progress, done);
    for (const kind of ['resumed', 'retried', 'skipped'] as const)
      expect(later(definition, parked, { kind }).progress).toMatchObject({ status: 'parked', done: progress.done });
  });

  it('goes on when it is resumed with a definition that has it', () => {
    const { progress } = given(THREE).when(done, stuck);
    expect(decide(changed, { progress, event: { kind: 'resumed' } }, seededRandom(1)).progress.status).toBe('parked');
    expect(decide(THREE, { progress, event: { kind: 'resumed' } }, seededRandom(1)).commands.map(described)).toEqual(['run charge']);
    expect(decide(THREE, { progress, event: cancelled }, seededRandom(1)).commands.map(described)).toEqual(['undo reserve']);
  });
});
