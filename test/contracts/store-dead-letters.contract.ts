import type { DeadLetterFilter, DeliveryRecord } from '@holdfast/core';
import {
  begin,
  codeOf,
  declare,
  eventually,
  failureOf,
  inTransaction,
  messageOf,
  recordOf,
  register,
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
  takeIds,
} from './store-kit.js';

const BY = { by: 'contract', reason: 'the contract' };

/** Dead letters, as every store must keep them. */
export function storeDeadLettersContract(fixture: StoreFixture): void {
  describe('dead letters', () => {
    let database: StoreDatabase;
    let one: StoreProcess;
    let stranger: StoreProcess;
    let id: number;
    let orderedId: number;
    let theirId: number;

    beforeEach(async () => {
      database = await fixture();
      one = await start(database);
      stranger = await start(database, { service: 'stranger' });
      [id, orderedId] = (await register(one, declare('contract.reader'), declare('contract.ordered', { ordering: 'key' }))) as [
        number,
        number,
      ];
      [theirId] = (await register(stranger, declare('contract.reader'))) as [number];
    });

    afterEach(async () => {
      await Promise.all([one.close(), stranger.close()]);
      await database.drop();
    });

    const dead = (name: string, also: Partial<DeliveryRecord> = {}): DeliveryRecord =>
      recordOf(id, name, { state: 'dead', attempts: 5, ...also });
    const store = async (...records: readonly DeliveryRecord[]) => {
      // One transaction each, so that they died one after another.
      for (const record of records) await inTransaction(one, (tx) => one.store.deliveries.record(tx, [record]));
    };
    const list = async (filter: DeadLetterFilter = {}) => (await one.store.deadLetters.list(filter)).items.map(({ message }) => message.id);
    const idOf = async (name: string) => (await one.store.deadLetters.list({})).items.find(({ message }) => message.id === name)!.id;
    const due = (subscriptionId = id) => takeIds(one, one.store.deliveries.intake(subscriptionId));
    const finish = (subscriptionId: number, name: string) =>
      inTransaction(one, (tx) => one.store.deliveries.close(tx, { subscriptionId, blocksKeys: false }, [{ source: 'orders', id: name }]));

    it('are listed newest first, with everything a person needs, and none of those that are still tried', async () => {
      await store(
        dead('1'),
        dead('2', { state: 'retry' }),
        dead('3', { state: 'waiting', key: 'k' }),
        dead('4', { state: 'invalid', identity: undefined, failure: failureOf('unreadable') }),
      );
      const { items, next } = await one.store.deadLetters.list({});
      expect(next).toBeUndefined();
      expect(items).toMatchObject([
        { subscription: 'contract.reader', message: { id: '', source: '', type: messageOf('4').type }, error: { message: 'unreadable' } },
        {
          subscription: 'contract.reader',
          message: { id: '1', source: 'orders', key: undefined },
          attempts: 5,
          error: { code: 'E_CONTRACT', message: 'broken', stack: 'Error: broken' },
          group: expect.stringContaining('contract.reader'),
        },
      ]);
      expect(Buffer.from(items[1]!.body)).toEqual(Buffer.from(messageOf('1').body));
      expect(Math.abs(items[1]!.deadAt.getTime() - Date.now())).toBeLessThan(60_000);
    });

    it('are listed page by page, each once, also when others die meanwhile', async () => {
      await store(...Array.from({ length: 7 }, (_, i) => dead(`${i}`)));
      const first = await one.store.deadLetters.list({ limit: 3 });
      await store(dead('late'));
      const second = await one.store.deadLetters.list({ limit: 3, cursor: first.next });
      const third = await one.store.deadLetters.list({ limit: 3, cursor: second.next });
      expect([first, second, third].map(({ items }) => items.map(({ message }) => message.id))).toEqual([
        ['6', '5', '4'],
        ['3', '2', '1'],
        ['0'],
      ]);
      expect(third.next).toBeUndefined();
    });

    it('that died in one transaction are listed page by page as well', async () => {
      await inTransaction(one, (tx) =>
        one.store.deliveries.record(
          tx,
          Array.from({ length: 5 }, (_, i) => dead(`${i}`)),
        ),
      );
      const seen: string[] = [];
      for (let cursor: string | undefined, more = true; more; ) {
        const page: Awaited<ReturnType<typeof one.store.deadLetters.list>> = await one.store.deadLetters.list({ limit: 2, cursor });
        seen.push(...page.items.map(({ message }) => message.id));
        cursor = page.next;
        more = cursor !== undefined;
      }
      expect(seen.sort()).toEqual(['0', '1', '2', '3', '4']);
    });

    it('refuse a page that cannot be', async () => {
      for (const limit of [0, 1001, 1.5]) expect(await codeOf(one.store.deadLetters.list({ limit }))).toBe('HF_OPERATOR_PAGE');
      for (const cursor of ['', 'x', 'x|1', `2026-01-01|1;drop`])
        expect(await codeOf(one.store.deadLetters.list({ cursor }))).toBe('HF_OPERATOR_PAGE');
    });

    it('are found by every field of a filter', async () => {
      await store(
        dead('1'),
        dead('2', { key: "it's 🔑" }),
        dead('3', { subscriptionId: orderedId, failure: failureOf('other') }),
        dead('4', { message: messageOf('4', { type: 'other' }) }),
      );
      expect(await list({ subscription: 'contract.ordered' })).toEqual(['3']);
      expect(await list({ type: 'other' })).toEqual(['4']);
      expect(await list({ key: "it's 🔑" })).toEqual(['2']);
      expect(await list({ code: 'E_CONTRACT', subscription: 'contract.reader' })).toEqual(['4', '2', '1']);
      expect(await list({ since: new Date(Date.now() + 60_000) })).toEqual([]);
      expect(await list({ until: new Date(Date.now() + 60_000), key: "it's 🔑" })).toEqual(['2']);
      expect(await list({ subscription: 'contract.none' })).toEqual([]);
      const { items } = await one.store.deadLetters.list({ subscription: 'contract.ordered' });
      expect(await list({ group: items[0]!.group })).toEqual(['3']);
    });

    it('are grouped by subscription and error, the most first, with the newest as a sample', async () => {
      await store(dead('1'), dead('2', { failure: failureOf('other') }), dead('3'), dead('4', { subscriptionId: orderedId }));
      const groups = await one.store.deadLetters.groups({});
      expect(groups.map(({ count, sample }) => ({ count, sample: sample.message.id }))).toEqual([
        { count: 2, sample: '3' },
        { count: 1, sample: expect.any(String) },
        { count: 1, sample: expect.any(String) },
      ]);
      expect(new Set(groups.map(({ group }) => group)).size).toBe(3);
      expect(await one.store.deadLetters.groups({ subscription: 'contract.ordered' })).toMatchObject([
        { count: 1, sample: { message: { id: '4' } } },
      ]);
    });

    it('are seen and touched by their own service only', async () => {
      await inTransaction(stranger, (tx) => stranger.store.deliveries.record(tx, [dead('theirs', { subscriptionId: theirId })]));
      const { items } = await stranger.store.deadLetters.list({});
      const theirs = items[0]!.id;
      expect(await list()).toEqual([]);
      expect(await one.store.deadLetters.get(theirs)).toBeUndefined();
      expect([await one.store.deadLetters.redrive(theirs, BY), await one.store.deadLetters.discard(theirs, BY)]).toEqual([0, 0]);
      expect(await one.store.deadLetters.redrive({ subscription: 'contract.reader' }, BY)).toBe(0);
      expect((await stranger.store.deadLetters.get(theirs))?.message.id).toBe('theirs');
    });

    it('are not found under an id that is none', async () => {
      for (const none of ['0', 'x', '', '1; drop table', '99999999999999999999']) {
        expect(await one.store.deadLetters.get(none)).toBeUndefined();
        expect(await one.store.deadLetters.redrive(none, BY)).toBe(0);
      }
    });

    it('are due at once when they are redriven, with fresh attempts and consent', async () => {
      await store(dead('1'), dead('2'));
      expect(await one.store.deadLetters.redrive(await idOf('1'), BY)).toBe(1);
      const { messages } = await inTransaction(one, (tx) => one.store.deliveries.intake(id).take(tx, 10));
      expect(messages).toMatchObject([{ attributes: messageOf('1').attributes, attempts: 0, hasConsent: true, isRedelivery: true }]);
      expect(await list()).toEqual(['2']);
    });

    it('are redriven by filter, all that match and no other', async () => {
      await store(dead('1'), dead('2', { failure: failureOf('other') }), dead('3'));
      const { items } = await one.store.deadLetters.list({ limit: 1 });
      expect(await one.store.deadLetters.redrive({ group: items[0]!.group }, BY)).toBe(2);
      expect(await list()).toEqual(['2']);
    });

    it('of an ordered key are redriven one after another, in their order', async () => {
      const ordered = (name: string, also: Partial<DeliveryRecord> = {}) => dead(name, { subscriptionId: orderedId, key: 'k', ...also });
      await store(ordered('1'), ordered('2', { state: 'invalid' }), ordered('3'), ordered('x', { key: 'other' }));
      expect(await one.store.deadLetters.redrive({ subscription: 'contract.ordered' }, BY)).toBe(4);
      const seen: string[] = [];
      for (let names = ['x']; names.length > 0; ) {
        names = await due(orderedId);
        seen.push(...names);
        for (const name of names) await finish(orderedId, name);
      }
      expect(seen.filter((name) => name !== 'x')).toEqual(['1', '2', '3']);
      expect(seen).toContain('x');
    });

    it('of an ordered key can be redriven behind another that stays, dead or invalid', async () => {
      for (const [key, state] of [
        ['k', 'dead'],
        ['l', 'invalid'],
      ] as const) {
        await store(
          dead(`stays ${key}`, { subscriptionId: orderedId, key, state }),
          dead(`again ${key}`, { subscriptionId: orderedId, key }),
        );
        await one.store.deadLetters.redrive(await idOf(`again ${key}`), BY);
        expect(await due(orderedId)).toEqual([`again ${key}`]);
        await finish(orderedId, `again ${key}`);
      }
    });

    it('of an ordered key wait behind a delivery of the key that is still tried', async () => {
      await store(
        dead('tried', { subscriptionId: orderedId, key: 'k', state: 'retry', delayMs: 60_000 }),
        dead('again', { subscriptionId: orderedId, key: 'k' }),
      );
      await one.store.deadLetters.redrive(await idOf('again'), BY);
      expect(await due(orderedId)).toEqual([]);
      await finish(orderedId, 'tried');
      expect(await due(orderedId)).toEqual(['again']);
    });

    it('of an ordered key that are redriven let nothing else past a dead letter that stays', async () => {
      await store(
        dead('stays', { subscriptionId: orderedId, key: 'k' }),
        dead('waits', { subscriptionId: orderedId, key: 'k', state: 'waiting' }),
        dead('again', { subscriptionId: orderedId, key: 'k', state: 'invalid' }),
      );
      await one.store.deadLetters.redrive(await idOf('again'), BY);
      expect(await due(orderedId)).toEqual([]);
      await one.store.deadLetters.discard(await idOf('stays'), BY);
      expect(await due(orderedId)).toEqual(['waits']);
      await finish(orderedId, 'waits');
      expect(await due(orderedId)).toEqual(['again']);
    });

    it('free what waited in one key while another one is busy', async () => {
      const keys = ['a', 'b', 'c'];
      await store(...keys.map((key) => dead(key, { subscriptionId: orderedId, key })));
      const busy = await begin(one);
      await one.store.deliveries.lockKeys(busy, { subscriptionId: orderedId, keys: ['b'], blocksKeys: true });
      const discarding = one.store.deadLetters.discard({ subscription: 'contract.ordered' }, BY);
      await eventually(list, (left) => left.length === 0);
      for (const key of ['a', 'c']) {
        const tx = await begin(one);
        await one.store.deliveries.lockKeys(tx, { subscriptionId: orderedId, keys: [key], blocksKeys: true });
        await tx.commit();
      }
      await busy.commit();
      expect(await discarding).toBe(3);
    });

    it('are gone when they are discarded, and free what waited behind them', async () => {
      await store(dead('1', { subscriptionId: orderedId, key: 'k' }), dead('2', { subscriptionId: orderedId, key: 'k', state: 'waiting' }));
      expect(await one.store.deadLetters.discard(await idOf('1'), BY)).toBe(1);
      expect(await list()).toEqual([]);
      expect(await due(orderedId)).toEqual(['2']);
    });

    it('free what waited only when the last of them is gone that blocked the key', async () => {
      const ordered = (name: string, state: DeliveryRecord['state']) => dead(name, { subscriptionId: orderedId, key: 'k', state });
      await store(ordered('1', 'dead'), ordered('2', 'invalid'), ordered('3', 'waiting'));
      await one.store.deadLetters.discard(await idOf('2'), BY);
      expect(await due(orderedId)).toEqual([]);
      await one.store.deadLetters.discard(await idOf('1'), BY);
      expect(await due(orderedId)).toEqual(['3']);
    });

    it('free what another transaction is just putting behind them when they are discarded', async () => {
      await store(dead('1', { subscriptionId: orderedId, key: 'k' }));
      const putting = await begin(one);
      await one.store.deliveries.lockKeys(putting, { subscriptionId: orderedId, keys: ['k'], blocksKeys: true });
      await one.store.deliveries.record(putting, [dead('2', { subscriptionId: orderedId, key: 'k', state: 'waiting' })]);
      const discarding = one.store.deadLetters.discard({ key: 'k' }, BY);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await putting.commit();
      expect(await discarding).toBe(1);
      expect(await due(orderedId)).toEqual(['2']);
    });

    it('of an ordered key do not wait for ever behind one that is just being closed when they are redriven', async () => {
      await store(dead('1', { subscriptionId: orderedId, key: 'k', state: 'retry' }), dead('2', { subscriptionId: orderedId, key: 'k' }));
      const closing = await begin(one);
      await one.store.deliveries.close(closing, { subscriptionId: orderedId, blocksKeys: true }, [{ source: 'orders', id: '1' }]);
      const redriving = one.store.deadLetters.redrive({ key: 'k' }, BY);
      await new Promise((resolve) => setTimeout(resolve, 100));
      await closing.commit();
      expect(await redriving).toBe(1);
      expect(await due(orderedId)).toEqual(['2']);
    });
  });
}
