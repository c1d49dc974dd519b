import { strict as assert } from 'node:assert';
import type { SagaProgress } from '../../saga/saga-progress.js';
import type { NewSaga, SagaChange, SagaOutline, SagaReach, SagaVersion, StoredSaga } from '../../saga/saga.store.port.js';
import { assertFields } from './assertions.js';
import { factsOf } from './store-fact.js';
import { begin, codeOf, inTransaction, start, type StoreFixture, type StoreProcess } from './store-kit.js';

const VERSION: SagaOutline = { saga: 'contract', version: 1, outline: 'a, b' };
const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;
const BEGUN: SagaProgress = {
  status: 'running',
  at: [{ step: 'a', way: 'running', attempts: 0, callMs: 0 }],
  done: [],
  leftOut: [],
  lock: undefined,
  failure: undefined,
  parked: undefined,
};
const FAILURE = { step: 'b', code: 'E_CONTRACT', message: 'broken' };
const PARKED: SagaProgress = { ...BEGUN, status: 'parked', parked: { while: 'running', failure: FAILURE } };
const ENDED: SagaProgress = { ...BEGUN, status: 'completed', at: [], done: [{ step: 'a' }] };
const BY = { by: 'ann', reason: 'the contract', name: 'resume' };

/** It waits for others. */
const WAITS = { afterMs: undefined, isTaken: false };
const NO_REACH: SagaReach = { seen: [], awaits: [], awaitsNoMore: [], tells: [] };
const arrivedAt = (saga: StoredSaga | undefined) => saga?.arrived.map(({ event }) => event) ?? [];

const changeOf = (id: string, also: Partial<SagaChange> = {}): SagaChange => ({
  id,
  state: undefined,
  progress: BEGUN,
  notes: [],
  afterMs: 0,
  isTaken: true,
  ...also,
});

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const other = await start(database);
  const starting = (id: string, also: Partial<NewSaga> = {}, process = one) =>
    inTransaction(process, (tx) =>
      process.store.sagas.start(tx, {
        ...VERSION,
        id,
        state: '{"n":1}',
        progress: BEGUN,
        notes: [{ step: undefined, event: 'started', detail: undefined }],
        timeoutMs: undefined,
        isTaken: false,
        ...also,
      }),
    );
  const claim = async (
    { store }: StoreProcess = one,
    also: { inHand?: readonly string[]; limit?: number; versions?: SagaVersion[] } = {},
  ) => (await store.sagas.claim({ versions: [VERSION], inHand: [], limit: 10, ...also })).ids;
  /** Locks, changes and commits. */
  const change = (id: string, also: Partial<SagaChange> = {}, process = one) =>
    inTransaction(process, async (tx) => {
      const locked = await process.store.sagas.lock(tx, id, { waits: false });
      if (locked !== undefined) await process.store.sagas.change(tx, changeOf(id, also));
      return locked?.saga;
    });
  return {
    database,
    one,
    other,
    starting,
    claim,
    change,
    operations: one.store.sagas.operations,
    end: async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    },
  };
}

/** Sagas: an instance is worked on by one process at a time, and what is written about it commits together. */
export const SAGA_FACTS = factsOf('sagas', scene, {
  'are started once under an id, and a second start is told which saga has it': async ({ starting, operations }) => {
    assert.deepEqual(await starting('x'), { isStarted: true, saga: 'contract' });
    assert.deepEqual(await starting('x', { saga: 'another', state: '{}' }), { isStarted: false, saga: 'contract' });
    assertFields([await operations.look('x')], [{ state: '{"n":1}', progress: BEGUN }]);
  },
  'that are started at the same time are started once': async ({ starting, one, other }) => {
    const both = await Promise.all([starting('x', {}, one), starting('x', { saga: 'another' }, other)]);
    assert.deepEqual(both.map(({ isStarted }) => isStarted).sort(), [false, true]);
    assert.equal(new Set(both.map(({ saga }) => saga)).size, 1);
  },
  'are not there when the transaction of their start is rolled back': async ({ one, operations, claim }) => {
    const tx = await begin(one);
    const saga: NewSaga = { ...VERSION, id: 'x', state: '{}', progress: BEGUN, notes: [], timeoutMs: undefined, isTaken: true };
    await one.store.sagas.start(tx, saga);
    await tx.rollback();
    assert.equal(await operations.find('x'), undefined);
    assert.deepEqual(await claim(), []);
  },
  'are claimed by processes that have their version, the longest due first, and not those in hand': async ({ starting, claim }) => {
    for (const id of ['a', 'b', 'c']) await starting(id);
    await starting('d', { version: 2 });
    assert.deepEqual(await claim(undefined, { limit: 1 }), ['a']);
    assert.deepEqual(await claim(undefined, { inHand: ['a'] }), ['b', 'c']);
    assert.deepEqual(await claim(undefined, { versions: [{ saga: 'contract', version: 2 }] }), ['d']);
  },
  'are claimed by one of several processes that look at the same time': async ({ starting, claim, one, other }) => {
    const ids = Array.from({ length: 10 }, (_, n) => `s${n}`);
    for (const id of ids) await starting(id);
    const both = await Promise.all([claim(one), claim(other)]);
    assert.deepEqual(both.flat().sort(), ids);
  },
  'that a process works on are left to it as long as it is registered; then a death is counted, until they are changed': async ({
    starting,
    claim,
    change,
    one,
    other,
  }) => {
    for (const id of ['started', 'told']) await starting(id, { isTaken: true });
    await starting('claimed');
    await change('told', { afterMs: HOUR_MS, isTaken: false });
    await inTransaction(one, (tx) => one.store.sagas.tell(tx, [{ id: 'told', event: { kind: 'answered', id: 'r' } }]));
    const all = ['claimed', 'started', 'told'];
    assert.deepEqual([...(await claim(one))].sort(), all);
    assert.deepEqual(await claim(other), []);
    await one.store.nodes.leave(one.nodeId);
    assert.deepEqual([...(await claim(other))].sort(), all);
    for (const id of ['claimed', 'told']) assertFields([await change(id, {}, other)], [{ deaths: 1, progress: BEGUN }]);
    assertFields([await change('claimed', {}, other)], [{ deaths: 0 }]);
  },
  'that are given back are anybody’s, with no death counted': async ({ starting, claim, change, one, other }) => {
    await starting('x', { isTaken: true });
    await other.store.sagas.release(['x']);
    assert.deepEqual(await claim(other), []);
    await one.store.sagas.release(['x']);
    assert.deepEqual(await claim(other), ['x']);
    assertFields([await change('x', {}, other)], [{ deaths: 0 }]);
  },
  'can be locked by whoever has claimed them, and by nobody else meanwhile': async ({ starting, one, other }) => {
    await starting('x', { isTaken: true });
    const { sagas } = one.store;
    const tx = await begin(one);
    assertFields(
      [(await sagas.lock(tx, 'x', { waits: false }))?.saga],
      [{ id: 'x', ...VERSION, state: '{"n":1}', revision: 0n, isOverdue: false }],
    );
    assert.equal(await inTransaction(one, (second) => sagas.lock(second, 'x', { waits: false })), undefined);
    assert.equal(await inTransaction(other, (second) => other.store.sagas.lock(second, 'x', { waits: true })), undefined);
    const waiting = inTransaction(one, (second) => sagas.lock(second, 'x', { waits: true }));
    await sagas.change(tx, changeOf('x', { state: '{"n":2}' }));
    await tx.commit();
    assertFields([(await waiting)?.saga], [{ state: '{"n":2}', revision: 1n }]);
  },
  'keep the lock when what an attempt did is undone to its savepoint': async ({ starting, one }) => {
    await starting('x', { isTaken: true });
    const { sagas } = one.store;
    await inTransaction(one, async (tx) => {
      const locked = await sagas.lock(tx, 'x', { waits: false });
      await sagas.start(tx, { ...VERSION, id: 'y', state: '{}', progress: BEGUN, notes: [], timeoutMs: undefined, isTaken: false });
      await locked?.savepoint.rollback();
      assert.equal(await inTransaction(one, (second) => sagas.lock(second, 'x', { waits: false })), undefined);
      await sagas.change(tx, changeOf('x', { progress: { ...BEGUN, at: [{ step: 'a', way: 'running', attempts: 1, callMs: 0 }] } }));
    });
    assert.equal(await sagas.operations.find('y'), undefined);
    assertFields([await sagas.operations.find('x')], [{ attempts: 1 }]);
  },
  'are changed with the commit, or not at all': async ({ starting, one, operations }) => {
    await starting('x', { isTaken: true });
    const tx = await begin(one);
    await one.store.sagas.lock(tx, 'x', { waits: false });
    await one.store.sagas.change(
      tx,
      changeOf('x', { state: '{"n":2}', progress: ENDED, notes: [{ step: 'a', event: 'done', detail: undefined }] }),
    );
    await tx.rollback();
    assertFields([await operations.look('x')], [{ state: '{"n":1}', progress: BEGUN }]);
    assert.equal((await operations.find('x'))?.history.length, 1);
  },
  'are due again when they say, and not when they have ended or wait for a person': async ({ starting, claim, change, one }) => {
    for (const id of ['later', 'ended', 'parked']) await starting(id, { isTaken: true });
    await change('later', { afterMs: HOUR_MS, isTaken: false });
    await change('ended', { progress: ENDED, afterMs: undefined, isTaken: false });
    await change('parked', { progress: PARKED, afterMs: undefined, isTaken: false });
    const { ids, nextDueMs } = await one.store.sagas.claim({ versions: [VERSION], inHand: [], limit: 10 });
    assert.deepEqual(ids, []);
    assert.ok(nextDueMs !== undefined && nextDueMs > HOUR_MS - 60_000 && nextDueMs <= HOUR_MS, `next due in ${nextDueMs} ms`);
    assert.deepEqual(await claim(), []);
  },
  'are due when their time is over, at the latest, and only on their way forward': async ({ starting, change, one }) => {
    for (const id of ['forward', 'back']) await starting(id, { isTaken: true, timeoutMs: 50 });
    await change('forward', { afterMs: HOUR_MS });
    await change('back', { afterMs: HOUR_MS, progress: { ...BEGUN, status: 'compensating', failure: FAILURE } });
    await new Promise((resolve) => setTimeout(resolve, 60));
    const { ids } = await one.store.sagas.claim({ versions: [VERSION], inHand: [], limit: 10 });
    assert.deepEqual(ids, ['forward']);
    assertFields([await change('forward')], [{ isOverdue: true }]);
  },
  'are changed by operators when nobody has them locked, and written down': async ({ starting, claim, change, one, other, database }) => {
    await starting('x', { isTaken: true });
    await change('x', { progress: PARKED, afterMs: undefined, isTaken: false });
    const { operations } = other.store.sagas;
    const refused = operations.operate('x', BY, () => {
      throw new Error('no');
    });
    await assert.rejects(refused, /no/);
    assertFields([await operations.find('x')], [{ status: 'parked', failure: FAILURE }]);
    const note = { step: 'a', event: 'resumed', detail: 'ann: the contract' } as const;
    const isThere = await operations.operate('x', BY, ({ id, progress }) => {
      assertFields(progress, PARKED);
      return changeOf(id, { notes: [note], isTaken: false });
    });
    assert.equal(isThere, true);
    assertFields((await operations.find('x'))?.history.slice(-1) ?? [], [note]);
    assert.deepEqual(await claim(one), ['x']);
    assert.equal(await operations.operate('y', BY, ({ id }) => changeOf(id)), false);
    await database.execute(
      `do $$ begin assert (select count(*) from holdfast_audit where action = 'saga resume' and target = 'x' and actor = 'ann') = 1; end $$`,
    );
  },
  'are listed by pages, the last started first, with the filter': async ({ starting, change, operations }) => {
    for (const id of ['a', 'b', 'c']) await starting(id, { isTaken: true });
    await starting('d', { saga: 'another', isTaken: true });
    const [at] = BEGUN.at as [(typeof BEGUN.at)[0]];
    await change('b', { progress: { ...PARKED, at: [at, { ...at, step: FAILURE.step }] }, afterMs: undefined });
    const idsOf = async (filter: Parameters<typeof operations.list>[0]) => (await operations.list(filter)).items.map(({ id }) => id);
    const first = await operations.list({ saga: 'contract', limit: 2 });
    assert.deepEqual(
      first.items.map(({ id }) => id),
      ['c', 'b'],
    );
    assert.deepEqual(await idsOf({ saga: 'contract', cursor: first.next }), ['a']);
    assert.deepEqual(await idsOf({ status: 'parked' }), ['b']);
    // Of several steps at work the one that a person is asked about.
    assertFields((await operations.list({ status: 'parked' })).items, [{ id: 'b', step: FAILURE.step }]);
    const asleep = { ...BEGUN, at: [{ ...at, callMs: undefined, waits: [{ kind: 'time', untilMs: 1 } as const] }] };
    await change('a', { progress: asleep, afterMs: HOUR_MS });
    await change('d', { progress: { ...BEGUN, lock: { key: 'k', isHeld: false } }, afterMs: undefined });
    assert.deepEqual([await idsOf({ status: 'waiting' }), await idsOf({ status: 'running' })], [['d', 'a'], ['c']]);
    assert.deepEqual([(await operations.find('a'))?.status, (await operations.find('d'))?.status], ['waiting', 'waiting']);
    assert.deepEqual(await idsOf({ since: new Date(Date.now() + HOUR_MS) }), []);
    assert.equal(await codeOf(operations.list({ limit: 0 })), 'HF_OPERATOR_PAGE');
  },
  'that have not ended are told by definition, besides those that are known': async ({ starting, change, operations }) => {
    for (const id of ['a', 'b', 'c']) await starting(id, { isTaken: true });
    for (const version of [1, 3, 2]) await starting(`d${version}`, { saga: 'another', version });
    await change('b', { progress: PARKED, afterMs: undefined });
    await change('c', { progress: ENDED, afterMs: undefined });
    const contract = { ...VERSION, count: 2 };
    const others = [1, 2, 3].map((version) => ({ ...VERSION, saga: 'another', version, count: 1 }));
    assert.deepEqual(await operations.openBesides([]), [...others, contract]);
    assert.deepEqual(await operations.openBesides([VERSION, { ...VERSION, saga: 'another', version: 2 }]), [others[0], others[2]]);
    await starting('e', { outline: 'b, a' });
    const changed = { ...VERSION, outline: 'b, a', count: 1 };
    assert.deepEqual(await operations.openBesides([VERSION, ...others]), [changed]);
    assert.deepEqual(await operations.openBesides([changed, ...others]), [contract]);
  },
  'are told what comes from elsewhere, due at once, until it is seen, and those that have ended are not': async ({
    starting,
    claim,
    change,
    other,
  }) => {
    for (const id of ['x', 'ended']) await starting(id, { isTaken: true });
    await change('x', { afterMs: HOUR_MS, isTaken: false });
    await change('ended', { progress: ENDED, afterMs: undefined, isTaken: false });
    const events = [1, 2].map((value) => ({ kind: 'answered', id: 'r', value }) as const);
    const tellings = ['x', 'ended', 'nobody'].flatMap((id) => events.map((event) => ({ id, event })));
    await inTransaction(other, (tx) => other.store.sagas.tell(tx, tellings));
    assert.deepEqual(await claim(), ['x']);
    const stored = await change('x', WAITS);
    assert.deepEqual(arrivedAt(stored), events);
    assert.deepEqual(await claim(), ['x']);
    const seen = stored?.arrived.slice(0, 1).map(({ number }) => number) ?? [];
    assert.deepEqual(arrivedAt(await change('x', { ...WAITS, reach: { ...NO_REACH, seen } })), events);
    assert.deepEqual(await claim(), ['x']);
    assert.deepEqual(arrivedAt(await change('x', { ...WAITS, isDeaf: true })), events.slice(1));
    assert.deepEqual(await claim(), []);
  },
  'are not told what was rolled back': async ({ starting, claim, change, one }) => {
    await starting('x', { isTaken: true });
    await change('x', WAITS);
    const tx = await begin(one);
    await one.store.sagas.tell(tx, [{ id: 'x', event: { kind: 'answered', id: 'r' } }]);
    await tx.rollback();
    assert.deepEqual(await claim(), []);
  },
  'tell each other with their commits': async ({ starting, change, claim }) => {
    for (const id of ['parent', 'child']) await starting(id, { isTaken: true });
    await change('parent', WAITS);
    const tells = [{ id: 'parent', event: { kind: 'ended', id: 'child', state: { n: 2 } } } as const];
    await change('child', { progress: ENDED, afterMs: undefined, reach: { ...NO_REACH, tells } });
    assert.deepEqual(await claim(), ['parent']);
    assert.deepEqual(arrivedAt(await change('parent')), [tells[0]?.event]);
  },
  'are told texts that no column could hold as they are, with a NUL or half of a surrogate pair': async ({
    starting,
    change,
    claim,
    one,
  }) => {
    const text = '\0 \ud800 \\u0000 😀';
    for (const id of ['parent', 'child']) await starting(id, { isTaken: true });
    await change('parent', { ...WAITS, reach: { ...NO_REACH, awaits: [{ type: 'paid', key: 'k' }] } });
    const answered = { kind: 'answered', id: 'r', value: text } as const;
    const ended = { kind: 'ended', id: 'child', state: { text } } as const;
    await inTransaction(one, (tx) => one.store.sagas.tell(tx, [{ id: 'parent', event: answered }]));
    await change('child', { progress: ENDED, afterMs: undefined, reach: { ...NO_REACH, tells: [{ id: 'parent', event: ended }] } });
    await inTransaction(one, (tx) => one.store.sagas.signal(tx, { type: 'paid', key: 'k', value: { text } }));
    assert.deepEqual(await claim(), ['parent']);
    assert.deepEqual(arrivedAt(await change('parent')), [answered, ended, { kind: 'signalled', type: 'paid', key: 'k', value: { text } }]);
  },
  'are told what a person wants, also while they are parked and deaf': async ({ starting, claim, change, operations }) => {
    await starting('x', { isTaken: true });
    await change('x', { progress: PARKED, afterMs: undefined, isTaken: false, isDeaf: true });
    const tells = [{ id: 'x', event: { kind: 'resumed', by: 'ann' } } as const];
    await operations.operate('x', BY, ({ id, progress }) =>
      changeOf(id, { progress, afterMs: undefined, isTaken: false, reach: { ...NO_REACH, tells } }),
    );
    assert.deepEqual(await claim(), ['x']);
    assert.deepEqual(arrivedAt(await change('x')), [tells[0]?.event]);
  },
  'meet what they wait for, whoever comes first, once': async ({ starting, change, claim, one }) => {
    const awaits = [{ type: 'paid', key: 'k' }];
    const awaiting = async (id: string) => {
      await starting(id, { isTaken: true });
      await change(id, { ...WAITS, reach: { ...NO_REACH, awaits } });
    };
    const signal = (value: unknown, key = 'k') => inTransaction(one, (tx) => one.store.sagas.signal(tx, { type: 'paid', key, value }));
    const seenBy = async (id: string) => {
      assert.deepEqual(await claim(), [id]);
      const stored = await change(id);
      await change(id, { ...WAITS, reach: { ...NO_REACH, seen: stored?.arrived.map(({ number }) => number) ?? [] } });
      return arrivedAt(stored).map((event) => (event.kind === 'signalled' ? event.value : event));
    };
    await awaiting('early');
    await signal({ n: 1 }, 'another');
    assert.deepEqual(await claim(), []);
    await signal({ n: 2 });
    assert.deepEqual(await seenBy('early'), [{ n: 2 }]);
    await signal({ n: 3 });
    await signal({ n: 4 });
    await awaiting('late');
    assert.deepEqual(await seenBy('late'), [{ n: 4 }]);
    await awaiting('third');
    assert.deepEqual(await claim(), []);
  },
  'that wait for one message at two places have it once': async ({ starting, change, claim, one }) => {
    await starting('x', { isTaken: true });
    const paid = { type: 'paid', key: 'k' };
    await change('x', { ...WAITS, reach: { ...NO_REACH, awaits: [paid, { type: 'paid', key: 'other' }, paid] } });
    await inTransaction(one, (tx) => one.store.sagas.signal(tx, { ...paid, value: 1 }));
    assert.deepEqual(await claim(), ['x']);
    assert.deepEqual(arrivedAt(await change('x')), [{ kind: 'signalled', ...paid, value: 1 }]);
  },
  'that wait for a message no more leave it to others': async ({ starting, change, claim, one }) => {
    for (const id of ['gone', 'other']) await starting(id, { isTaken: true });
    const paid = [{ type: 'paid', key: 'k' }];
    await change('gone', { reach: { ...NO_REACH, awaits: paid } });
    await change('gone', { ...WAITS, reach: { ...NO_REACH, awaitsNoMore: paid } });
    await inTransaction(one, (tx) => one.store.sagas.signal(tx, { type: 'paid', key: 'k', value: 1 }));
    await change('other', { ...WAITS, reach: { ...NO_REACH, awaits: paid } });
    assert.deepEqual(await claim(), ['other']);
  },
  'hold a business key one after another, and give back what they do not hold': async ({ starting, change, claim, one }) => {
    const { sagas } = one.store;
    const claimKey = (id: string, key = 'k') => inTransaction(one, (tx) => sagas.claimKey(tx, { key, id }));
    const queue = (id: string, key = 'k') => inTransaction(one, (tx) => sagas.queueForKey(tx, { key, id }));
    const holding = { ...BEGUN, lock: { key: 'k', isHeld: true } };
    assert.deepEqual([await claimKey('x'), await claimKey('y'), await queue('y'), await claimKey('z')], ['x', 'x', false, 'x']);
    await starting('x', { isTaken: true, progress: holding });
    await starting('y', { isTaken: true });
    await change('y', WAITS);
    assert.equal(await claimKey('x', 'other'), undefined);
    assert.equal(await claimKey('z'), 'x');
    await change('x', { progress: { ...ENDED, lock: holding.lock }, afterMs: undefined, reach: { ...NO_REACH, frees: 'k' } });
    assert.deepEqual(await claim(), ['y']);
    assert.deepEqual(arrivedAt(await change('y', WAITS)), [{ kind: 'unlocked' }]);
    assert.equal(await claimKey('z'), 'y');
    // Of a second claim there is nothing to take back.
    assert.deepEqual([await claimKey('v', 'free'), await claimKey('v', 'free'), await claimKey('w', 'free')], ['v', undefined, 'v']);
    await inTransaction(one, (tx) => sagas.dropKey(tx, { key: 'free', id: 'v' }));
    assert.equal(await claimKey('w', 'free'), 'w');
    assert.deepEqual([await queue('w', 'free'), await queue('u', 'unheard of')], [true, true]);
  },
  'let whoever has a business key end while another one that wants it has not committed': async ({ starting, change, one }) => {
    const { sagas } = one.store;
    const lock = { key: 'k', isHeld: true };
    await inTransaction(one, (tx) => sagas.claimKey(tx, { key: 'k', id: 'x' }));
    await starting('x', { isTaken: true, progress: { ...BEGUN, lock } });
    await inTransaction(one, async (open) => {
      assert.equal(await sagas.claimKey(open, { key: 'k', id: 'z' }), 'x');
      await change('x', { progress: { ...ENDED, lock }, afterMs: undefined, reach: { ...NO_REACH, frees: 'k' } });
      assert.equal(await sagas.queueForKey(open, { key: 'k', id: 'z' }), true);
    });
  },
  'of one service are not seen by another': async ({ database, starting }) => {
    await starting('x');
    const stranger = await start(database, { service: 'stranger' });
    try {
      assert.deepEqual(await starting('x', { state: '{"n":3}' }, stranger), { isStarted: true, saga: 'contract' });
      assert.equal((await stranger.store.sagas.operations.look('x'))?.state, '{"n":3}');
      assert.equal((await stranger.store.sagas.operations.list({})).items.length, 1);
      assert.deepEqual((await stranger.store.sagas.claim({ versions: [VERSION], inHand: [], limit: 10 })).ids, ['x']);
    } finally {
      await stranger.close();
    }
  },
  'that ended long ago are deleted with their history, those that did not are kept': async ({ database, starting, change, operations }) => {
    for (const id of ['old', 'older', 'new', 'parked', 'open']) await starting(id, { isTaken: true });
    for (const id of ['old', 'older', 'new']) await change(id, { progress: ENDED, afterMs: undefined });
    await change('parked', { progress: PARKED, afterMs: undefined });
    await database.execute(
      `update holdfast_saga set started_at = started_at - interval '9 days', ended_at = ended_at - interval '9 days' where id <> 'new'`,
    );
    assert.deepEqual([await operations.trim(8 * DAY_MS, 1), await operations.trim(8 * DAY_MS, 10)], [1, 1]);
    const left = (await operations.list({})).items.map(({ id }) => id);
    assert.deepEqual(left, ['open', 'parked', 'new']);
    await database.execute(`do $$ begin assert (select count(distinct saga_id) from holdfast_saga_history) = 3; end $$`);
  },
  'that begin to wait while old signals are trimmed still meet what comes': async ({
    database,
    starting,
    change,
    claim,
    one,
    operations,
  }) => {
    for (const id of ['gone', 'x']) await starting(id, { isTaken: true });
    const paid = [{ type: 'paid', key: 'k' }];
    await change('gone', { reach: { ...NO_REACH, awaits: paid } });
    await change('gone', { ...WAITS, reach: { ...NO_REACH, awaitsNoMore: paid } });
    await change('x', WAITS);
    await database.execute(`update holdfast_saga_signal set at = at - interval '9 days'`);
    const beginning = database.execute(`begin; update holdfast_saga_signal set waiting = '{x}', at = now(); select pg_sleep(1); commit`);
    await new Promise((resolve) => setTimeout(resolve, 300));
    await Promise.all([beginning, operations.trim(8 * DAY_MS, 10)]);
    await inTransaction(one, (tx) => one.store.sagas.signal(tx, { type: 'paid', key: 'k', value: 1 }));
    assert.deepEqual(await claim(), ['x']);
  },
});
