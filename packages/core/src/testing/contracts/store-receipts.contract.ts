import { strict as assert } from 'node:assert';
import type { GivenReceipt } from '../../receipt/receipt.store.port.js';
import { factsOf } from './store-fact.js';
import { declare, inTransaction, register, type StoreFixture, start, TYPE } from './store-kit.js';

const DAY_MS = 86_400_000;

/** What each fact begins with. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const one = await start(database);
  await register(one, declare('contract.reader'), declare('contract.other', { types: ['contract.other'] }));
  const expectOf = (id: string, delayMs = 0) => inTransaction(one, (tx) => one.store.receipts.expect(tx, [{ id, type: TYPE, delayMs }]));
  const receipt = (id: string, also: Partial<GivenReceipt> = {}): GivenReceipt => ({
    message: { source: 'contract', id },
    subscription: 'contract.reader',
    service: 'contract',
    status: 'consumed',
    ...also,
  });
  const give = (...receipts: readonly GivenReceipt[]) => inTransaction(one, (tx) => one.store.receipts.give(tx, receipts));
  const statuses = async (id: string) =>
    (await one.store.receipts.find(id)).given.map(({ subscription, status }) => `${subscription} ${status}`);
  return {
    expectOf,
    one,
    give,
    receipt,
    statuses,
    database,
    end: async () => {
      await one.close();
      await database.drop();
    },
  };
}

/** Receipts, as every store must keep them. */
export const RECEIPT_FACTS = factsOf('receipts', scene, {
  'are expected of the subscriptions of the type that are known, until they are given': async ({ expectOf, one, give, receipt }) => {
    await expectOf('1');
    assert.deepEqual(await one.store.receipts.find('1'), { given: [], expected: ['contract.reader'] });
    await give(receipt('1'), receipt('1'), receipt('1', { subscription: 'elsewhere', service: 'billing' }));
    const { given, expected } = await one.store.receipts.find('1');
    assert.deepEqual(expected, []);
    assert.deepEqual(given.map(({ service, subscription }) => `${service} ${subscription}`).sort(), [
      'billing elsewhere',
      'contract contract.reader',
    ]);
  },
  'turn from dead-lettered into consumed, and not back': async ({ give, receipt, statuses }) => {
    await give(receipt('1', { status: 'dead-lettered' }));
    assert.deepEqual(await statuses('1'), ['contract.reader dead-lettered']);
    await give(receipt('1'));
    await give(receipt('1', { status: 'dead-lettered' }));
    assert.deepEqual(await statuses('1'), ['contract.reader consumed']);
  },
  'are found by the service whose message it was, and by no other': async ({ give, receipt, statuses }) => {
    await give(receipt('1'), receipt('2', { message: { source: 'elsewhere', id: '2' } }));
    assert.deepEqual([await statuses('1'), await statuses('2')], [['contract.reader consumed'], []]);
  },
  'are gone with the transaction that is rolled back': async ({ one, receipt }) => {
    const failing = inTransaction(one, async (tx) => {
      await one.store.receipts.expect(tx, [{ id: '1', type: TYPE, delayMs: 0 }]);
      await one.store.receipts.give(tx, [receipt('1')]);
      throw new Error('no');
    });
    await assert.rejects(failing, /no/);
    assert.deepEqual(await one.store.receipts.find('1'), { given: [], expected: [] });
  },
  'are trimmed when they are old, a bounded number, and not those of a message that is still to come': async ({
    give,
    receipt,
    expectOf,
    one,
    database,
  }) => {
    for (const id of ['1', '2', '3']) await give(receipt(id));
    await expectOf('delayed', 30 * DAY_MS);
    assert.equal(await one.store.receipts.trim(10), 0);
    await database.execute(`update holdfast_receipt set expires_at = expires_at - interval '8 days'`);
    assert.deepEqual([await one.store.receipts.trim(2), await one.store.receipts.trim(2)], [2, 1]);
    assert.deepEqual((await one.store.receipts.find('delayed')).expected, ['contract.reader']);
  },
});
