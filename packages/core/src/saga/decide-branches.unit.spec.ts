import { seededRandom } from '../time/random.js';
import { asks, declined, done, failed, given, nothing, of, ONCE, PATIENT, sagaOf } from './decide-scene.spec.js';
import { decide } from './decide.js';
import type { SagaDefinition, SagaFailure } from './saga-definition.js';
import type { SagaEvent, SagaMoment } from './saga-event.js';
import type { SagaWait } from './saga-progress.js';

const UNDONE = { ...ONCE, compensate: nothing };
const DIAMOND = sagaOf({
  reserve: UNDONE,
  charge: { ...UNDONE, after: 'reserve' },
  check: { ...UNDONE, after: 'reserve' },
  ship: { ...ONCE, after: ['charge', 'check'] },
});

describe('steps that wait for the same', () => {
  it('run side by side, and those behind all of them when all are done', () => {
    given(DIAMOND)
      .when(done)
      .expect('run charge', 'run check')
      .when(of('check', done))
      .expect()
      .when(of('charge', done))
      .expect('run ship')
      .when(done)
      .ends('completed', 'reserve done', 'check done', 'charge done', 'ship done', 'completed');
  });

  it('are undone in the reverse order of their completion', () => {
    given(DIAMOND)
      .when(done, of('check', done), of('charge', done), failed())
      .expect('undo charge')
      .when(done)
      .expect('undo check')
      .when(done)
      .expect('undo reserve');
  });

  it('turn back together when one of them fails, and what is tried again is left', () => {
    const patient = sagaOf({
      reserve: UNDONE,
      charge: { retry: PATIENT, after: 'reserve', compensate: nothing },
      check: { ...ONCE, after: 'reserve' },
    });
    given(patient)
      .when(done, of('charge', failed()))
      .isAt('charge', 'check')
      .when(of('check', declined))
      .expect('undo reserve')
      .isAt('reserve');
  });

  it('have their turns also beside one that is tried again at once', () => {
    const eager = { attempts: 5, backoff: { delay: 0 } } as const;
    const both = sagaOf({ a: { ...UNDONE, after: [], retry: eager }, b: { ...UNDONE, after: [] } });
    given(both).expect('run a', 'run b').when(of('a', failed())).isAt('b', 'a').when(of('b', done)).isAt('a');
  });

  it('may all be the first', () => {
    const both = sagaOf({ a: { ...UNDONE, after: [] }, b: { ...UNDONE, after: [] } });
    given(both).expect('run a', 'run b').when(of('b', done), of('a', failed())).expect('undo b').when(done).expect('compensated');
  });
});

describe('a step with a condition', () => {
  const large = ({ total }: { total: number }) => total > 1000;
  const definition = sagaOf({
    reserve: UNDONE,
    check: { ...UNDONE, when: large as never },
    approve: { ...UNDONE },
    ship: { ...ONCE, when: large as never },
  });

  it('runs when it is true, and is left out when not, and there is nothing of it to undo', () => {
    given(definition, { total: 2000 }).when(done).expect('run check');
    const script = given(definition, { total: 20 }).when(done).expect('run approve');
    script.when(failed()).expect('undo reserve').when(done).expect('compensated');
  });

  it('may be the last, and the saga is completed without it', () => {
    given(definition, { total: 20 })
      .when(done, done)
      .ends('completed', 'reserve done', 'check left-out', 'approve done', 'ship left-out', 'completed');
  });

  it('sees what the step before it was answered', () => {
    const checked = sagaOf({ check: ONCE, refuse: { ...ONCE, when: (({ fraud }: { fraud: string }) => fraud === 'suspicious') as never } });
    const answer = (value: string): SagaEvent => ({ kind: 'answered', id: 'r', value });
    given(checked)
      .when(asks('r', { into: 'fraud' }), answer('clear'))
      .expect('completed');
    given(checked)
      .when(asks('r', { into: 'fraud' }), answer('suspicious'))
      .expect('run refuse');
  });

  it('that throws fails its step for good', () => {
    const torn = sagaOf({
      reserve: UNDONE,
      check: {
        retry: PATIENT,
        when: () => {
          throw new Error('no field');
        },
      },
    });
    given(torn).when(done).expect('run check', 'undo reserve').ends('compensating', 'reserve done', 'check failed', 'check turned-back');
  });
});

describe('a condition that gives a promise', () => {
  it('fails its step for good, and its rejection reaches nobody', async () => {
    const unhandled = jest.fn();
    process.on('unhandledRejection', unhandled);
    const torn = sagaOf({ reserve: UNDONE, check: { retry: PATIENT, when: () => Promise.reject(new Error('no field')) as never } });
    given(torn).when(done).expect('run check', 'undo reserve').ends('compensating', 'reserve done', 'check failed', 'check turned-back');
    await new Promise(setImmediate);
    process.off('unhandledRejection', unhandled);
    expect(unhandled).not.toHaveBeenCalled();
  });
});

describe('a condition behind the pivot that throws', () => {
  const when = (({ total }: { total?: number }) => {
    if (total === undefined) throw new Error('no total');
    return total > 100;
  }) as never;
  const definition = sagaOf({ pay: { retry: false, pivot: true }, gift: { ...ONCE, when }, ship: ONCE });
  const parked = () => given(definition).when(done).expect('run gift', 'park at gift: no total');

  it('is asked again when the saga is resumed: the step runs where it is wanted, and is left out where it is not', () => {
    for (const kind of ['resumed', 'retried'] as const) {
      const wanted = parked();
      Object.assign(wanted.state, { total: 200 });
      wanted.when({ kind }).expect('run gift');
      wanted.when(failed('no ribbon')).expect('park at gift: no ribbon').when({ kind }).expect('run gift');
      const unwanted = parked();
      Object.assign(unwanted.state, { total: 20 });
      unwanted
        .when({ kind })
        .expect('run ship')
        .when(done)
        .ends('completed', ...['pay done', 'gift failed', 'gift parked', `gift ${kind}`, 'gift left-out', 'ship done', 'completed']);
    }
  });

  it('parks it again as long as it throws, and a person may do the step', () => {
    parked().when({ kind: 'resumed' }).expect('run gift', 'park at gift: no total').when({ kind: 'skipped' }).expect('run ship');
  });

  it('has one attempt when it is retried and wanted then', () => {
    const patient = sagaOf({ pay: { retry: false, pivot: true }, gift: { retry: PATIENT, when } });
    const retried = given(patient).when(done);
    Object.assign(retried.state, { total: 200 });
    retried.when({ kind: 'retried' }, failed('no ribbon')).expect('park at gift: no ribbon');
  });

  it('and of two branches both are asked again', () => {
    const branches = sagaOf({
      pay: { retry: false, pivot: true },
      gift: { ...ONCE, when, after: 'pay' },
      note: { ...ONCE, when, after: 'pay' },
    });
    const script = given(branches).when(done).isAt('gift');
    Object.assign(script.state, { total: 200 });
    script.when({ kind: 'resumed' }).expect('run gift', 'run note');
  });
});

describe('a step that asks another service', () => {
  const definition = sagaOf({
    reserve: UNDONE,
    charge: { retry: { attempts: 2, backoff: { delay: 100, jitter: 'none' } }, compensate: nothing },
    ship: ONCE,
  });
  const asked = () => given(definition).when(done, asks('r-1', { into: 'payment' }));
  const answered: SagaEvent = { kind: 'answered', id: 'r-1', value: { paymentId: 'p-1' } };
  const refused = (isDefinite: boolean): SagaEvent => ({ kind: 'refused', id: 'r-1', error: new Error('declined'), isDefinite });

  it('is done with the reply, which is kept in the state', () => {
    const script = asked().expect().when(answered).expect('run ship');
    expect(script.state).toEqual({ payment: { paymentId: 'p-1' } });
    expect(script.progress.done.at(-1)).toMatchObject({ step: 'charge', request: { id: 'r-1', hasAnswered: true } });
  });

  it('is not moved by the reply to something else, nor by one that comes twice', () => {
    asked()
      .when({ ...answered, id: 'r-0' })
      .isAt('charge')
      .when(answered)
      .isAt('ship')
      .when(answered)
      .isAt('ship');
  });

  it('asks again when no reply comes in time, and takes a late one as long as it waits', () => {
    asked().after(999).expect().after(1).expect('run charge after 100').when(answered).expect('run ship');
    asked()
      .after(1000)
      .when(asks('r-1', { untilMs: 2000 }))
      .after(1000)
      .expect('undo charge');
  });

  it('is undone when it was never answered, because it may have been done', () => {
    const script = asked().after(1000).when(failed()).expect('undo charge');
    expect(script.progress.done).toMatchObject([{ step: 'reserve' }, { step: 'charge', request: { id: 'r-1', hasAnswered: false } }]);
    script.when(asks('r-2'), { kind: 'answered', id: 'r-2', value: undefined }).expect('undo reserve').when(done).expect('compensated');
  });

  it('is not undone when it was refused and certainly not done, and undone when nobody knows', () => {
    asked().when(refused(true)).expect('undo reserve');
    asked().when(refused(false)).expect('undo charge');
  });

  it('is undone when the saga turns back meanwhile, and a late reply says that it was done, or a refusal that it was not', () => {
    const branches = sagaOf({ charge: { ...UNDONE, after: [] }, book: { ...UNDONE, after: [] }, check: { ...ONCE, after: [] } });
    const turned = () =>
      given(branches)
        .when(of('charge', asks('r-1')), of('book', asks('r-2')), of('check', failed()))
        .expect('undo book');
    expect(turned().when(answered).progress.done[0]).toMatchObject({ step: 'charge', request: { id: 'r-1', hasAnswered: true } });
    turned().when(refused(true), of('book', done)).expect('compensated');
    turned()
      .when({ kind: 'refused', id: 'r-2', error: new Error('late'), isDefinite: true })
      .isAt('book')
      .when(of('book', done))
      .expect('undo charge');
  });

  it('is asked under another id after a definite end, and under the same while it may still be answered', () => {
    const refusing = sagaOf({ pay: { retry: false, pivot: true }, ship: { retry: false } });
    const parked = given(refusing).when(done, asks('r-1'), refused(true)).expect('park at ship: declined').when({ kind: 'resumed' });
    expect(parked.expect('run ship').progress.at[0]).toMatchObject({ round: 1 });
    const silent = given(refusing).when(done, asks('r-1')).after(1000).when({ kind: 'resumed' }).expect('run ship');
    expect(silent.progress.at[0]?.round).toBeUndefined();
  });
});

describe('a step that asked and was tried again', () => {
  const definition = sagaOf({ charge: { retry: { attempts: 3, backoff: { delay: 0 } }, compensate: nothing }, ship: ONCE });
  const unanswered = () => given(definition).when(asks('r-1')).after(1000);

  it('may have been done when it does not ask again, and whoever was asked is not told that it was', () => {
    const script = unanswered().when(done).expect('run ship');
    expect(script.progress.done).toMatchObject([{ step: 'charge', request: { id: 'r-1', hasAnswered: false } }]);
  });

  it('still has what it asked for undone when it waits for something else', () => {
    const asleep = unanswered().when((step) => ({ kind: 'waits', step, waits: [{ kind: 'time', untilMs: 5000 }] }));
    expect(asleep.after(4000).expect('run ship').progress.done).toMatchObject([{ request: { id: 'r-1', hasAnswered: false } }]);
  });
});

describe('a refusal that comes when its step was passed without it', () => {
  const refused: SagaEvent = { kind: 'refused', id: 'r-1', error: new Error('too late'), isDefinite: true };
  const twice = { retry: { attempts: 2, backoff: { delay: 0 } } } as const;

  it('takes the step out of no saga that goes forward: of a pivot that a person has done', () => {
    const paying = sagaOf({ reserve: UNDONE, pay: { retry: false, pivot: true }, ship: ONCE });
    const script = given(paying).when(done, asks('r-1')).after(1000).when({ kind: 'skipped' }).expect('run ship').when(refused);
    expect(script.progress.done.map(({ step }) => step)).toEqual(['reserve', 'pay']);
    script.when(done).expect('completed');
  });

  it('takes it out of none: of a step that did not ask again', () => {
    const charging = sagaOf({ charge: { ...twice, compensate: nothing }, ship: ONCE });
    const shipping = () => given(charging).when(asks('r-1')).after(1000).when(done, refused).isAt('ship');
    shipping().when(done).expect('completed');
    // What undoes it asks as if the request were unanswered: under its id the other end knows that there is nothing, and without it would undo what never was.
    expect(shipping().when(failed()).expect('undo charge').progress.done).toMatchObject([{ request: { id: 'r-1', hasAnswered: false } }]);
  });

  it('takes out none that a later step was done behind, when the saga turns back', () => {
    const charging = sagaOf({ charge: { ...twice, compensate: nothing }, pack: UNDONE, ship: ONCE });
    const script = given(charging).when(asks('r-1')).after(1000).when(done, done, failed(), refused).isAt('pack');
    script.when(done).expect('undo charge').when(done).expect('compensated');
  });
});

describe('a parked saga that stands for several steps', () => {
  const definition = sagaOf({ pay: { retry: false, pivot: true }, pack: { ...ONCE, after: 'pay' }, bill: { ...ONCE, after: 'pay' } });
  const both = () =>
    given(definition)
      .when(done, of('pack', asks('r-1')), of('bill', asks('r-2')))
      .when({ kind: 'refused', id: 'r-1', error: new Error('no box'), isDefinite: true })
      .when({ kind: 'refused', id: 'r-2', error: new Error('no stamp'), isDefinite: true })
      .expect('park at bill: no stamp');

  it('still stands for the others when one is skipped', () => {
    const script = both().when({ kind: 'skipped' }).expect('park at bill: no stamp').isAt('bill');
    script.when({ kind: 'skipped' }).expect('completed');
  });

  it('goes on with all of them when it is resumed', () => {
    both().when({ kind: 'resumed' }).expect('run pack', 'run bill');
  });
});

describe('a participant that does not know of undoing', () => {
  const definition = sagaOf({
    charge: { ...UNDONE, after: [] },
    check: { ...ONCE, after: [] },
    ship: { ...ONCE, after: ['charge', 'check'] },
  });
  const asked = () => given(definition).when(of('charge', asks('r-1', { isForeign: true })));
  const answered: SagaEvent = { kind: 'answered', id: 'r-1', value: 1 };

  it('is never undone on a guess: without its answer the saga parks, and goes on when it comes', () => {
    asked().when(of('check', done)).after(1000).expect(expect.stringContaining('park at charge')).when(answered).expect('run ship');
  });

  it('is waited for when the saga turns back, and undone, or not, by what it says', () => {
    const turned = () => asked().when(of('check', failed())).expect().isAt('charge');
    turned().when(answered).expect('undo charge').when(done).expect('compensated');
    turned()
      .when({ kind: 'refused', id: 'r-1', error: new Error('no'), isDefinite: true })
      .expect('compensated');
  });

  it('that stays silent on the way back parks the saga; a person waits again, or has seen that nothing was done', () => {
    const parked = () => asked().when(of('check', failed())).after(1000).expect(expect.stringContaining('park at charge'));
    parked().when({ kind: 'resumed' }).expect().when(answered).expect('undo charge');
    parked().when({ kind: 'resumed' }).after(30_000).expect(expect.stringContaining('park at charge'));
    parked().when({ kind: 'skipped' }).expect('compensated');
  });
});

describe('a pivot that asks another service', () => {
  const definition = sagaOf({ reserve: UNDONE, pay: { retry: false, pivot: true }, ship: ONCE });
  const asked = () => given(definition).when(done, asks('r-1'));

  it('asks again when it is resumed, however late that is', () => {
    for (const kind of ['resumed', 'retried'] as const) {
      const resumed = asked().after(1000).expect(expect.stringContaining('park at pay')).after(5000).when({ kind });
      resumed.expect('run pay').after(0).expect().ends('running', 'reserve done', 'pay waiting', 'pay failed', 'pay parked', `pay ${kind}`);
    }
  });

  it('parks when nobody answers, because nobody knows whether there is a way back, and goes on with a late answer', () => {
    const late = { kind: 'timed-out', error: new Error('too late') } as const;
    asked().after(1000).expect(expect.stringContaining('park at pay')).when({ kind: 'answered', id: 'r-1', value: 1 }).expect('run ship');
    asked()
      .when({ kind: 'cancelled', error: new Error('by ann') })
      .expect()
      .when(late)
      .expect(expect.stringContaining('park at pay'));
  });

  it('turns the saga back when it is refused', () => {
    asked()
      .when({ kind: 'refused', id: 'r-1', error: new Error('no'), isDefinite: true })
      .expect('undo reserve');
  });
});

describe('a pivot that starts another saga', () => {
  const definition = sagaOf({ reserve: UNDONE, pay: { retry: false, pivot: true }, ship: ONCE });
  const started = () => given(definition).when(done, (step) => ({ kind: 'waits', step, waits: [{ kind: 'saga', id: 'x/pay' }] }));
  const ended = (failure?: SagaFailure): SagaEvent => ({ kind: 'ended', id: 'x/pay', state: {}, failure });

  it('leaves no way back while that is at work: a time-out parks, and nothing can be cancelled', () => {
    const late = { kind: 'timed-out', error: new Error('too late') } as const;
    started().when(late).expect('park at pay: too late').when(ended()).isAt('ship').when({ kind: 'resumed' }, done).expect('completed');
    started()
      .when({ kind: 'cancelled', error: new Error('by ann') })
      .expect()
      .ends('running', 'reserve done', 'pay waiting');
  });

  it('is done with the end of that, and turns the saga back when that was undone', () => {
    started().when(ended()).expect('run ship');
    started()
      .when(ended({ step: 'debit', code: 'E', message: 'no money' }))
      .expect('undo reserve');
  });
});

describe('a step that waits', () => {
  const definition = sagaOf({ reserve: UNDONE, wait: ONCE, ship: ONCE });
  const waiting = (...waits: Extract<SagaEvent, { kind: 'waits' }>['waits']) =>
    given(definition).when(done, (step) => ({ kind: 'waits', step, waits }));
  const signal = { kind: 'signal', type: 'paid', key: 'o-1', into: 'paid', untilMs: 500 } as const;

  it('for a time is done when it is over', () => {
    waiting({ kind: 'time', untilMs: 100 }).after(99).isAt('wait').after(1).expect('run ship');
  });

  it('for a message is done when it comes with the key, and fails for good when it does not', () => {
    const value = { n: 1 };
    const script = waiting(signal).when({ kind: 'signalled', type: 'paid', key: 'o-2', value }).isAt('wait');
    script.when({ kind: 'signalled', type: 'paid', key: 'o-1', value }).expect('run ship');
    expect(script.state).toEqual({ paid: value });
    waiting(signal).after(500).expect('undo reserve');
  });

  it('for the first of several is done with it', () => {
    const both = () => waiting({ ...signal, untilMs: undefined }, { kind: 'time', untilMs: 300 });
    both().when({ kind: 'signalled', type: 'paid', key: 'o-1', value: 1 }).expect('run ship');
    both().after(300).expect('run ship');
  });

  it('has at once what came for the saga when another one waited for the first of several', () => {
    const later = sagaOf({ wait: ONCE, check: ONCE, ship: ONCE, bill: ONCE });
    const came = (key: string, value: number): SagaEvent => ({ kind: 'signalled', type: 'paid', key, value });
    const other = { ...signal, key: 'o-2', untilMs: undefined };
    const waits = (step: string, ...all: (typeof signal | typeof other)[]): SagaEvent => ({ kind: 'waits', step, waits: all });
    const script = given(later).when(waits('wait', signal, other), came('o-1', 1), came('o-2', 2), came('o-2', 3), done);
    expect(script.progress.kept).toEqual([{ type: 'paid', key: 'o-2', value: 3 }]);
    script.when(waits('ship', other)).expect('run bill');
    expect([script.state, script.progress.kept]).toEqual([{ paid: 3 }, undefined]);
    // Once: the next one waits for another.
    script.when(waits('bill', other)).isAt('bill');
  });

  it('is undone when it waits in vain, or the saga turns back meanwhile: what its method wrote is committed', () => {
    const cancelled = { kind: 'cancelled', error: new Error('by ann') } as const;
    const writing = sagaOf({ reserve: UNDONE, wait: UNDONE, ship: ONCE });
    const wrote = (wait: SagaWait) => given(writing).when(done, (step) => ({ kind: 'waits', step, waits: [wait] }));
    wrote(signal).after(500).expect('undo wait').when(done).expect('undo reserve').when(done).expect('compensated');
    wrote({ kind: 'time', untilMs: 100 }).when(cancelled).expect('undo wait').when(done).expect('undo reserve');
    given(writing).when(done, cancelled).expect('undo reserve');
  });

  it('is undone as one that has asked where an earlier attempt has, and nobody answered that', () => {
    const twice = { retry: { attempts: 2, backoff: { delay: 0 } } } as const;
    const waits = [{ ...signal, untilMs: 1500 }];
    const after = (definition: SagaDefinition) =>
      given(definition)
        .when(asks('r-1'))
        .after(1000)
        .when((step) => ({ kind: 'waits', step, waits }))
        .after(500);
    const script = after(sagaOf({ charge: { ...twice, compensate: nothing } })).expect('undo charge');
    expect(script.progress.done).toMatchObject([{ step: 'charge', request: { id: 'r-1', hasAnswered: false } }]);
    after(sagaOf({ pay: { ...twice, pivot: true } })).expect(expect.stringContaining('park at pay'));
  });

  it('and asked a participant that knows of no undoing is undone although that refuses', () => {
    const refused: SagaEvent = { kind: 'refused', id: 'r-1', error: new Error('no'), isDefinite: true };
    const twice = { retry: { attempts: 2, backoff: { delay: 0 } }, compensate: nothing } as const;
    const script = given(sagaOf({ charge: twice }))
      .when(asks('r-1', { isForeign: true }))
      .after(1000);
    const asleep = script.when((step) => ({ kind: 'waits', step, waits: [{ kind: 'time', untilMs: 9000 }] }));
    asleep
      .when({ kind: 'cancelled', error: new Error('by ann') })
      .isAt('charge')
      .when(refused)
      .expect('undo charge');
  });

  it('and has no compensation is left when the saga is cancelled', () => {
    waiting({ kind: 'time', untilMs: 100 })
      .when({ kind: 'cancelled', error: new Error('by ann') })
      .expect('undo reserve');
  });
});

describe('a step that starts another saga', () => {
  const definition = sagaOf({ pack: { ...UNDONE, after: [] }, check: { ...ONCE, after: [] }, ship: { ...ONCE, after: ['pack', 'check'] } });
  const waits = [{ kind: 'saga', id: 'x/pack', into: 'packed' }] as const;
  const started = () => given(definition).when(of('pack', (step) => ({ kind: 'waits', step, waits })));
  const ended = (also: object = {}): SagaEvent => ({ kind: 'ended', id: 'x/pack', state: { boxes: 2 }, failure: undefined, ...also });

  it('is done when that is completed, with its last state', () => {
    expect(started().when(of('check', done), ended()).expect('run ship').state).toEqual({ packed: { boxes: 2 } });
  });

  it('fails for good when that was undone, and what the step itself wrote is undone too', () => {
    started()
      .when(of('check', done), ended({ failure: { step: 'tape', code: 'E', message: 'no tape' } }))
      .expect('undo pack')
      .when(done)
      .expect('compensated');
  });

  it('cancels it when the saga turns back, and is undone however that ended', () => {
    const turned = () => started().when(of('check', failed())).expect('cancel x/pack').isAt('pack');
    turned().when(ended()).expect('undo pack');
    turned()
      .when(ended({ failure: { step: 'tape', code: 'E', message: 'cancelled' } }))
      .expect('undo pack');
  });
});

it('the same moment decides the same, whatever was decided before', () => {
  const moment = { progress: given(DIAMOND).when(done).progress, event: { kind: 'time' } } satisfies SagaMoment;
  expect(given(DIAMOND).when(done).progress).toEqual(moment.progress);
});

describe('a step that runs in another DataSource', () => {
  const elsewhere = { ...UNDONE, dataSource: 'ledger' };
  const definition = sagaOf({ reserve: UNDONE, pay: elsewhere, ship: ONCE });

  it('may be done when it fails for good, and is undone as if it were: the other one knows', () => {
    const script = given(definition).when(done, failed()).expect('undo pay');
    expect(script.progress.done).toEqual([{ step: 'reserve' }, { step: 'pay', isUnsure: true }]);
    script.when(done).expect('undo reserve');
  });

  it('may be done when the saga turns back for another reason', () => {
    const forked = sagaOf({ reserve: UNDONE, pay: { ...elsewhere, after: 'reserve' }, check: { ...ONCE, after: 'reserve' } });
    given(forked).when(done, of('check', declined)).expect('undo pay');
  });

  it('was not tried while the saga waited for its key, so that one ends at once', () => {
    const first = sagaOf({ pay: elsewhere, ship: ONCE });
    const progress = { ...given(first).progress, lock: { key: 'k', isHeld: false } };
    const cancelled = { kind: 'cancelled', error: new Error('no') } as const;
    expect(decide(first, { progress, event: cancelled }, seededRandom(1)).progress).toMatchObject({ status: 'compensated', done: [] });
  });

  it('is known to be done once the saga is committed behind it', () => {
    const script = given(definition).when(done, done, failed()).expect('undo pay');
    expect(script.progress.done.at(-1)).toEqual({ step: 'pay' });
  });
});
