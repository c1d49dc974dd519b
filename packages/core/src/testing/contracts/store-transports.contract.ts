import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import type { HalfMessage } from '../../half-message/half-message.store.port.js';
import { relayScopeOf } from '../../outbox/relay.store.port.js';
import { DEFAULT_TRANSPORT } from '../../transport/transport-name.js';
import { assertFields, eventually } from './assertions.js';
import { factsOf } from './store-fact.js';
import { codeOf, inTransaction, keyOf, rowOf, type StoreFixture, type StoreProcess, start } from './store-kit.js';

const LANES = 4;
const DEFAULT_LANES = [0, 1, 2, 3];
const ENOUGH = { rows: 100, bytes: 2 ** 24 };
const TTL_MS = 60_000;
const BY = { by: 'a person', reason: 'the contract' };

/** What each fact begins with: a process that has the transport `events`, and one that was there before it. */
async function scene(fixture: StoreFixture) {
  const database = await fixture.open();
  const old = await start(database, { lanes: LANES });
  const one = await start(database, { lanes: LANES });
  await one.store.schema.addTransports(['events']);
  await one.store.ready();
  const events = one.store.log.lanesOf('events');
  /** Takes all lanes of a transport: its token. */
  const own = async (transport: string, { store, nodeId }: StoreProcess = one): Promise<string> => {
    const newToken = randomUUID();
    const scope = relayScopeOf(transport);
    await store.leases.declare(scope, LANES);
    await store.leases.round(scope, { nodeId, ownerTokens: [], newToken, ttlMs: TTL_MS, isAble: true });
    return newToken;
  };
  const publish = (transport: string | undefined, ...keys: readonly string[]) =>
    inTransaction(one, (tx) =>
      one.store.log.append(
        tx,
        keys.map((key) => rowOf(key, transport === undefined ? {} : { transport })),
      ),
    );
  /** Keys of what the relay of these lanes reads next. */
  const read = async (lanes: readonly number[], { store }: StoreProcess = one) =>
    (await store.relay.read(lanes, ENOUGH)).flatMap(({ rows }) => rows.map(keyOf)).sort();
  /** Moves a relay to the end of its lanes; whether each of them was moved. */
  const send = async (lanes: readonly number[], ownerToken: string) => {
    const moved: boolean[] = [];
    for (const batch of await one.store.relay.read(lanes, ENOUGH))
      moved.push(await one.store.relay.advance(batch, { count: batch.rows.length, parked: [], ownerToken }));
    return moved;
  };
  const end = async () => {
    await Promise.all([old.close(), one.close()]);
    await database.drop();
  };
  return { database, old, one, events, own, publish, read, send, end };
}

/** Further transports: lanes of their own, so that everything that a lane has is each transport's own. */
export const TRANSPORT_FACTS = factsOf('a further transport', scene, {
  'has as many lanes as the default, behind those there are, made once however many ask for them at once': async ({ old, one, events }) => {
    assert.deepEqual(one.store.log.lanesOf('default'), DEFAULT_LANES);
    assert.deepEqual(events, [4, 5, 6, 7]);
    const both = [one, old].map(({ store }) => store.schema.addTransports(['events', 'audit', 'views']));
    await Promise.all(both);
    await Promise.all([one, old].map(({ store }) => store.ready()));
    for (const { store } of [one, old])
      assert.deepEqual(
        [...store.log.lanesOf('audit'), ...store.log.lanesOf('views')].sort((a, b) => a - b),
        [8, 9, 10, 11, 12, 13, 14, 15],
      );
    assert.deepEqual(await one.store.schema.transportsWithoutLanes(['views', 'more', 'default']), ['more']);
  },
  'gets what is written for it, and the default what is written for no other, in the lanes of the same keys': async ({
    one,
    events,
    publish,
    read,
  }) => {
    const plain = await publish(undefined, 'a', 'b', 'c');
    const further = await publish('events', 'a', 'b', 'c');
    assert.deepEqual([...further].sort(), plain.map((lane) => lane + LANES).sort());
    await publish('events', 'd');
    assert.deepEqual(await read(events), ['a', 'b', 'c', 'd']);
    assert.deepEqual(await read(DEFAULT_LANES), ['a', 'b', 'c']);
    assertFields(await one.store.log.stats(), {
      backlog: 7,
      transports: [
        { transport: 'default', backlog: 3 },
        { transport: 'events', backlog: 4 },
      ],
    });
  },
  'is not seen, nor written to, by a process that does not know it': async ({ old, own, publish, read }) => {
    await publish('events', 'a');
    await publish('default', 'b');
    await own('default', old);
    assert.deepEqual(await read(DEFAULT_LANES, old), ['b']);
    assert.equal(await codeOf(inTransaction(old, (tx) => old.store.log.append(tx, [rowOf('c', { transport: 'events' })]))), 'HF_INVARIANT');
  },
  'is moved by the owner of its own lanes, while those of the default stand still, and the other way round': async ({
    events,
    own,
    publish,
    read,
    send,
  }) => {
    await publish('default', 'a');
    await publish('events', 'a');
    const [ofDefault, ofEvents] = [await own('default'), await own('events')];
    assert.deepEqual(await send(events, ofDefault), [false]);
    assert.deepEqual(await send(DEFAULT_LANES, ofEvents), [false]);
    assert.deepEqual(await send(events, ofEvents), [true]);
    assert.deepEqual([await read(events), await read(DEFAULT_LANES)], [[], ['a']]);
    assert.deepEqual(await send(DEFAULT_LANES, ofDefault), [true]);
  },
  'parks apart, and its parked messages are moved by its owner only and found by its name': async ({ one, events, own, publish }) => {
    await publish('events', 'a');
    const [ofDefault, ofEvents] = [await own('default'), await own('events')];
    const [batch] = await one.store.relay.read(events, ENOUGH);
    assert.ok(batch !== undefined);
    const parked = batch.rows.map(({ id }) => ({ id, reason: 'rejected' as const, error: 'no', delayMs: 0 }));
    assert.equal(await one.store.relay.advance(batch, { count: 1, parked, ownerToken: ofEvents }), true);
    const [due] = await eventually(
      () => one.store.parked.due(events, ENOUGH),
      ({ length }) => length > 0,
    );
    assert.ok(due !== undefined);
    const resent = { sent: due.rows.map(({ id }) => id), failed: [] };
    const list = async (transport: string) => (await one.store.parked.list({ transport })).items.map((each) => each.transport);
    assert.deepEqual([await list('events'), await list('default')], [['events'], []]);
    assert.equal(await one.store.parked.resent(due, { ...resent, ownerToken: ofDefault }), false);
    assert.equal(await one.store.parked.resent(due, { ...resent, ownerToken: ofEvents }), true);
    assert.deepEqual(await list('events'), []);
  },
  'does not keep the rows of the default that are sent, and keeps its own until they are': async ({
    events,
    one,
    own,
    publish,
    read,
    send,
  }) => {
    await publish('default', 'a');
    await publish('events', 'a', 'b');
    await send(DEFAULT_LANES, await own('default'));
    assert.equal(await one.store.upkeep.trim(0), 1);
    assert.deepEqual(await read(events), ['a', 'b']);
    await send(events, await own('events'));
    assert.equal(await one.store.upkeep.trim(0), 2);
  },
  'that no process has is told of with what waits for it, and given up only then': async ({ old, one, events, own, publish, read }) => {
    await publish('events', 'a', 'b');
    assertFields(await old.store.log.stranded(['default']), [{ transport: 'events', backlog: 2, parked: 0 }]);
    assert.deepEqual(await one.store.log.stranded(['default', 'events']), []);
    const token = await own('events');
    assert.deepEqual(await old.store.log.stranded(['default']), []);
    assert.equal(await codeOf(old.store.log.discard('events', BY)), 'HF_TRANSPORT_DISCARD');
    await one.store.leases.leave(relayScopeOf('events'), { nodeId: one.nodeId, ownerTokens: [token] });
    assert.equal(await old.store.log.discard('events', BY), 2);
    assert.deepEqual(await read(events), []);
    assert.equal(await codeOf(old.store.log.discard('default', BY)), 'HF_TRANSPORT_DISCARD');
    assert.equal(await codeOf(old.store.log.discard('nowhere', BY)), 'HF_TRANSPORT_DISCARD');
  },

  'has lanes for half messages that were not sent at once, or that somebody asked about': async ({ one, events }) => {
    const { halfMessages, relay } = one.store;
    const half = (unitId: string, ordinal: number, transport: string): HalfMessage => {
      const { type, attributes } = rowOf(undefined);
      return { unitId, ordinal, transport, type, attributes, body: Buffer.from(`${unitId} ${transport}`) };
    };
    const units = ['unsent', 'asked'];
    const server = await halfMessages.register(
      units.flatMap((unit) => [half(unit, 0, DEFAULT_TRANSPORT), half(unit, 1, 'events')]),
      0,
    );
    for (const unit of units) await inTransaction(one, (tx) => halfMessages.commitWith(tx, { unitId: unit, server }));
    const logged = [0, 1].map((ordinal) => ({ unitId: 'unsent', ordinal }));
    const lanes = [await halfMessages.settle({ gone: [], logged }), (await halfMessages.checkBack({ limit: 10, againMs: 0 })).lanes];
    for (const written of lanes) assert.deepEqual([written.length, written.filter((lane) => events.includes(lane)).length], [2, 1]);
    const bodies = async (of: readonly number[]) =>
      (await relay.read(of, ENOUGH)).flatMap(({ rows }) => rows.map(({ body }) => Buffer.from(body).toString())).sort();
    assert.deepEqual(await bodies(DEFAULT_LANES), ['asked default', 'unsent default']);
    assert.deepEqual(await bodies(events), ['asked events', 'unsent events']);
  },
});
