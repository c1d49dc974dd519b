import { servers, type TestDatabase, createStoreDatabase } from '@holdfast-internal/test-support';
import { MAX_HOLES } from '@holdfast/core';
import { HandRelay } from './support/hand-relay.js';
import { keyOf, type LaneScene, openScene } from './support/lane-scene.js';
import { rowOf } from './support/messages.js';
import type { RawTransaction } from './support/raw-transaction.js';

describe.each(servers())('reading a lane on $name', (server) => {
  let database: TestDatabase;
  let scene: LaneScene;

  beforeEach(async () => {
    database = await createStoreDatabase(1, server);
    scene = await openScene(database.url);
  });

  afterEach(async () => {
    await scene.close();
    await database.drop();
  });

  async function append(tx: RawTransaction, key: string, type: string): Promise<void> {
    await scene.store.log.append(tx, [rowOf({ id: '00000000-0000-7000-8000-000000000000', key, n: 1 }, { type })]);
  }

  async function drain(limit: number): Promise<string[]> {
    const all: string[] = [];
    for (;;) {
      const keys = await scene.take(limit);
      const { position, holes } = await scene.cursor();
      const [{ top } = { top: 0 }] = await scene.query<{ top: string }>('select max(id) as top from holdfast_outbox');
      all.push(...keys);
      if (keys.length === 0 && position === Number(top) && holes === '{}') return all;
    }
  }

  it('gives what turned up in holes before what is above them, whatever types lie between', async () => {
    const writer = await scene.inFlight();
    await append(writer, 'unwanted', 'test.other');
    await append(writer, 'unwanted', 'test.other');
    await append(writer, 'first', 'test.happened');
    await scene.publish('stranger');
    expect(await scene.take(1)).toEqual(['stranger']);
    await writer.commit();
    await scene.publish('second');
    expect(await drain(1)).toEqual(['first', 'second']);
  });

  it('gives the relay what turned up in holes before what is above them, also when it is more than one read takes', async () => {
    const many = Array.from({ length: 300 }, (_, i) => `early ${i}`);
    const writer = await scene.inFlight(...many);
    await scene.publish('stranger');
    const seen: string[] = [];
    const relay = await HandRelay.of(scene);
    const read = async () => {
      for (;;) {
        const batches = await relay.read(40);
        if (batches.length === 0) return;
        for (const batch of batches) {
          seen.push(...batch.rows.map(keyOf));
          expect(await relay.advance(batch, batch.rows.length)).toBe(true);
        }
      }
    };
    await read();
    await writer.commit();
    await scene.publish('late');
    await read();
    expect(seen).toEqual(['stranger', ...many, 'late']);
  });

  it('gives at most what was asked for, in order, and says whether there is more', async () => {
    await scene.publish(...Array.from({ length: 7 }, (_, i) => `${i}`));
    expect(await scene.take(3)).toEqual(['0', '1', '2']);
    expect(await scene.take(3)).toEqual(['3', '4', '5']);
    expect(await scene.take(3)).toEqual(['6']);
    expect(await scene.take(3)).toEqual([]);
  });

  it('passes over types nobody asked for without their bodies', async () => {
    const writer = await scene.inFlight();
    for (let i = 0; i < 50; i += 1) await append(writer, 'unwanted', 'test.other');
    await append(writer, 'wanted', 'test.happened');
    await writer.commit();
    expect(await drain(1)).toEqual(['wanted']);
  });

  it('stops at the next gap when a position has too many holes, and goes on when they are written off', async () => {
    // Every second id is missing, as after that many rollbacks.
    await scene.query(
      `insert into holdfast_outbox (lane, id, type, key, attributes, body)
       select 0, 2 * g, 'test.happened', g::text, jsonb_build_object('partitionkey', g)::text, '{}' from generate_series(1, $1::int) g`,
      [MAX_HOLES + 500],
    );
    await scene.query(`select setval('holdfast_lane_0', 2 * $1::int)`, [MAX_HOLES + 500]);
    const counts = [await scene.take(700), await scene.take(700), await scene.take(700)].map(({ length }) => length);
    expect(counts).toEqual([700, MAX_HOLES - 700, 0]);
    expect(await scene.fence()).toBe(MAX_HOLES);
    expect((await scene.take(700)).length).toBe(500);
    expect(await scene.fence()).toBe(500);
    expect((await scene.cursor()).holes).toBe('{}');
  });
});
