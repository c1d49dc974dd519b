import { randomUUID } from 'node:crypto';
import type { Incoming, Taken } from '@holdfast/core';
import { rowOf } from './messages.js';
import { type OpenOptions, type OpenStore, openStore } from './open-store.js';
import { RawTransaction } from './raw-transaction.js';
import { begin } from './writers.js';

/** One lane, one subscription, and hands to write and read with: for schedules told step by step. */
export interface LaneScene extends OpenStore {
  readonly url: string;
  readonly subscriptionId: number;
  /** A transaction that has published these keys and is still open. */
  inFlight(...keys: readonly string[]): Promise<RawTransaction>;
  /** Publishes in a transaction that is committed. */
  publish(...keys: readonly string[]): Promise<void>;
  /** Publishes in a transaction that is rolled back. */
  rollBack(...keys: readonly string[]): Promise<void>;
  /** Takes and commits; keys of what was handed over. */
  take(limit?: number): Promise<string[]>;
  /** Where the cursor stands: position, and holes as the table has them. */
  cursor(): Promise<{ position: number; holes: string }>;
  /** Asks for verdicts several times, as time passes; how many ids were written off. */
  fence(times?: number): Promise<number>;
}

/** Opens a scene; its cursor begins with what commits from now on. */
export async function openScene(url: string, options: OpenOptions = {}): Promise<LaneScene> {
  const open = await openStore(url, { lanes: 1, ...options });
  const { store } = open;
  const [subscriptionId] = (await open.register('orders.reader')) as [number];
  await store.cursors.create(subscriptionId, 'now');
  const append = (tx: RawTransaction, keys: readonly string[]) =>
    store.log.append(
      tx,
      keys.map((key) => rowOf({ id: randomUUID(), key, n: 1 })),
    );
  const inFlight = async (...keys: readonly string[]) => {
    const tx = await RawTransaction.open(url);
    await append(tx, keys);
    return tx;
  };
  return {
    ...open,
    url,
    subscriptionId,
    inFlight,
    publish: async (...keys) => (await inFlight(...keys)).commit(),
    rollBack: async (...keys) => (await inFlight(...keys)).rollback(),
    take: async (limit = 100) => keysOf(await takeAndCommit(open, subscriptionId, { limit })),
    cursor: async () => {
      const [row] = await open.query<{ position: string; holes: string }>(
        'select position, holes::text from holdfast_cursor where subscription_id = $1',
        [subscriptionId],
      );
      return { position: Number(row?.position), holes: row?.holes ?? '' };
    },
    fence: async (times = 3) => {
      let written = 0;
      for (let i = 0; i < times; i += 1) written += await store.upkeep.fence();
      return written;
    },
  };
}

/** Takes from one lane in a transaction of its own. */
export async function takeAndCommit(
  { store }: Pick<OpenStore, 'store'>,
  subscriptionId: number,
  { limit, lane = 0 }: { readonly limit: number; readonly lane?: number },
): Promise<Taken> {
  const tx = await begin(store);
  try {
    const taken = await store.cursors.take(tx, { subscriptionId, lane }, limit);
    await tx.commit();
    return taken;
  } catch (error) {
    await tx.rollback();
    throw error;
  }
}

/** Keys of what was handed over, in order. */
export function keysOf({ messages }: Pick<Taken, 'messages'>): string[] {
  return messages.map((message) => keyOf(message));
}

/** Key of a message, as a text. */
export function keyOf({ attributes }: Pick<Incoming, 'attributes'>): string {
  return String((JSON.parse(attributes) as { partitionkey?: string }).partitionkey);
}
