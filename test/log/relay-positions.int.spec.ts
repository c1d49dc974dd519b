import { setTimeout as sleep } from 'node:timers/promises';
import { servers, type TestDatabase, createStoreDatabase, PATIENCE_MS } from '@holdfast-internal/test-support';
import {
  type Envelope,
  type PublishOutcome,
  silentLogger,
  systemClock,
  systemRandom,
  systemScheduler,
  type Transport,
} from '@holdfast/core';
import { DEFAULT_LIMITS } from '../../packages/core/src/message/limits.js';
import { Relay } from '../../packages/core/src/outbox/relay.js';
import { HandRelay } from './support/hand-relay.js';
import { describeVerdict, type Fact, History, verdictOf } from './support/history.js';
import { keyOf, type LaneScene, openScene } from './support/lane-scene.js';
import { factOf } from './support/messages.js';
import { openStore, type OpenStore } from './support/open-store.js';
import { RawTransaction } from './support/raw-transaction.js';
import { Fencer, holesLeft } from './support/readers.js';
import { committedFacts, createBusinessTables, Writers } from './support/writers.js';

describe.each(servers())('the position of the relay on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;
  let relay: HandRelay;

  beforeEach(async () => {
    database = await createStoreDatabase(1, server);
    scene = await openScene(database.url);
    relay = await HandRelay.of(scene);
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  const read = async () => (await relay.read())[0];
  const position = async () => Number((await scene.query<{ at: string }>('select relay_position as at from holdfast_lane'))[0]?.at);

  it('moves on although a hole below it was written off since it was read: nothing is sent again', async () => {
    await scene.rollBack('gone');
    await scene.publish('a');
    expect(await relay.advance((await read())!, 1)).toBe(true);
    await scene.publish('b');
    const batch = await read();
    expect(await scene.fence()).toBe(1);
    expect(await relay.advance(batch!, 1)).toBe(true);
    expect(await read()).toBeUndefined();
  });

  it('moves to the end of what was confirmed, and is read on from there', async () => {
    await scene.publish('a', 'b', 'c');
    const batch = await read();
    expect(batch?.rows.map(keyOf)).toEqual(['a', 'b', 'c']);
    expect(await relay.advance(batch!, 2)).toBe(true);
    expect(await position()).toBe(2);
    expect((await read())?.rows.map(keyOf)).toEqual(['c']);
  });

  it('is not moved by a relay that read before another one moved it', async () => {
    await scene.publish('a', 'b', 'c');
    const zombie = await read();
    const owner = await read();
    expect(await relay.advance(owner!, 3)).toBe(true);
    expect(await relay.advance(zombie!, 1)).toBe(false);
    expect(await relay.advance(zombie!, 3)).toBe(false);
    expect(await position()).toBe(3);
  });

  it('is not moved when only the holes are others', async () => {
    const writer = await scene.inFlight('slow');
    await scene.publish('a');
    await relay.advance((await read())!, 1);
    await scene.publish('b');
    const zombie = await read();
    await writer.commit();
    const owner = await read();
    expect(owner?.rows.map(keyOf)).toEqual(['slow', 'b']);
    expect(await relay.advance(owner!, 1)).toBe(true);
    expect(await relay.advance(zombie!, 1)).toBe(false);
    expect((await read())?.rows.map(keyOf)).toEqual(['b']);
  });

  it('is not moved over rows of another history', async () => {
    await scene.publish('a', 'b', 'c', 'd');
    await relay.advance((await read())!, 2);
    const zombie = await read();
    // A fail-over: the new primary knows less, and gives the same ids to other messages.
    await scene.query('delete from holdfast_outbox where id > 1');
    await scene.query('update holdfast_lane set relay_position = 1');
    await scene.query(`select setval('holdfast_lane_0', 1)`);
    await scene.store.upkeep.raiseSequences();
    await scene.publish('new b', 'new c', 'new d');
    expect(await relay.advance(zombie!, 2)).toBe(false);
    expect((await read())?.rows.map(keyOf)).toEqual(['new b', 'new c', 'new d']);
  });
});

describe('steps of several lanes', () => {
  let database: TestDatabase;
  let scene: LaneScene;

  beforeEach(async () => {
    database = await createStoreDatabase(4);
    scene = await openScene(database.url, { lanes: 4 });
    for (let n = 0; n < 40; n += 1) await scene.publish(`key-${n}`);
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  it('are made while somebody has the row of one of them in work, and keep nobody from the rows of the others', async () => {
    const relay = await HandRelay.of(scene);
    const batches = await relay.read();
    expect(batches.map(({ lane }) => lane)).toEqual([0, 1, 2, 3]);
    const busy = await RawTransaction.open(database.url);
    await busy.run({ text: 'select from holdfast_lane where lane = 3 for update' });
    const [first, second, third, waiting] = batches.map((batch) => relay.advance(batch, 1));
    expect(await Promise.all([first, second, third])).toEqual([true, true, true]);
    const free = await scene.query('select lane from holdfast_lane order by lane for update skip locked');
    expect(free).toEqual([{ lane: 0 }, { lane: 1 }, { lane: 2 }]);
    await busy.commit();
    expect(await waiting).toBe(true);
  });

  it('that are of one lane are told apart: one of them is made', async () => {
    const relay = await HandRelay.of(scene);
    const [batch] = await relay.read();
    const made = await Promise.all([relay.advance(batch!, 1), relay.advance(batch!, 2)]);
    expect(made.filter((isMade) => isMade)).toHaveLength(1);
  });
});

const KEYS = Array.from({ length: 30 }, (_, i) => `key-${i}`);
/** Fewer prove nothing. */
const MIN_COMMITTED = 50;

/** A broker of the worst kind: slow, sometimes frozen, and confirming only what it likes. */
class Broker {
  readonly facts: Fact[] = [];

  connect(freezes: number): Transport {
    const publish = async (batch: readonly Envelope[]): Promise<readonly PublishOutcome[]> => {
      if (Math.random() < freezes) await sleep(300);
      await sleep(Math.random() * 3);
      return batch.map((envelope) => this.take(envelope));
    };
    return { publish } as unknown as Transport;
  }

  private take(envelope: Envelope): PublishOutcome {
    // The first answer is always lost, so that something is sent again.
    const chance = this.facts.length === 0 ? 0.03 : Math.random();
    if (chance < 0.02) return 'rejected';
    this.facts.push(factOf(envelope));
    return chance < 0.04 ? 'unknown' : 'confirmed';
  }
}

describe('two relays of which one is a zombie now and then', () => {
  let database: TestDatabase;
  const opened: OpenStore[] = [];

  beforeEach(async () => {
    database = await createStoreDatabase(4);
  });

  afterEach(async () => {
    await Promise.all(opened.splice(0).map((one) => one.close()));
    await database.drop();
  });

  async function open(): Promise<OpenStore> {
    const one = await openStore(database.url, { lanes: 4 });
    opened.push(one);
    return one;
  }

  it('lose nothing, keep the order of every key, and never move a position back', async () => {
    const main = await open();
    await createBusinessTables(main, KEYS);
    const broker = new Broker();
    // Each of them takes all lanes for its own: what a lease prevents, so that the positions alone have to keep the promises.
    const { lanes, ownerToken } = await HandRelay.of(main);
    const ownership = { mine: () => lanes, ownerToken: () => ownerToken };
    const relays: Relay[] = [];
    for (const freezes of [0.02, 0.1]) {
      const { store } = await open();
      relays.push(
        new Relay({
          store: store.relay,
          parked: store.parked,
          lanes: ownership,
          transport: broker.connect(freezes),
          name: 'default',
          clock: systemClock,
          random: systemRandom,
          scheduler: systemScheduler,
          logger: silentLogger,
          limits: DEFAULT_LIMITS,
        }),
      );
    }
    const history = new History();
    const writers = new Writers({ open: main, url: database.url, keys: KEYS, history });
    const fencer = new Fencer(main.store, 300).start();
    for (const relay of relays) relay.start();
    writers.start(8);
    const positions: Map<number, bigint>[] = [];
    const look = async () => {
      const rows = await main.query<{ lane: number; at: string | null }>('select lane, relay_position as at from holdfast_lane');
      positions.push(new Map(rows.map(({ lane, at }) => [lane, BigInt(at ?? 0)])));
      for (const relay of relays) relay.nudge();
      await sleep(20);
    };
    for (const end = Date.now() + 4000; Date.now() < end || (await committedFacts(main)).length <= MIN_COMMITTED; ) await look();
    await writers.stop();
    const committed = await committedFacts(main);
    const verdict = () => verdictOf(committed, { reader: 'broker', facts: broker.facts });
    for (const end = Date.now() + PATIENCE_MS; verdict().lost.length > 0 && Date.now() < end; ) await look();
    for (const end = Date.now() + PATIENCE_MS; (await holesLeft(main)).length > 0 && Date.now() < end; ) await look();
    await Promise.all(relays.map((relay) => relay.stop()));
    await fencer.stop();

    process.stdout.write(`${history.summary()}\n${describeVerdict(verdict())}\n`);
    const { lost, phantom, outOfOrder, repeats } = verdict();
    expect({ lost, phantom, outOfOrder }).toEqual({ lost: [], phantom: [], outOfOrder: [] });
    expect(repeats).toBeGreaterThan(0);
    expect(committed.length).toBeGreaterThan(MIN_COMMITTED);
    for (const [index, now] of positions.entries()) {
      for (const [lane, at] of now) expect(at).toBeGreaterThanOrEqual(positions[index - 1]?.get(lane) ?? 0n);
    }
    expect(await holesLeft(main)).toEqual([]);
  });
});
