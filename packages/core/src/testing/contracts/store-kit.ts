import { strict as assert } from 'node:assert';
import { randomUUID } from 'node:crypto';
import type { DeliveryRecord } from '../../delivery/delivery.store.port.js';
import type { Failure } from '../../delivery/failure.js';
import type { Incoming, Intake, Taken } from '../../delivery/intake.port.js';
import type { SubscriptionDeclaration } from '../../delivery/subscription.store.port.js';
import { isHoldfastError } from '../../errors/holdfast-error.js';
import { slotOf } from '../../outbox/lanes.js';
import type { CursorKey, LogRow } from '../../outbox/log.store.port.js';
import type { Store } from '../../store/store.port.js';
import type { Transaction } from '../../unit-of-work/transaction.port.js';

/** How a process opens the store. */
export interface ProcessOptions {
  /** Default: `contract`. */
  readonly service?: string;
  /** Schema of the tables; default: the database's own. */
  readonly schema?: string;
  /** Lanes of a log that is made now; default 4. */
  readonly lanes?: number;
  /** Connections; default 8. */
  readonly poolSize?: number;
}

/** One process that uses the store. */
export interface StoreProcess {
  readonly nodeId: string;
  /** Opened, and nothing else: not migrated, not ready, not joined. */
  readonly store: Store;
  close(): Promise<void>;
}

/** A database that is empty at first. */
export interface StoreDatabase {
  open(options?: ProcessOptions): Promise<StoreProcess>;
  /** Runs a script as the database's own client does. */
  execute(script: string): Promise<void>;
  drop(): Promise<void>;
}

/** What an adapter brings to the contract of stores. */
export interface StoreFixture {
  /** Makes an empty database for each case; at the same time as others where the runner does. */
  open(): Promise<StoreDatabase>;
}

/** Type of the messages of the contract. */
export const TYPE = 'contract.happened';

/** A subscription as a node declares it. */
export function declare(name: string, also: Partial<SubscriptionDeclaration> = {}): SubscriptionDeclaration {
  return { name, types: [TYPE], formerly: [], ordering: 'none', isHandler: true, ...also };
}

/** How long a process may be silent until the next one that joins counts it among the dead: longer than any fact takes. */
export const JOIN_SILENT_MS = 60_000;

/** Opens a process that is ready to work. */
export async function start(database: StoreDatabase, options: ProcessOptions = {}): Promise<StoreProcess> {
  const process = await database.open(options);
  await process.store.schema.migrate();
  await process.store.ready();
  await process.store.nodes.join(process.nodeId, JOIN_SILENT_MS);
  return process;
}

/** Registers subscriptions; their numbers, in order. */
export async function register({ store, nodeId }: StoreProcess, ...declarations: readonly SubscriptionDeclaration[]): Promise<number[]> {
  return (await store.subscriptions.register(nodeId, declarations)).map(({ id }) => id);
}

/** Opens a transaction of the store. */
export function begin({ store }: Pick<StoreProcess, 'store'>): Promise<Transaction> {
  return store.transactions.begin({ dataSource: store.transactions.dataSources[0], isolation: undefined, readOnly: false });
}

/** Runs `work` in a transaction that is committed, or rolled back when it throws. */
export async function inTransaction<T>(process: Pick<StoreProcess, 'store'>, work: (tx: Transaction) => Promise<T>): Promise<T> {
  const tx = await begin(process);
  try {
    const result = await work(tx);
    await tx.commit();
    return result;
  } catch (error) {
    await tx.rollback();
    throw error;
  }
}

/** Takes from a cursor and commits; again when it had been read ahead and is not ours any more, as every caller has to. */
export async function takeFrom(process: Pick<StoreProcess, 'store'>, cursor: CursorKey, limit: number): Promise<Taken> {
  const take = () =>
    inTransaction(process, async (tx) => {
      const taken = await process.store.cursors.take(tx, cursor, limit);
      await taken.confirm?.();
      return taken;
    });
  return take().catch((error: unknown) => {
    if (isHoldfastError(error, 'HF_LEASE_LOST')) return take();
    throw error;
  });
}

/** A row for the log with this key. */
export function rowOf(key: string | undefined, also: Partial<LogRow> = {}): LogRow {
  const attributes = JSON.stringify({
    specversion: '1.0',
    id: randomUUID(),
    source: 'contract',
    type: TYPE,
    time: '2026-01-01T00:00:00Z',
    partitionkey: key,
  });
  return {
    slot: key === undefined ? undefined : slotOf(key),
    type: TYPE,
    key,
    attributes,
    body: Buffer.from('{}'),
    due: undefined,
    ...also,
  };
}

/** Publishes these keys in one committed transaction; the lanes written to. */
export function publish(process: StoreProcess, ...keys: readonly string[]): Promise<readonly number[]> {
  return inTransaction(process, (tx) =>
    process.store.log.append(
      tx,
      keys.map((key) => rowOf(key)),
    ),
  );
}

/** A message as a delivery record keeps it. */
export function messageOf(id: string, also: Partial<Incoming> = {}): Incoming {
  return {
    type: TYPE,
    attributes: JSON.stringify({ id }),
    body: Buffer.from(`body of ${id}`),
    place: `contract/${id}`,
    lane: undefined,
    writtenAt: undefined,
    attempts: 0,
    isRedelivery: false,
    hasConsent: false,
    deliveryId: undefined,
    ...also,
  };
}

/** A failure as it is stored. */
export function failureOf(text: string): Failure {
  return { code: 'E_CONTRACT', errorType: 'Error', message: text, stack: `Error: ${text}`, fingerprint: `fingerprint of ${text}` };
}

/** A stored delivery that failed once and is due. */
export function recordOf(subscriptionId: number, name: string, also: Partial<DeliveryRecord> = {}): DeliveryRecord {
  return {
    subscriptionId,
    message: messageOf(name),
    identity: { source: 'orders', id: name },
    key: undefined,
    state: 'retry',
    attempts: 1,
    delayMs: 0,
    failure: failureOf('broken'),
    isSuspect: false,
    ...also,
  };
}

/** Takes from an intake in a committed transaction: ids of the messages, which stay stored. */
export async function takeIds(process: StoreProcess, intake: Intake, limit = 100): Promise<string[]> {
  const { messages } = await inTransaction(process, (tx) => intake.take(tx, limit));
  return messages.map(idOf);
}

/** Id in the attributes of a message. */
export function idOf({ attributes }: Pick<Incoming, 'attributes'>): string {
  return String((JSON.parse(attributes) as { id?: string }).id);
}

/** Key in the attributes of a message. */
export function keyOf({ attributes }: Pick<Incoming, 'attributes'>): string {
  return String((JSON.parse(attributes) as { partitionkey?: string }).partitionkey);
}

/** The code of what a promise is rejected with; undefined when it is not. */
export async function codeOf(promise: Promise<unknown>): Promise<string | undefined> {
  return promise.then(
    () => undefined,
    (error: unknown) => (isHoldfastError(error) ? error.code : `no error of Holdfast: ${String(error)}`),
  );
}

/** Longer than anything takes that does not wait. */
const WAITS_MS = 300;
/** Whoever is sent away sooner has not waited, also where a busy machine took long to say so. */
const SENT_AWAY_MS = 1500;

/**
 * The answer of what has to wait for an open transaction, which `end` ends then. A store bounds such a wait, and a busy machine may come to that end
 * later: whoever was sent away after a wait asks again behind it.
 *
 * @throws AssertionError when it does not wait
 */
export async function answerBehind<T>(end: () => Promise<unknown>, ask: () => Promise<T>): Promise<T> {
  let open = (): void => undefined;
  const ended = new Promise<void>((resolve) => {
    open = resolve;
  });
  const answer = unlessSentAway(ask).then((first) => (first === undefined ? ended.then(ask) : first.answer));
  const waits = new Promise((resolve) => setTimeout(() => resolve('it waits'), WAITS_MS));
  try {
    assert.equal(await Promise.race([answer, waits]), 'it waits');
  } finally {
    await end();
    open();
  }
  return answer;
}

/** Answers of those that ask at once and wait for each other: whoever was sent away after a wait asks again behind the others. */
export async function answersOfAll<T>(asks: readonly (() => Promise<T>)[]): Promise<T[]> {
  const answers: T[] = [];
  for (const [n, first] of (await Promise.all(asks.map(unlessSentAway))).entries())
    answers.push(first === undefined ? await (asks[n] as () => Promise<T>)() : first.answer);
  return answers;
}

async function unlessSentAway<T>(ask: () => Promise<T>): Promise<{ readonly answer: T } | undefined> {
  const sinceMs = performance.now();
  try {
    return { answer: await ask() };
  } catch (error) {
    const isBusy = isHoldfastError(error, 'HF_SAGA_BUSY') || isHoldfastError(error, 'HF_IDEMPOTENT_IN_PROGRESS');
    if (!isBusy || performance.now() - sinceMs < SENT_AWAY_MS) throw error;
    return undefined;
  }
}
