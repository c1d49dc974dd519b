import { strict as assert } from 'node:assert';
import type { BranchProgress } from '../../try-confirm-cancel/branch-decisions.js';
import type { NewBranch } from '../../try-confirm-cancel/branch.store.port.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import type { Isolation } from '../../unit-of-work/unit-of-work.js';
import { assertBetween, assertFields } from './assertions.js';
import { eachOf, factsOf } from './store-fact.js';
import { begin, codeOf, inTransaction, start, type StoreFixture, type StoreProcess } from './store-kit.js';

const METHOD = 'contract.freeze';
/** Longer than a busy machine takes for the next statements. */
const SOON_MS = 3000;
const MINUTE_MS = 60_000;
const DAY_MS = 86_400_000;
const ISOLATIONS: readonly Isolation[] = ['READ COMMITTED', 'REPEATABLE READ', 'SERIALIZABLE'];
const CONFIRMED: BranchProgress = { status: 'confirmed', operation: 'confirm', attempts: 0, failure: undefined };
const FAILURE = { code: 'E_CONTRACT', message: 'broken' };
const PARKED: BranchProgress = { status: 'parked', operation: 'confirm', attempts: 3, failure: FAILURE };
const WAITING: BranchProgress = { ...PARKED, status: 'confirming', attempts: 1 };
const BY = { by: 'ann', reason: 'the contract', name: 'retry' };

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  const other = await start(database);
  const registering = (id: string, also: Partial<NewBranch> = {}, process = one) =>
    process.store.branches.register({ id, method: METHOD, arguments: '["a",1]', timeoutMs: MINUTE_MS, ...also });
  /** Begins and finishes a try; whether it could begin. */
  const tried = (id: string, result: string | undefined = '{"n":1}', process = one) =>
    inTransaction(process, async (tx) => {
      const isBegun = await process.store.branches.begin(tx, id);
      if (isBegun) await process.store.branches.finish(tx, id, result);
      return isBegun;
    });
  const claim = async (
    process: StoreProcess = one,
    also: { inHand?: readonly string[]; limit?: number; methods?: readonly string[] } = {},
  ) => (await process.store.branches.work.claim({ methods: [METHOD], inHand: [], limit: 10, ...also })).ids;
  /** What a process sees under the lock of a branch of its own. */
  const look = (id: string, process = one) =>
    inTransaction(process, async (tx) => {
      const locked = await process.store.branches.work.lock(tx, id, { waits: false });
      return typeof locked === 'string' ? locked : locked.branch;
    });
  /** Locks, changes and commits. */
  const change = (
    id: string,
    progress: BranchProgress,
    { afterMs, process = one }: { readonly afterMs?: number; readonly process?: StoreProcess } = {},
  ) =>
    inTransaction(process, async (tx) => {
      await process.store.branches.work.lock(tx, id, { waits: false });
      await process.store.branches.work.change(tx, id, { progress, afterMs });
    });
  return {
    database,
    one,
    other,
    registering,
    tried,
    claim,
    look,
    change,
    operations: one.store.branches.operations,
    work: one.store.branches.work,
    end: async () => {
      await Promise.all([one.close(), other.close()]);
      await database.drop();
    },
  };
}

type Scene = Awaited<ReturnType<typeof scene>>;

async function at(process: StoreProcess, isolation: Isolation): Promise<Transaction> {
  const { transactions } = process.store;
  return transactions.begin({ dataSource: transactions.dataSources[0], isolation, readOnly: false });
}

/** Makes the snapshot of a transaction older than whatever comes now. */
const look = ({ store }: StoreProcess, tx: Transaction) =>
  store.inbox.remember(tx, { subscriptionId: 1, keys: [{ source: 's', id: '1' }], ttlMs: DAY_MS });

/** Branches of tries: whoever writes the decision first decides, and no two transactions work on a branch at a time. */
export const BRANCH_FACTS = factsOf('branches', scene, {
  'are kept with their try, when it has finished': async ({ registering, tried, look, operations }) => {
    await registering('b1');
    assertFields(await look('b1'), { method: METHOD, arguments: '["a",1]', result: undefined, isTried: false, verdict: undefined });
    assert.equal(await tried('b1'), true);
    assertFields(await look('b1'), { result: '{"n":1}', isTried: true, progress: { status: 'trying', operation: undefined } });
    assertFields(await operations.find('b1'), { arguments: ['a', 1], result: { n: 1 }, isTried: true, status: 'trying' });
  },
  'know nothing of a try that was rolled back': async ({ registering, one, look }) => {
    await registering('b1');
    const tx = await begin(one);
    assert.equal(await one.store.branches.begin(tx, 'b1'), true);
    await one.store.branches.finish(tx, 'b1', '1');
    await tx.rollback();
    assertFields(await look('b1'), { result: undefined, isTried: false });
  },
  ...eachOf(
    ISOLATIONS,
    'are decided by the COMMIT of their unit at %s, though it is older than they are',
    (isolation) => async (given: Scene) => {
      const { one, registering, look: lookAt, work } = given;
      const tx = await at(one, isolation);
      await look(one, tx);
      const server = await registering('b1');
      await one.store.branches.commitWith(tx, { id: 'b1', server });
      await tx.commit();
      assert.equal(await work.decide('b1'), true);
      assertFields(await lookAt('b1'), { verdict: 'committed' });
    },
  ),
  ...eachOf(ISOLATIONS, 'that were decided against keep their unit from committing at %s', (isolation) => async (given: Scene) => {
    const { one, other, registering, look: lookAt } = given;
    const tx = await at(one, isolation);
    await look(one, tx);
    const server = await registering('b1');
    assert.equal(await other.store.branches.work.decide('b1'), true);
    await one.store.branches.commitWith(tx, { id: 'b1', server });
    assert.equal(await codeOf(tx.commit()), 'HF_TCC_DECIDED');
    assertFields(await lookAt('b1'), { verdict: 'rolled-back' });
  }),
  'are several in one unit, all decided or none': async ({ registering, one, other, look }) => {
    const ids = ['b1', 'b2', 'b3'];
    const servers = await Promise.all(ids.map((id) => registering(id)));
    const deciding = async (tx: Transaction) => {
      for (const [n, id] of ids.entries()) await one.store.branches.commitWith(tx, { id, server: servers[n] as string });
    };
    await other.store.branches.work.decide('b2');
    const refused = await begin(one);
    await deciding(refused);
    assert.equal(await codeOf(refused.commit()), 'HF_TCC_DECIDED');
    assert.deepEqual(
      [await look('b1'), await look('b3')].map((branch) => (branch as { verdict?: string }).verdict),
      [undefined, undefined],
    );
    ids.splice(1, 1);
    servers.splice(1, 1);
    await inTransaction(one, deciding);
    assert.deepEqual(
      [await look('b1'), await look('b3')].map((branch) => (branch as { verdict?: string }).verdict),
      ['committed', 'committed'],
    );
  },
  'keep a unit from committing on another server than they were registered with': async ({ registering, one, look }) => {
    await registering('b1');
    const tx = await begin(one);
    await one.store.branches.commitWith(tx, { id: 'b1', server: 'another life' });
    assert.equal(await codeOf(tx.commit()), 'HF_TCC_SERVER');
    assertFields(await look('b1'), { verdict: undefined });
  },
  'that were decided against, or have ended, or belong to somebody else let no try begin': async ({
    registering,
    tried,
    change,
    other,
    claim,
  }) => {
    for (const id of ['decided', 'ended', 'taken']) await registering(id, id === 'taken' ? { timeoutMs: 0 } : {});
    await other.store.branches.work.decide('decided');
    await change('ended', { ...CONFIRMED, status: 'cancelled', operation: 'cancel' });
    assert.deepEqual(await claim(other), ['taken']);
    for (const id of ['decided', 'ended', 'taken', 'never there']) assert.equal(await tried(id), false, id);
  },
  'cannot be ended while their try runs': async ({ registering, one, work }) => {
    await registering('b1');
    const tx = await begin(one);
    await one.store.branches.begin(tx, 'b1');
    assert.equal(await inTransaction(one, (second) => work.lock(second, 'b1', { waits: false })), 'busy');
    const waiting = inTransaction(one, (second) => work.lock(second, 'b1', { waits: true }));
    await one.store.branches.finish(tx, 'b1', undefined);
    await tx.commit();
    assertFields(await waiting, { branch: { isTried: true, result: undefined } });
  },
  'are left to their process until their time is up, or it is taken out': async ({ registering, claim, one, other, look, database }) => {
    await registering('soon', { timeoutMs: SOON_MS });
    await registering('later');
    assert.deepEqual(await claim(other), []);
    await new Promise((resolve) => setTimeout(resolve, SOON_MS + 10));
    assert.deepEqual(await claim(other), ['soon']);
    await database.execute(`update holdfast_node set seen_at = seen_at - interval '1 minute' where id = '${one.nodeId}'`);
    await other.store.nodes.heartbeat(other.nodeId);
    assert.deepEqual(await other.store.nodes.reap(other.nodeId, 10_000), [one.nodeId]);
    assert.deepEqual(await claim(other, { inHand: ['soon'] }), ['later']);
    // Its caller died, not its confirm or cancel.
    assertFields(await look('later', other), { deaths: 0 });
    assert.equal(await look('later'), 'gone');
  },
  'of a process that has left in good order are left to its units until their time is up': async ({ registering, claim, one, other }) => {
    await registering('b1');
    await one.store.nodes.leave(one.nodeId);
    await other.store.nodes.heartbeat(other.nodeId);
    await other.store.nodes.reap(other.nodeId, 10_000);
    assert.deepEqual(await claim(other), []);
  },
  'in whose end a process died are taken over with a death, until they are changed': async ({
    registering,
    claim,
    change,
    one,
    other,
    look,
  }) => {
    await registering('b1', { timeoutMs: 0 });
    await claim();
    await change('b1', WAITING, { afterMs: 0 });
    await claim();
    await one.store.nodes.leave(one.nodeId);
    assert.deepEqual(await claim(other), ['b1']);
    assertFields(await look('b1', other), { deaths: 1, progress: WAITING, revision: 1n });
    await change('b1', WAITING, { afterMs: 0, process: other });
    await claim(other);
    assertFields(await look('b1', other), { deaths: 0, revision: 2n });
  },
  'whose first confirm or cancel may have ended its process are taken over with a death, once they are decided': async (scene) => {
    const { registering, tried, claim, one, other, look, work, database } = scene;
    const server = await registering('confirmed');
    await tried('confirmed');
    await inTransaction(one, (tx) => one.store.branches.commitWith(tx, { id: 'confirmed', server }));
    await registering('cancelled');
    assert.equal(await work.decide('cancelled'), true);
    await registering('slow', { timeoutMs: 0 });
    assert.equal(await work.decide('slow'), true);
    assert.deepEqual(await claim(other), ['slow']);
    // Whoever had it lives.
    assertFields(await look('slow', other), { deaths: 0, verdict: 'rolled-back' });
    await registering('late', { timeoutMs: 0 });
    assert.equal(await work.decide('late'), true);
    await database.execute(`update holdfast_node set seen_at = seen_at - interval '2 minutes' where id = '${one.nodeId}'`);
    // Silent, and nobody has taken it out yet.
    assert.deepEqual(await claim(other, { inHand: ['slow'] }), ['late']);
    await other.store.nodes.heartbeat(other.nodeId);
    await other.store.nodes.reap(other.nodeId, 10_000);
    assert.deepEqual([...(await claim(other, { inHand: ['slow', 'late'] }))].sort(), ['cancelled', 'confirmed']);
    for (const id of ['late', 'confirmed', 'cancelled']) assertFields(await look(id, other), { deaths: 1, progress: { status: 'trying' } });
  },
  'that are given back are anybody’s at once': async ({ registering, claim, other, work, look }) => {
    await registering('b1');
    await other.store.branches.work.release(['b1']);
    assert.deepEqual(await claim(other), []);
    await work.release(['b1']);
    assert.deepEqual(await claim(other), ['b1']);
    assertFields(await look('b1', other), { deaths: 0 });
  },
  'of a try that was never called say so': async ({ registering, tried, work, other, look }) => {
    await registering('b1');
    await registering('b2');
    await tried('b2');
    await other.store.branches.work.unbegun('b1');
    assertFields(await look('b1'), { isUnbegun: false });
    for (const id of ['b1', 'b2']) await work.unbegun(id);
    assertFields(await look('b1'), { isUnbegun: true });
    assertFields(await look('b2'), { isUnbegun: false, isTried: true });
  },
  'are claimed by processes that have their try, the longest due first, and not those in hand': async ({ registering, claim }) => {
    for (const id of ['a', 'b', 'c']) await registering(id, { timeoutMs: 0 });
    await registering('d', { timeoutMs: 0, method: 'another' });
    assert.deepEqual(await claim(undefined, { limit: 1 }), ['a']);
    assert.deepEqual(await claim(undefined, { inHand: ['a'] }), ['b', 'c']);
    assert.deepEqual(await claim(undefined, { methods: ['another'] }), ['d']);
  },
  'are claimed by one of several processes that look at the same time': async ({ registering, claim, one, other, work }) => {
    const ids = Array.from({ length: 10 }, (_, n) => `b${n}`);
    for (const id of ids) await registering(id);
    await work.release(ids);
    const both = await Promise.all([claim(one), claim(other)]);
    assert.deepEqual(both.flat().sort(), ids);
  },
  'keep the lock when what an attempt did is undone to its savepoint': async ({ registering, one, work, operations }) => {
    await registering('b1');
    await inTransaction(one, async (tx) => {
      const locked = await work.lock(tx, 'b1', { waits: false });
      assert.ok(typeof locked !== 'string');
      await one.store.inbox.remember(tx, { subscriptionId: 1, keys: [{ source: 's', id: '1' }], ttlMs: DAY_MS });
      await locked.savepoint.rollback();
      assert.equal(await inTransaction(one, (second) => work.lock(second, 'b1', { waits: false })), 'busy');
      await work.change(tx, 'b1', { progress: WAITING, afterMs: MINUTE_MS });
    });
    assertFields(await operations.find('b1'), { status: 'confirming', attempts: 1, failure: FAILURE });
  },
  'are due again when they say, and not when they have ended or wait for a person': async ({ registering, change, work }) => {
    for (const id of ['later', 'ended', 'parked']) await registering(id, { timeoutMs: 0 });
    await change('later', WAITING, { afterMs: MINUTE_MS });
    await change('ended', CONFIRMED);
    await change('parked', PARKED);
    const { ids, nextDueMs } = await work.claim({ methods: [METHOD], inHand: [], limit: 10 });
    assert.deepEqual(ids, []);
    assertBetween(nextDueMs as number, { least: MINUTE_MS - 10_000, most: MINUTE_MS });
  },
  'are changed by operators when they are parked, and written down': async ({ registering, change, operations, claim, database }) => {
    for (const id of ['b1', 'b2']) await registering(id);
    await change('b1', PARKED);
    const again = (progress: BranchProgress) => {
      assert.deepEqual(progress, PARKED);
      return { progress: { ...WAITING, attempts: 0 }, afterMs: 0 };
    };
    assertFields(await operations.operate('b1', BY, again), { method: METHOD, status: 'parked' });
    assertFields(await operations.operate('b1', BY, again), { status: 'confirming' });
    assertFields(await operations.operate('b2', BY, again), { status: 'trying' });
    assert.equal(await operations.operate('b3', BY, again), undefined);
    assert.deepEqual(await claim(), ['b1']);
    await database.execute(
      `do $$ begin assert (select array_agg(actor || ' ' || action || ' ' || target || ' ' || reason) from holdfast_audit) = array['ann branch retry b1 the contract']; end $$`,
    );
  },
  'are listed by pages, the newest first, with the filter': async ({ registering, change, operations }) => {
    const ids = Array.from({ length: 3 }, (_, n) => `00000000-0000-7000-8000-00000000000${n}`);
    for (const id of ids) await registering(id);
    await registering('00000000-0000-7000-8000-000000000009', { method: 'another' });
    await change(ids[1] as string, PARKED);
    const idsOf = async (filter: Parameters<typeof operations.list>[0]) => (await operations.list(filter)).items.map(({ id }) => id);
    const first = await operations.list({ method: METHOD, limit: 2 });
    assert.deepEqual(
      first.items.map(({ id }) => id),
      [ids[2], ids[1]],
    );
    assert.deepEqual(await idsOf({ method: METHOD, cursor: first.next }), [ids[0]]);
    assert.deepEqual(await idsOf({ status: 'parked' }), [ids[1]]);
    assert.deepEqual(await idsOf({ since: new Date(Date.now() + DAY_MS) }), []);
    assert.equal(await codeOf(operations.list({ limit: 0 })), 'HF_OPERATOR_PAGE');
    assert.equal(await codeOf(operations.list({ cursor: 'x' })), 'HF_OPERATOR_PAGE');
  },
  'that have not ended are told by try, besides those that are known': async ({ registering, change, operations }) => {
    for (const id of ['a', 'b', 'c']) await registering(id, { method: id === 'c' ? 'another' : METHOD });
    await change('b', CONFIRMED);
    assert.deepEqual(await operations.openBesides([]), [
      { method: 'another', count: 1 },
      { method: METHOD, count: 1 },
    ]);
    assert.deepEqual(await operations.openBesides([METHOD]), [{ method: 'another', count: 1 }]);
  },
  'of one service are not seen by another': async ({ database, registering }) => {
    await registering('b1', { timeoutMs: 0 });
    const stranger = await start(database, { service: 'stranger' });
    try {
      const { work, operations } = stranger.store.branches;
      assert.deepEqual((await work.claim({ methods: [METHOD], inHand: [], limit: 10 })).ids, []);
      assert.equal(await operations.find('b1'), undefined);
      assert.deepEqual((await operations.list({})).items, []);
      assert.equal(await operations.operate('b1', BY, (progress) => ({ progress, afterMs: undefined })), undefined);
    } finally {
      await stranger.close();
    }
  },
  'that ended long ago are deleted, and their decisions when no unit can write them any more': async (given) => {
    const { database, registering, change, operations, one, work } = given;
    for (const id of ['done', 'undone', 'new', 'open', 'parked']) {
      const server = await registering(id);
      if (id === 'undone') await work.decide(id);
      else await inTransaction(one, (tx) => one.store.branches.commitWith(tx, { id, server }));
    }
    for (const id of ['done', 'undone', 'new']) await change(id, CONFIRMED);
    await change('parked', PARKED);
    const decisions = async (count: number) =>
      database.execute(
        `do $$ begin assert (select count(*) from holdfast_guard) = ${count}, (select string_agg(key, ' ') from holdfast_guard); end $$`,
      );
    await database.execute(`update holdfast_branch set ended_at = ended_at - interval '2 days' where id <> 'new';
      update holdfast_guard set decided_at = decided_at - interval '2 days'`);
    assert.deepEqual([await operations.trim(DAY_MS, 1), await operations.trim(DAY_MS, 10), await operations.trim(DAY_MS, 10)], [1, 1, 0]);
    assert.deepEqual(
      (await operations.list({})).items.map(({ id }) => id),
      ['parked', 'open', 'new'],
    );
    await decisions(4);
    await database.execute(`update holdfast_guard set decided_at = decided_at - interval '30 days'`);
    await operations.trim(DAY_MS, 10);
    await decisions(3);
  },
});
