import { ears } from '@holdfast-internal/test-support';
import {
  type Envelope,
  type ParkedBatch,
  type ParkedStore,
  type Progress,
  type PublishOutcome,
  type ReadBound,
  type RelayBatch,
  type RelayRow,
  seededRandom,
  silentLogger,
  type Transport,
  VirtualTime,
} from '@holdfast/core';
import { DEFAULT_LIMITS } from '../../packages/core/src/message/limits.js';
import { Relay } from '../../packages/core/src/outbox/relay.js';
import { rowOf } from './support/messages.js';

/** Rows that are still to be sent, by lane. */
type Lanes = Map<number, RelayRow[]>;

function rowsOf(lane: number, count: number, key: (n: number) => string | undefined = () => undefined): RelayRow[] {
  return Array.from({ length: count }, (_, n) => {
    const { attributes, body, type } = rowOf({ id: `${lane}-${n + 1}`, key: key(n) ?? 'none', n: 1 });
    return {
      attributes,
      body,
      type,
      key: key(n),
      id: BigInt(n + 1),
      attempts: 0,
      place: `${lane}/${n + 1}`,
      isBehindParked: false,
    } as RelayRow;
  });
}

const settle = async () => {
  for (let i = 0; i < 20; i += 1) await new Promise((resolve) => setImmediate(resolve));
};

/** A relay over lanes in memory, and a broker that answers as told. */
function scene(
  lanes: Lanes,
  answer: (envelope: Envelope) => PublishOutcome | Promise<PublishOutcome>,
  due: (time: VirtualTime) => Promise<readonly ParkedBatch[]> = async () => [],
) {
  const time = new VirtualTime();
  const asked: string[] = [];
  const bytes: number[] = [];
  const published: string[][] = [];
  const parked: string[] = [];
  const store = {
    read: async (wanted: readonly number[], perLane: ReadBound): Promise<RelayBatch[]> => {
      bytes.push(perLane.bytes);
      asked.push(wanted.join());
      return wanted.flatMap((lane) => {
        const rows = (lanes.get(lane) ?? []).slice(0, perLane.rows);
        return rows.length === 0 ? [] : [{ lane, life: 'one', from: { upTo: 0n, holes: [] }, dead: [], rows, isParkingFull: false }];
      });
    },
    advance: async ({ lane }: RelayBatch, progress: Progress) => {
      lanes.get(lane)?.splice(0, progress.count);
      parked.push(...progress.parked.map(({ id, reason }) => `${lane}/${id} ${reason}`));
      return true;
    },
  };
  const publish = async (batch: readonly Envelope[]) => {
    published.push(batch.map(({ id }) => id));
    return Promise.all(batch.map(answer));
  };
  const relay = new Relay({
    store,
    parked: { due: () => due(time), resent: async () => true } as unknown as ParkedStore,
    lanes: { mine: () => [...lanes.keys()], ownerToken: () => 'token' },
    transport: { publish } as unknown as Transport,
    name: 'default',
    clock: time,
    random: seededRandom(1),
    scheduler: time,
    logger: silentLogger,
    limits: DEFAULT_LIMITS,
  });
  return { time, relay, asked, bytes, published, parked };
}

describe('the relay over several lanes', () => {
  const hear = ears();

  it('goes on with the others while one is not answered, and reads that one again when it has ended', async () => {
    let release = (): void => undefined;
    const lanes: Lanes = new Map([
      [0, rowsOf(0, 1)],
      [1, rowsOf(1, 1)],
    ]);
    const { time, relay, asked, bytes } = scene(lanes, ({ id }) =>
      id === '0-1' ? new Promise((resolve) => (release = () => resolve('confirmed'))) : 'confirmed',
    );
    relay.start();
    await settle();
    await time.advance(100);
    expect(asked).toEqual(['0,1', '1']);
    lanes.set(1, rowsOf(1, 1));
    relay.nudge();
    await settle();
    expect(asked).toEqual(['0,1', '1', '1', '1']);
    // It has its share in memory yet.
    expect(bytes).toEqual(bytes.map(() => 2 * 2 ** 20));
    expect(lanes.get(1)).toEqual([]);
    release();
    await settle();
    expect(asked.at(-1)).toBe('0,1');
    expect(lanes.get(0)).toEqual([]);
    await relay.stop();
  });

  it('tries the first row of a lane that stands still alone, and rests in between', async () => {
    const { time, relay, published } = scene(new Map([[0, rowsOf(0, 5)]]), () => 'unknown');
    relay.start();
    await settle();
    expect(published).toEqual([['0-1', '0-2', '0-3', '0-4', '0-5']]);
    await time.advance(5000);
    expect(published.slice(1).every((batch) => batch.join() === '0-1')).toBe(true);
    expect(published.length).toBeLessThan(12);
    await relay.stop();
  });

  it.each([
    ['each second', 1000, 20],
    ['each minute', 60_000, 4],
  ])('parks a row that is never confirmed alone while others are %s, and goes on behind it', async (_, everyMs, times) => {
    const lanes: Lanes = new Map([
      [0, rowsOf(0, 3, (n) => (n < 2 ? 'poison' : 'other'))],
      [1, rowsOf(1, 1)],
    ]);
    const { time, relay, parked } = scene(lanes, ({ id }) => (id === '0-1' ? 'unknown' : 'confirmed'));
    relay.start();
    await settle();
    for (let left = times; left > 0; left -= 1) {
      lanes.set(1, rowsOf(1, 1));
      await time.advance(everyMs);
    }
    expect(parked).toEqual(['0/1 unconfirmed']);
    expect(lanes.get(0)).toEqual([]);
    await relay.stop();
  });

  it('finds the one row that ends the channel for all lanes, and the others get through', async () => {
    const lanes: Lanes = new Map(Array.from({ length: 4 }, (_, lane) => [lane, rowsOf(lane, 2)]));
    let inFlight: string[] = [];
    const { time, relay, parked } = scene(lanes, async ({ id }) => {
      inFlight.push(id);
      await new Promise((resolve) => setImmediate(resolve));
      const isClosed = id === '2-1' || inFlight.includes('2-1');
      setImmediate(() => (inFlight = []));
      return isClosed ? 'unknown' : 'confirmed';
    });
    relay.start();
    for (let second = 0; second < 30; second += 1) {
      await settle();
      await time.advance(1000);
      lanes.set(0, rowsOf(0, 1));
      relay.nudge();
    }
    await settle();
    expect(parked).toEqual(['2/1 unconfirmed']);
    expect([...lanes.values()].map(({ length }) => length)).toEqual([0, 0, 0, 0]);
    await relay.stop();
  });

  it('tries a lane that stands still while nothing of the others is on its way', async () => {
    const inFlight = new Set<string>();
    const met: number[] = [];
    const lanes: Lanes = new Map(Array.from({ length: 4 }, (_, lane) => [lane, rowsOf(lane, lane === 3 ? 1 : 2000)]));
    const { time, relay } = scene(lanes, async ({ id }) => {
      if (id.startsWith('3')) {
        met.push(inFlight.size);
        return 'unknown';
      }
      inFlight.add(id);
      for (let turns = id.startsWith('2') ? 9 : 1; turns > 0; turns -= 1) await new Promise((resolve) => setImmediate(resolve));
      inFlight.delete(id);
      return 'confirmed';
    });
    relay.start();
    for (let second = 0; second < 10; second += 1) {
      await settle();
      for (const lane of [0, 1, 2]) lanes.set(lane, rowsOf(lane, 2000));
      await time.advance(1000);
    }
    expect(met.length).toBeGreaterThan(3);
    expect(met.slice(1)).toEqual(met.slice(1).map(() => 0));
    await settle();
    await relay.stop();
  });

  it('forgets that a lane stood still when another process has sent what it stood at, and looks at the others', async () => {
    const lanes: Lanes = new Map([
      [0, rowsOf(0, 1)],
      [1, rowsOf(1, 2)],
    ]);
    let isAway = true;
    const { time, relay, asked } = scene(lanes, () => (isAway ? 'unknown' : 'confirmed'));
    relay.start();
    await settle();
    lanes.set(0, []);
    isAway = false;
    await time.advance(3000);
    expect(lanes.get(1)).toEqual([]);
    expect(asked.length).toBeLessThan(12);
    await relay.stop();
  });

  it('parks nothing while nothing is confirmed at all: the broker is away', async () => {
    const lanes: Lanes = new Map([
      [0, rowsOf(0, 1)],
      [1, rowsOf(1, 1)],
    ]);
    const { time, relay, parked } = scene(lanes, () => 'unknown');
    relay.start();
    await settle();
    await time.advance(120_000);
    expect(parked).toEqual([]);
    await relay.stop();
  });

  it('parks nothing for one more hiccup when the broker is back after long', async () => {
    const lanes: Lanes = new Map([
      [0, rowsOf(0, 1)],
      [1, rowsOf(1, 1)],
    ]);
    let isAway = true;
    let isOtherConfirmed = false;
    let hiccups = 1;
    const { time, relay, parked } = scene(lanes, ({ id }) => {
      if (isAway) return 'unknown';
      if (id === '0-1') isOtherConfirmed = true;
      else if (!isOtherConfirmed || hiccups-- > 0) return 'unknown';
      return 'confirmed';
    });
    relay.start();
    await settle();
    await time.advance(120_000);
    isAway = false;
    await time.advance(10_000);
    expect(hiccups).toBeLessThan(1);
    expect(parked).toEqual([]);
    expect([...lanes.values()]).toEqual([[], []]);
    await relay.stop();
  });

  it('tells of each parked row that was sent after all, and of no other', async () => {
    const told = hear('message:resumed');
    const [sent, unsure] = rowsOf(0, 2, (n) => `key ${n}`);
    const batches = [{ lane: 0, life: 'one', rows: [sent, unsure] }] as ParkedBatch[];
    const { time, relay } = scene(
      new Map([[0, []]]),
      ({ id }) => (id === '0-1' ? 'confirmed' : 'unknown'),
      async () => batches.splice(0),
    );
    relay.start();
    await time.advance(20_000);
    expect(told).toEqual([{ type: sent?.type, key: 'key 0', place: '0/1', transport: 'default' }]);
    await relay.stop();
  });

  it('leaves its lanes time between two looks at what is parked that take long', async () => {
    const looks: number[] = [];
    const { time, relay } = scene(
      new Map([[0, []]]),
      () => 'confirmed',
      async (clock) => {
        looks.push(clock.monotonicMs());
        await clock.sleep(6000);
        return [];
      },
    );
    relay.start();
    await time.advance(60_000);
    expect(
      looks
        .slice(1)
        .map((ms, n) => ms - (looks[n] as number))
        .every((ms) => ms >= 11_000),
    ).toBe(true);
    const stopped = relay.stop();
    await time.advance(6000);
    await stopped;
  });

  it('looks at what is parked again within seconds when it was frozen while it looked', async () => {
    const looks: number[] = [];
    const { time, relay } = scene(
      new Map([[0, []]]),
      () => 'confirmed',
      async (clock) => {
        looks.push(clock.monotonicMs());
        if (looks.length === 1) await clock.sleep(14_000);
        return [];
      },
    );
    relay.start();
    await time.advance(25_000);
    expect(looks[1]).toBeLessThan(20_500);
    await relay.stop();
  });
});
