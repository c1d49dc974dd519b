import { randomUUID } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { isHoldfastError, type Store, type Transaction } from '@holdfast/core';
import { Pool } from 'pg';
import type { Fact, History } from './history.js';
import { rowOf } from './messages.js';
import type { OpenStore } from './open-store.js';
import { RawTransaction } from './raw-transaction.js';

/** Share of the transactions that end in another way than a plain commit. */
const ROLLBACKS = 0.03;
const FREEZES = 0.01;
const PREPARES = 0.01;
const SAVEPOINTS = 0.06;
/** How long a prepared transaction stays open. */
const PREPARED_MS = 100;

/** A transaction that also runs the business statements of a test. */
export interface BusinessTransaction extends Transaction {
  run<Row = Record<string, unknown>>(statement: { text: string; values?: readonly unknown[] }): Promise<{ rows: Row[]; rowCount: number }>;
}

/** Business tables of the writers: a row per key that conflicting transactions change, and a row per message that says whether it was committed. */
export async function createBusinessTables(open: OpenStore, keys: readonly string[]): Promise<void> {
  await open.query('create table counter (key text primary key, n integer not null) with (fillfactor = 50)');
  await open.query('create table written (id uuid primary key, key text not null, n integer not null)');
  await open.query('insert into counter select k, 0 from unnest($1::text[]) k', [keys]);
}

/** Everything that was committed, by the business rows. */
export function committedFacts(open: OpenStore): Promise<Fact[]> {
  return open.query<{ id: string; key: string; n: number }>('select id, key, n from written order by key, n');
}

/** Changes the key's row, under its lock, and says what there is to publish. */
export async function change(tx: BusinessTransaction, key: string, count = 1): Promise<Fact[]> {
  const { rows } = await tx.run<{ n: number }>({ text: 'update counter set n = n + $2 where key = $1 returning n', values: [key, count] });
  const last = (rows[0] as { n: number }).n;
  const facts = Array.from({ length: count }, (_, index) => ({ id: randomUUID(), key, n: last - count + 1 + index }));
  const columns = [facts.map(({ id }) => id), facts.map((fact) => fact.key), facts.map(({ n }) => n)];
  await tx.run({ text: 'insert into written select * from unnest($1::uuid[], $2::text[], $3::int[])', values: columns });
  return facts;
}

/** Opens a transaction through the store, as a unit of work does. */
export function begin(store: Store): Promise<BusinessTransaction> {
  return store.transactions.begin({ dataSource: 'default', isolation: undefined, readOnly: false }) as Promise<BusinessTransaction>;
}

/** What the writers work with. */
export interface WriterContext {
  readonly open: OpenStore;
  readonly url: string;
  readonly keys: readonly string[];
  readonly history: History;
}

/** Callers that change a row and publish in one transaction, until they are told to stop; whatever happens to their server. */
export class Writers {
  private readonly pool: Pool;
  private readonly tasks: Promise<void>[] = [];
  private isStopped = false;
  private gids = 0;

  constructor(private readonly context: WriterContext) {
    this.pool = new Pool({ connectionString: context.url, max: 30, connectionTimeoutMillis: 5000 });
    this.pool.on('error', () => undefined);
    this.pool.on('connect', (client) => client.on('error', () => undefined));
  }

  start(count: number): void {
    for (let i = 0; i < count; i += 1) this.tasks.push(this.work());
  }

  async stop(): Promise<void> {
    this.isStopped = true;
    await Promise.all(this.tasks);
    await this.pool.end();
  }

  private async work(): Promise<void> {
    while (!this.isStopped) {
      // The server may be away: what became of the transaction is already in the history.
      const isAway = await this.once().then(
        () => false,
        () => true,
      );
      if (isAway) await sleep(20);
    }
  }

  private async once(): Promise<void> {
    const chance = Math.random();
    const { open, history } = this.context;
    if (chance < PREPARES) return this.prepare();
    const tx = chance < 0.5 ? await RawTransaction.from(this.pool) : await begin(open.store);
    const facts: Fact[] = [];
    try {
      await this.publish(tx, chance, facts);
      if (Math.random() < ROLLBACKS) throw new Error('the business changed its mind');
      if (Math.random() < FREEZES) await sleep(150 + Math.random() * 300);
    } catch (error) {
      history.set(
        'rolled back',
        facts.map(({ id }) => id),
      );
      await tx.rollback();
      throw error;
    }
    await this.commit(tx, facts);
  }

  private async commit(tx: BusinessTransaction, facts: readonly Fact[]): Promise<void> {
    const ids = facts.map(({ id }) => id);
    this.context.history.set('unknown', ids);
    await tx.commit();
    this.context.history.set('acknowledged', ids);
  }

  private async publish(tx: BusinessTransaction, chance: number, facts: Fact[]): Promise<void> {
    const { open, history } = this.context;
    // Sorted: two writers that change the same rows wait for each other instead of deadlocking.
    const keys = chance > 0.9 ? [this.key(), this.key()].sort() : [this.key()];
    for (const key of new Set(keys)) facts.push(...(await change(tx, key, chance > 0.8 ? 3 : 1)));
    history.set(
      'attempted',
      facts.map(({ id }) => id),
    );
    // Only where rows are written at once: with COMMIT they come after every savepoint.
    if (tx instanceof RawTransaction && Math.random() < SAVEPOINTS) await this.undone(tx, facts);
    await open.store.log.append(
      tx,
      facts.map((fact) => rowOf(fact)),
    );
  }

  /** Draws numbers in a savepoint that is rolled back: holes of a transaction that goes on. */
  private async undone(tx: RawTransaction, facts: readonly Fact[]): Promise<void> {
    const savepoint = await tx.savepoint();
    await this.context.open.store.log.append(
      tx,
      facts.map((fact) => rowOf({ ...fact, id: randomUUID(), n: -1 })),
    );
    await savepoint.rollback();
  }

  private async prepare(): Promise<void> {
    const { history } = this.context;
    this.gids += 1;
    const gid = `writer-${process.pid}-${this.gids}`;
    const tx = await RawTransaction.from(this.pool);
    const facts: Fact[] = [];
    try {
      await this.publish(tx, 0, facts);
    } catch (error) {
      history.set(
        'rolled back',
        facts.map(({ id }) => id),
      );
      await tx.rollback();
      throw error;
    }
    const ids = facts.map(({ id }) => id);
    history.set('unknown', ids);
    await tx.prepare(gid).catch(() => undefined);
    await sleep(PREPARED_MS);
    if (await this.commitPrepared(gid)) history.set('acknowledged', ids);
  }

  /** Until the server says yes, or that it knows of no such transaction: then nobody knows here. */
  private async commitPrepared(gid: string): Promise<boolean> {
    for (;;) {
      const answer = await this.pool.query(`commit prepared '${gid}'`).then(
        () => 'yes',
        (error: { code?: string }) => error.code,
      );
      if (answer === 'yes') return true;
      if (answer === '42704') return false;
      await sleep(50);
    }
  }

  private key(): string {
    const { keys } = this.context;
    return keys[Math.floor(Math.random() * keys.length)] as string;
  }
}

/** True for the error that dooms a unit whose lane's numbers were set back. */
export function isSequenceBehind(error: unknown): boolean {
  return isHoldfastError(error, 'HF_STORE_SEQUENCE_BEHIND');
}
