import { setTimeout as sleep } from 'node:timers/promises';
import type { CursorKey, Incoming, Store } from '@holdfast/core';
import type { Fact, Seen } from './history.js';
import { factOf } from './messages.js';
import { HandRelay } from './hand-relay.js';
import type { OpenStore } from './open-store.js';
import { begin, type BusinessTransaction } from './writers.js';

/** Pause of a reader that found nothing, or whose server is away. */
const PAUSE_MS = 5;
const AWAY_MS = 50;

/** Something that runs until it is told to stop, and survives its server. */
export abstract class Running {
  private isStopped = false;
  private task: Promise<void> | undefined;

  start(): this {
    this.task = this.run();
    return this;
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await this.task;
  }

  /** One round; true when there may be more. */
  protected abstract once(): Promise<boolean>;

  private async run(): Promise<void> {
    while (!this.isStopped) {
      const more = await this.once().catch(() => undefined);
      if (more !== true) await sleep(more === undefined ? AWAY_MS : PAUSE_MS);
    }
  }
}

/** A relay: publishes what it reads, and sometimes is confirmed only in part. */
export class RelayReader extends Running {
  readonly facts: Fact[] = [];
  private relay: HandRelay | undefined;

  constructor(
    private readonly store: Store,
    readonly name = 'relay',
  ) {
    super();
  }

  seen(): Seen {
    return { reader: this.name, facts: this.facts };
  }

  protected async once(): Promise<boolean> {
    this.relay ??= await HandRelay.of({ store: this.store });
    const batches = await this.relay.read(200);
    for (const batch of batches) {
      const count = Math.random() < 0.1 ? Math.ceil(batch.rows.length / 2) : batch.rows.length;
      this.facts.push(...batch.rows.slice(0, count).map(factOf));
      await this.relay.advance(batch, count);
    }
    return batches.length > 0;
  }
}

/** Makes the table in which the effects of the cursor readers are. */
export async function createEffects(open: OpenStore): Promise<void> {
  await open.query(
    'create table effect (at bigint generated always as identity, subscription_id integer, place text, id uuid, key text, n integer)',
  );
}

/** Effects of one subscription, in the order in which they were made. */
export async function effectsOf(open: OpenStore, subscriptionId: number): Promise<Seen> {
  const facts = await open.query<Fact>('select id, key, n from effect where subscription_id = $1 order by at', [subscriptionId]);
  return { reader: `subscription ${subscriptionId}`, facts };
}

/** One process that handles messages in the transaction that moves its cursor. It finds work by `news` alone, as a process without wake-ups does. */
export class CursorReader extends Running {
  constructor(
    private readonly open: OpenStore,
    private readonly subscriptionIds: readonly number[],
    private readonly failures = 0.03,
  ) {
    super();
  }

  protected async once(): Promise<boolean> {
    const news = [...(await this.open.store.cursors.news(this.subscriptionIds))].sort(() => Math.random() - 0.5);
    const results = await Promise.allSettled([0, 1, 2].map((hand) => this.workOn(news.filter((_, index) => index % 3 === hand))));
    const failed = results.find(({ status }) => status === 'rejected');
    if (failed !== undefined) throw (failed as PromiseRejectedResult).reason;
    return news.length > 0;
  }

  private async workOn(cursors: readonly CursorKey[]): Promise<void> {
    for (const cursor of cursors) await this.handle(cursor, 1 + Math.floor(Math.random() * 20));
  }

  private async handle(cursor: CursorKey, limit: number): Promise<void> {
    const tx = await begin(this.open.store);
    try {
      const { messages } = await this.open.store.cursors.take(tx, cursor, limit);
      if (messages.length > 0) await recordEffects(tx, cursor.subscriptionId, messages);
      if (Math.random() < this.failures) throw new Error('the handler failed');
    } catch (error) {
      await tx.rollback();
      throw error;
    }
    await tx.commit();
  }
}

/** What a handler does in these tests: one row per message. */
export async function recordEffects(tx: BusinessTransaction, subscriptionId: number, messages: readonly Incoming[]): Promise<void> {
  const facts = messages.map(factOf);
  const columns = [messages.map(({ place }) => place), facts.map(({ id }) => id), facts.map(({ key }) => key), facts.map(({ n }) => n)];
  await tx.run({
    text: `insert into effect (subscription_id, place, id, key, n) select $1, e.* from unnest($2::text[], $3::uuid[], $4::text[], $5::int[]) e`,
    values: [subscriptionId, ...columns],
  });
}

/** Asks for verdicts on holes, at the pace of the house-keeper. */
export class Fencer extends Running {
  written = 0;

  constructor(
    private readonly store: Store,
    private readonly everyMs: number,
  ) {
    super();
  }

  protected async once(): Promise<boolean> {
    await sleep(this.everyMs);
    this.written += await this.store.upkeep.fence();
    return true;
  }
}

/** Holes of every reader, as the tables have them: `lane: ranges`. */
export async function holesLeft(open: OpenStore): Promise<string[]> {
  const rows = await open.query<{ what: string }>(
    `select 'relay ' || lane || ': ' || relay_holes as what from holdfast_lane where relay_holes <> '{}'
     union all select 'subscription ' || subscription_id || ' lane ' || lane || ': ' || holes from holdfast_cursor where holes <> '{}'`,
  );
  return rows.map(({ what }) => what);
}
