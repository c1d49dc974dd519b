import { strict as assert } from 'node:assert';
import type { GuardedStep, StepMark } from '../../saga/step-guard.store.port.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';
import { factsOf } from './store-fact.js';
import { begin, inTransaction, start, type StoreFixture } from './store-kit.js';

const RUN: GuardedStep = { sagaId: 's-1', sagaNumber: '7', step: 'pay', operation: 'run' };
const DAY_MS = 86_400_000;

/** What each fact begins with: the store's own DataSource stands for the other one. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const process = await start(database);
  const stranger = await start(database, { service: 'stranger' });
  const { stepGuards, transactions } = process.store;
  const [home] = transactions.dataSources;
  const entering = (tx: Transaction, step: GuardedStep = RUN, mark: StepMark = 'done') =>
    stepGuards.enter(tx, { step, mark, mayBeHeld: false });
  const strange = () => inTransaction(stranger, (tx) => stranger.store.stepGuards.enter(tx, { step: RUN, mark: 'done', mayBeHeld: false }));
  return {
    database,
    process,
    stranger,
    stepGuards,
    home,
    entering,
    strange,
    entered: (step?: GuardedStep, mark?: StepMark) => inTransaction(process, (tx) => entering(tx, step, mark)),
    end: async () => {
      await Promise.all([process.close(), stranger.close()]);
      await database.drop();
    },
  };
}

/** Facts about guard rows of steps that run in another DataSource. */
export const STEP_GUARD_FACTS = factsOf('guard rows of steps elsewhere', scene, {
  'have a table that is made once where it is missing, also by two nodes at once': async ({ stepGuards, stranger, home }) => {
    assert.deepEqual(await stepGuards.without([home]), [home]);
    await Promise.all([stepGuards.create([home]), stranger.store.stepGuards.create([home])]);
    assert.deepEqual(await stepGuards.without([home]), []);
  },
  'are there with the commit of their step, with what it has left, and gone with its rollback': async (given) => {
    const { stepGuards, process, home, entering, entered, strange } = given;
    await stepGuards.create([home]);
    const undone = await begin(process);
    assert.equal(await entering(undone), undefined);
    await undone.rollback();
    await inTransaction(process, async (tx) => {
      assert.equal(await entering(tx), undefined);
      await stepGuards.keep(tx, RUN, '{"paid":true}');
    });
    assert.deepEqual(await entered(), { mark: 'done', result: '{"paid":true}' });
    // Another step, another direction, another life of the id, another service: each is another one.
    for (const other of [{ step: 'ship' }, { operation: 'undo' }, { sagaNumber: '8' }, { sagaId: 's-2' }] as const)
      assert.equal(await entered({ ...RUN, ...other }), undefined);
    assert.equal(await strange(), undefined);
  },
  'are found by whoever comes second, once the first one has ended: a barred step never runs': async (given) => {
    const { stepGuards, process, home, entering, entered } = given;
    await stepGuards.create([home]);
    const first = await begin(process);
    await entering(first, RUN, 'barred');
    let hasAnswered = false;
    const second = entered().then((found) => {
      hasAnswered = true;
      return found;
    });
    await new Promise((resolve) => setTimeout(resolve, 100));
    assert.equal(hasAnswered, false);
    await first.commit();
    assert.deepEqual(await second, { mark: 'barred', result: undefined });
    assert.deepEqual(await entered(), { mark: 'barred', result: undefined });
  },
  'are taken from whoever works on their saga no more, by the end of his session': async (given) => {
    const { stepGuards, process, home, entering, entered } = given;
    await stepGuards.create([home]);
    const [frozen, other] = [await begin(process), await begin(process)];
    await Promise.all([entering(frozen), entering(other, { ...RUN, step: 'ship' })]);
    const found = await inTransaction(process, (tx) => stepGuards.enter(tx, { step: RUN, mark: 'done', mayBeHeld: true }));
    assert.equal(found, undefined);
    await assert.rejects(frozen.commit());
    await other.commit();
    assert.deepEqual(await entered({ ...RUN, step: 'ship' }), { mark: 'done', result: undefined });
  },
  'are taken so from whoever undoes the step, and has found that it ran': async (given) => {
    const { stepGuards, process, home, entering, entered } = given;
    await stepGuards.create([home]);
    await entered();
    const frozen = await begin(process);
    const undo: GuardedStep = { ...RUN, operation: 'undo' };
    await entering(frozen, undo);
    assert.deepEqual(await entering(frozen, RUN, 'barred'), { mark: 'done', result: undefined });
    const found = await inTransaction(process, (tx) => stepGuards.enter(tx, { step: undo, mark: 'done', mayBeHeld: true }));
    assert.equal(found, undefined);
    await assert.rejects(frozen.commit());
  },
  'that are old are deleted, so many at a time, and those of other services are left': async (given) => {
    const { stepGuards, strange, database, home, entered } = given;
    await stepGuards.create([home]);
    for (const step of ['a', 'b', 'new']) await entered({ ...RUN, step });
    await strange();
    await database.execute(`update holdfast_step_guard set at = at - interval '2 days' where step <> 'new'`);
    const trim = () => stepGuards.trim([home], DAY_MS, 1);
    assert.deepEqual([await trim(), await trim(), await trim()], [1, 1, 0]);
    assert.deepEqual(await entered({ ...RUN, step: 'new' }), { mark: 'done', result: undefined });
    assert.deepEqual(await strange(), {
      mark: 'done',
      result: undefined,
    });
  },
});
