import { seededRandom } from '../time/random.js';
import { decide } from './decide.js';
import { asks, done, failed, given, nothing, of, ONCE, PATIENT, sagaOf } from './decide-scene.spec.js';
import type { SagaEvent } from './saga-event.js';

const UNDONE = { ...ONCE, compensate: nothing };
const TEN = { branchTimeout: 10_000 } as const;
/** Two branches, of which one has ten seconds for three steps. */
const FORKED = sagaOf({
  reserve: UNDONE,
  charge: { ...UNDONE, ...TEN, after: 'reserve' },
  clear: { retry: PATIENT, after: 'charge' },
  book: { ...ONCE, after: 'clear' },
  pack: { ...UNDONE, after: 'reserve' },
  ship: { ...ONCE, after: ['book', 'pack'] },
});
const sleeps = (step: string): SagaEvent => ({ kind: 'waits', step, waits: [{ kind: 'time', untilMs: 1e9 }] });
const tooLong = (branch: string) => ({
  code: 'HF_SAGA_BRANCH_TIMEOUT',
  message: expect.stringContaining(`o1 that begins with ${branch} took longer than 10000 ms`) as string,
});

describe('a branch with a time-out', () => {
  it('turns the saga back when its steps together take longer, whatever they wait for', () => {
    const script = given(FORKED).when(done).after(0).when(of('charge', done), of('pack', done));
    script.after(5000).when(of('clear', done), of('book', sleeps)).after(4999).expect().isAt('book');
    script
      .after(1)
      .expect('undo pack')
      .ends('compensating', 'reserve done', 'charge done', 'pack done', 'clear done', 'book waiting', 'book turned-back');
    expect(script.progress.failure).toMatchObject({ step: 'book', ...tooLong('charge') });
    script.when(done).expect('undo charge');
  });

  it('has its time from its first attempt, not from the start of the saga', () => {
    const first = sagaOf({ charge: { ...UNDONE, ...TEN, after: [] }, pack: { ...UNDONE, after: [] } });
    const script = given(first);
    expect(script.progress.branches).toEqual([{ step: 'charge' }]);
    script.after(50_000).after(9999).isAt('charge', 'pack').after(1).expect('compensated');
  });

  it('ends where it meets another one, which may take as long as it takes', () => {
    const script = given(FORKED).when(done).after(0).when(of('charge', done), of('clear', done), of('book', done));
    expect(script.progress.branches).toBeUndefined();
    script.after(60_000).isAt('pack').when(done).expect('run ship');
  });

  it('undoes what it has asked for, and waits for the next attempt no more', () => {
    given(FORKED)
      .when(done)
      .after(0)
      .when(of('charge', asks('r-1', { untilMs: undefined })))
      .after(10_000)
      .expect('undo charge');
    given(FORKED).when(done).after(0).when(of('charge', done), of('clear', failed())).after(10_000).expect('undo charge');
  });

  it('has it also where its first step is left out', () => {
    const conditional = sagaOf({ reserve: UNDONE, check: { ...ONCE, ...TEN, when: () => false }, approve: ONCE });
    given(conditional).when(done).expect('run approve').after(0).after(10_000).expect('undo reserve');
  });

  it('parks behind the pivot, and has no time-out any more when it goes on', () => {
    const paid = sagaOf({ pay: { retry: false, pivot: true }, ship: { ...ONCE, ...TEN }, bill: ONCE });
    const script = given(paid).when(done).after(0).when(sleeps).after(10_000);
    expect(script.progress).toMatchObject({ status: 'parked', parked: { failure: { step: 'ship', ...tooLong('ship') } } });
    script.when({ kind: 'resumed' }).after(60_000).isAt('ship').ends('running', 'pay done', 'ship waiting', 'parked', 'ship resumed');
  });

  it('has none when the definition has none any more, whether its time has begun or not', () => {
    const first = sagaOf({ charge: { ...UNDONE, ...TEN, after: [] }, pack: { ...UNDONE, after: [] } });
    const without = sagaOf({ charge: { ...UNDONE, after: [] }, pack: { ...UNDONE, after: [] } });
    for (const { progress } of [given(first), given(first).after(0)]) {
      expect(progress.branches).toMatchObject([{ step: 'charge' }]);
      const later = decide(without, { progress, event: { kind: 'time' }, nowMs: 60_000 }, seededRandom(1));
      expect(later.progress).toEqual({ ...progress, branches: undefined });
    }
  });

  it('may be the whole saga, less the steps before it', () => {
    const linear = sagaOf({ reserve: UNDONE, charge: { ...UNDONE, ...TEN }, ship: ONCE });
    given(linear).when(done).after(0).when(done).after(9999).isAt('ship').after(1).expect('undo charge');
  });
});
