import { laneOfSlot, slotOf } from '@holdfast/core';
import {
  begin,
  codeOf,
  declare,
  failureOf,
  inTransaction,
  keyOf,
  messageOf,
  publish,
  register,
  type StoreDatabase,
  type StoreFixture,
  type StoreProcess,
  start,
  TYPE,
} from './store-kit.js';

const BY = { by: 'contract', reason: 'the contract' };
const LANES = 4;

/** Known subscriptions and live processes, as every store must keep them. */
export function storeSubscriptionsContract(fixture: StoreFixture): void {
  let database: StoreDatabase;
  const opened: StoreProcess[] = [];

  beforeEach(async () => {
    database = await fixture();
  });

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((process) => process.close()));
    await database.drop();
  });

  async function node(service = 'contract'): Promise<StoreProcess> {
    const process = await start(database, { service, lanes: LANES, poolSize: 4 });
    opened.push(process);
    return process;
  }
  const stateOf = async ({ store }: StoreProcess, name: string) =>
    (await store.subscriptions.list()).find((info) => info.name === name)?.state;
  const take = ({ store }: StoreProcess, subscriptionId: number, key: string) =>
    inTransaction({ store }, (tx) => store.cursors.take(tx, { subscriptionId, lane: laneOfSlot(slotOf(key), LANES) }, 10));

  describe('subscriptions', () => {
    it('are made once, whoever registers them first', async () => {
      const [one, two] = [await node(), await node()];
      const both = await Promise.all(
        [one, two].map(({ store, nodeId }) =>
          store.subscriptions.register(nodeId, [declare('contract.reader'), declare('contract.second')]),
        ),
      );
      expect(both[0]?.map(({ id }) => id)).toEqual(both[1]?.map(({ id }) => id));
      expect(both.flatMap((rows) => rows.map(({ isNew }) => isNew)).filter((isNew) => isNew)).toHaveLength(2);
      expect(await one.store.subscriptions.register(one.nodeId, [declare('contract.reader'), declare('contract.second')])).toMatchObject([
        { isNew: false },
        { isNew: false },
      ]);
    });

    it('are listed with their types, backlog and dead letters', async () => {
      const one = await node();
      const [id] = (await register(
        one,
        declare('contract.reader', { types: [TYPE, 'b'] }),
        declare('contract.method', { isHandler: false, types: [] }),
      )) as [number];
      await one.store.cursors.create(id, 'now');
      await publish(one, 'a', 'b');
      await inTransaction(one, (tx) =>
        one.store.deliveries.record(tx, [
          {
            subscriptionId: id,
            message: messageOf('1'),
            identity: undefined,
            key: undefined,
            state: 'dead',
            attempts: 1,
            delayMs: 0,
            failure: failureOf('x'),
            isSuspect: false,
          },
        ]),
      );
      const [info, ...others] = await one.store.subscriptions.list();
      expect(others).toEqual([]);
      expect(info).toMatchObject({ name: 'contract.reader', types: [TYPE, 'b'], state: 'active', backlog: 2, deadLetters: 1 });
      expect(info?.oldestAgeMs).toBeGreaterThanOrEqual(0);
    });

    it('take on new types', async () => {
      const one = await node();
      await register(one, declare('contract.reader'));
      await register(one, declare('contract.reader', { types: ['other'] }));
      expect((await one.store.subscriptions.list()).map(({ types }) => types)).toEqual([['other']]);
    });

    it('keep their number and their place when they are renamed', async () => {
      const one = await node();
      const [id] = (await register(one, declare('contract.old'))) as [number];
      await one.store.cursors.create(id, 'now');
      await publish(one, 'a');
      expect(
        await one.store.subscriptions.register(one.nodeId, [declare('contract.new', { formerly: ['contract.older', 'contract.old'] })]),
      ).toEqual([{ name: 'contract.new', id, isNew: false }]);
      await one.store.cursors.create(id, 'now');
      expect((await take(one, id, 'a')).messages.map(keyOf)).toEqual(['a']);
      expect(await stateOf(one, 'contract.old')).toBeUndefined();
    });

    it('may not vanish: nobody serves one, and the start is refused with its name', async () => {
      const one = await node();
      await register(one, declare('contract.reader'), declare('contract.gone'), declare('contract.gone too'));
      const start = one.store.subscriptions.register(one.nodeId, [declare('contract.reader'), declare('contract.fresh')]);
      await expect(start).rejects.toMatchObject({ code: 'HF_SUBSCRIPTION_MISSING', details: { name: 'contract.gone, contract.gone too' } });
      expect((await one.store.subscriptions.list()).map(({ name }) => name)).toEqual([
        'contract.gone',
        'contract.gone too',
        'contract.reader',
      ]);
    });

    it('may be missing here while another live node serves them, of this service', async () => {
      const [older, newer, stranger] = [await node(), await node(), await node('stranger')];
      await register(older, declare('contract.reader'), declare('contract.old version'));
      await register(newer, declare('contract.reader'));
      await register(stranger, declare('contract.reader'));
      await older.store.nodes.leave(older.nodeId);
      expect(await codeOf(register(newer, declare('contract.reader')))).toBe('HF_SUBSCRIPTION_MISSING');
      expect(await codeOf(register(stranger, declare('contract.reader')))).toBeUndefined();
    });

    it('of methods have no messages and may come and go', async () => {
      const one = await node();
      await register(one, declare('contract.reader'), declare('contract.method', { isHandler: false, types: [] }));
      expect(await codeOf(register(one, declare('contract.reader')))).toBeUndefined();
    });

    it('are paused for everybody, over restarts, and resumed', async () => {
      const one = await node();
      await register(one, declare('contract.reader'));
      expect(await one.store.subscriptions.setState('contract.reader', 'paused', BY)).toBe(true);
      const two = await node();
      await register(two, declare('contract.reader'));
      expect([...(await two.store.subscriptions.paused())]).toEqual(['contract.reader']);
      expect([await stateOf(one, 'contract.reader'), await stateOf(two, 'contract.reader')]).toEqual(['paused', 'paused']);
      expect(await two.store.subscriptions.setState('contract.reader', 'active', BY)).toBe(true);
      expect([...(await one.store.subscriptions.paused())]).toEqual([]);
    });

    it('are known by name within their service only', async () => {
      const [one, stranger] = [await node(), await node('stranger')];
      await register(one, declare('contract.reader'));
      expect(await stranger.store.subscriptions.setState('contract.reader', 'paused', BY)).toBe(false);
      expect(await one.store.subscriptions.setState('contract.unknown', 'paused', BY)).toBe(false);
      expect(await stranger.store.subscriptions.list()).toEqual([]);
    });

    it('are retired when no node serves them, and begin anew when they come back', async () => {
      const one = await node();
      const [id] = (await register(one, declare('contract.reader'))) as [number];
      await one.store.cursors.create(id, 'now');
      expect(await codeOf(one.store.subscriptions.setState('contract.reader', 'retired', BY))).toBe('HF_SUBSCRIPTION_IN_USE');
      await one.store.nodes.leave(one.nodeId);
      expect(await stateOf(one, 'contract.reader')).toBe('missing');
      expect(await one.store.subscriptions.setState('contract.reader', 'retired', BY)).toBe(true);
      await publish(one, 'a');
      await one.store.nodes.join(one.nodeId);
      expect(await codeOf(register(one))).toBeUndefined();
      expect(await one.store.subscriptions.register(one.nodeId, [declare('contract.reader')])).toMatchObject([{ isNew: true }]);
      await one.store.cursors.create(id, 'now');
      expect((await take(one, id, 'a')).messages).toEqual([]);
      expect(await stateOf(one, 'contract.reader')).toBe('active');
    });
  });

  describe('processes', () => {
    const pause = () => new Promise((resolve) => setTimeout(resolve, 60));

    it('are known from join to leave, to their service', async () => {
      const [one, two, stranger] = [await node(), await node(), await node('stranger')];
      expect([...(await one.store.nodes.live())].sort()).toEqual([one.nodeId, two.nodeId].sort());
      expect(await stranger.store.nodes.live()).toEqual([stranger.nodeId]);
      await two.store.nodes.leave(two.nodeId);
      expect(await one.store.nodes.live()).toEqual([one.nodeId]);
    });

    it('are found dead by others of their service when they are silent, once, and never by themselves', async () => {
      const [one, two, stranger] = [await node(), await node(), await node('stranger')];
      await pause();
      expect(await one.store.nodes.reap(one.nodeId, 60_000)).toEqual([]);
      expect(await one.store.nodes.heartbeat(one.nodeId)).toBe(false);
      expect(await one.store.nodes.reap(one.nodeId, 50)).toEqual([two.nodeId]);
      expect(await one.store.nodes.reap(one.nodeId, 0)).toEqual([]);
      expect(await stranger.store.nodes.live()).toEqual([stranger.nodeId]);
    });

    it('join again with their heartbeat when they were only frozen, and are told', async () => {
      const [one, two] = [await node(), await node()];
      await pause();
      await one.store.nodes.reap(one.nodeId, 50);
      expect(await two.store.nodes.heartbeat(two.nodeId)).toBe(true);
      expect(await two.store.nodes.heartbeat(two.nodeId)).toBe(false);
      expect([...(await one.store.nodes.live())].sort()).toEqual([one.nodeId, two.nodeId].sort());
    });

    it('that froze with messages in hand lose them to others', async () => {
      const [one, frozen] = [await node(), await node()];
      const [id] = (await register(one, declare('contract.reader'))) as [number];
      await register(frozen, declare('contract.reader'));
      await one.store.cursors.create(id, 'now');
      await publish(one, 'a');
      const cursor = { subscriptionId: id, lane: laneOfSlot(slotOf('a'), LANES) };
      const tx = await begin(frozen);
      expect((await frozen.store.cursors.take(tx, cursor, 10)).messages).toHaveLength(1);
      expect((await take(one, id, 'a')).messages).toEqual([]);
      await pause();
      await one.store.nodes.heartbeat(one.nodeId);
      expect(await one.store.nodes.reap(one.nodeId, 50)).toEqual([frozen.nodeId]);
      const taken = await take(one, id, 'a');
      expect(taken.messages.map(keyOf)).toEqual(['a']);
      expect(taken.isSuspect).toBe(true);
      await expect(tx.commit()).rejects.toThrow();
      await tx.rollback();
    });

    it('that die leave their places suspect, each once, and not those of other services', async () => {
      const [one, dead, stranger] = [await node(), await node(), await node('stranger')];
      const [id] = (await register(one, declare('contract.reader'))) as [number];
      await register(dead, declare('contract.reader'));
      const [theirs] = (await register(stranger, declare('contract.reader'))) as [number];
      await one.store.cursors.create(id, 'now');
      await stranger.store.cursors.create(theirs, 'now');
      await publish(one, 'a');
      await pause();
      await one.store.nodes.heartbeat(one.nodeId);
      await one.store.nodes.reap(one.nodeId, 50);
      expect((await take(stranger, theirs, 'a')).isSuspect).toBe(false);
      expect((await take(one, id, 'a')).isSuspect).toBe(true);
      await publish(one, 'a');
      expect((await take(one, id, 'a')).isSuspect).toBe(false);
    });

    it('that stop in good order leave nothing suspect', async () => {
      const [one, two] = [await node(), await node()];
      const [id] = (await register(one, declare('contract.reader'))) as [number];
      await register(two, declare('contract.reader'));
      await one.store.cursors.create(id, 'now');
      await two.store.nodes.leave(two.nodeId);
      await pause();
      await one.store.nodes.reap(one.nodeId, 0);
      await publish(one, 'a');
      expect((await take(one, id, 'a')).isSuspect).toBe(false);
    });
  });
}
