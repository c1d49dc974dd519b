import { setTimeout as sleep } from 'node:timers/promises';
import { type TestDatabase, createStoreDatabase, measured } from '@holdfast-internal/test-support';
import { laneOfSlot, slotOf } from '@holdfast/core';
import { factOf } from './support/messages.js';
import { type OpenStore, openStore } from './support/open-store.js';
import { rowOf } from './support/messages.js';
import { RawTransaction } from './support/raw-transaction.js';
import { begin, change, createBusinessTables } from './support/writers.js';

const LANES = 4;
const KEYS = Array.from({ length: 40 }, (_, i) => `key-${i}`);
const FROZEN_MS = 6000;
/** Fewer messages of others prove nothing. */
const MIN_OTHERS = 40;

interface Moment {
  readonly ms: number;
  /** How often the reader had begun to look. */
  readonly round: number;
}

describe('a writer that is frozen between its insert and its commit', () => {
  let database: TestDatabase;
  let open: OpenStore;

  beforeEach(async () => {
    database = await createStoreDatabase(LANES);
    open = await openStore(database.url, { lanes: LANES });
    await createBusinessTables(open, [...KEYS, 'frozen']);
  });

  afterEach(async () => {
    await open.close();
    await database.drop();
  });

  /** Writes beside a writer that is frozen. How late the latest message of the others was seen. */
  async function besideFrozen(reader: string): Promise<number> {
    const [id] = (await open.register(reader)) as [number];
    await open.store.cursors.create(id, 'now');
    const committedAt = new Map<string, Moment>();
    const seenAt = new Map<string, Moment>();
    let round = 0;
    let isWriting = true;
    let isReading = true;
    const now = (): Moment => ({ ms: performance.now(), round });

    const frozen = await RawTransaction.open(database.url);
    const [slow] = await change(frozen, 'frozen');
    await open.store.log.append(frozen, [rowOf(slow!)]);

    const write = async () => {
      while (isWriting) {
        const tx = await begin(open.store);
        const facts = await change(tx, KEYS[Math.floor(Math.random() * KEYS.length)]!);
        await open.store.log.append(
          tx,
          facts.map((fact) => rowOf(fact)),
        );
        if (Math.random() < 0.03) await tx.rollback();
        else {
          await tx.commit();
          for (const fact of facts) committedAt.set(fact.id, now());
        }
        await sleep(5);
      }
    };
    const read = async () => {
      for (let last = false; !last; await sleep(2)) {
        last = !isReading;
        round += 1;
        for (const cursor of await open.store.cursors.news([id])) {
          const tx = await begin(open.store);
          const { messages } = await open.store.cursors.take(tx, cursor, 500);
          await tx.commit();
          for (const message of messages) seenAt.set(factOf(message).id, now());
        }
      }
    };
    const fence = async () => {
      while (isReading) {
        await sleep(500);
        await open.store.upkeep.fence();
      }
    };
    const writers = [write(), write(), write(), write()];
    const others = Promise.all([read(), fence()]);
    // Longer on a slow machine, until there is something to see.
    for (const end = performance.now() + FROZEN_MS; performance.now() < end || committedAt.size <= MIN_OTHERS; ) await sleep(50);
    expect(seenAt.has(slow!.id)).toBe(false);
    await frozen.commit();
    committedAt.set(slow!.id, now());
    isWriting = false;
    await Promise.all(writers);
    isReading = false;
    await others;

    expect([...committedAt.keys()].filter((message) => !seenAt.has(message))).toEqual([]);
    expect(committedAt.size).toBeGreaterThan(MIN_OTHERS);
    // A look that begins after a commit sees it: whatever waits for a hole, a verdict or a stranger takes more of them.
    const rounds = [...committedAt].map(([message, at]) => seenAt.get(message)!.round - at.round);
    expect(rounds.filter((count) => count > 1)).toEqual([]);
    const lateness = [...committedAt].map(([message, at]) => seenAt.get(message)!.ms - at.ms).sort((a, b) => a - b);
    const percentile = (share: number) => Math.round(lateness[Math.floor((lateness.length - 1) * share)]!);
    process.stdout.write(
      `${lateness.length} deliveries beside a frozen writer: p50 ${percentile(0.5)}, p95 ${percentile(0.95)}, max ${percentile(1)} ms after the commit\n`,
    );
    expect(KEYS.some((key) => laneOfSlot(slotOf(key), LANES) === laneOfSlot(slotOf('frozen'), LANES))).toBe(true);
    return percentile(1);
  }

  it('delays its own message and nobody else’s, while others roll back in its lane', async () => {
    let readers = 0;
    const latest = await measured(
      () => besideFrozen(`orders.reader-${++readers}`),
      (ms) => ms < FROZEN_MS / 2,
    );
    expect(latest).toBeLessThan(FROZEN_MS / 2);
  });
});
