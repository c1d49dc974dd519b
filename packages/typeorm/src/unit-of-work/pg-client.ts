import { isHoldfastError } from '@holdfast/core';

/** What a pg client answers. */
export interface PgResult {
  readonly command: string;
  readonly rows: unknown[];
  readonly rowCount: number | null;
}

/** The part of a pg client that we use. */
export interface PgClient {
  /** A text with several statements answers with an array of results. */
  query(statement: string | object, values?: readonly unknown[]): Promise<PgResult>;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'end', listener: () => void): unknown;
  /** Since pg 8.21. */
  getTransactionStatus?(): string | null;
  readonly connection?: { on(event: 'readyForQuery', listener: (message: { status?: string }) => void): unknown; sync?(): void };
  readonly host?: string;
  readonly port?: number;
  readonly processID?: number | null;
  readonly secretKey?: number | null;
}

/** pg's own class of queries, which speaks to the server part by part; undefined for a client that cannot (a native one). */
export function queryClassOf<Class>(client: PgClient): Class | undefined {
  return client.connection?.sync === undefined ? undefined : (client.constructor as { readonly Query?: Class }).Query;
}

/** The server's own word on the transaction: idle, in a transaction, in one it has given up; undefined before the first answer. */
export type TransactionStatus = 'I' | 'T' | 'E' | undefined;

const watched = new WeakSet<PgClient>();
const statuses = new WeakMap<PgClient, TransactionStatus>();

/**
 * Prepares a client of the pool, once in its life: while it is out of the pool nobody else listens for its errors, and an error without a
 * listener ends the process. What was running is rejected anyway.
 */
export function watch(client: PgClient): void {
  if (watched.has(client)) return;
  watched.add(client);
  client.on('error', () => {});
  // Older pg: the answer is read from its connection.
  if (!client.getTransactionStatus)
    client.connection?.on('readyForQuery', ({ status }) => statuses.set(client, status as TransactionStatus));
}

/**
 * The status byte of the server's last answer.
 *
 * @source PostgreSQL documentation, "Message Formats", ReadyForQuery
 */
export function transactionStatus(client: PgClient): TransactionStatus {
  return client.getTransactionStatus ? ((client.getTransactionStatus() ?? undefined) as TransactionStatus) : statuses.get(client);
}

/** Of the connection, and of a server or a session that ends: whoever speaks between us and the server tells of it so as well. */
const OF_THE_END = /^(?:08|57P)/;
/** Severities after which the session ends, where the server does not translate them. */
const ENDING: ReadonlySet<unknown> = new Set(['FATAL', 'PANIC']);

/**
 * True when the server itself has refused and does not say that it ends: when the connection answers afterwards, the transaction is certainly not
 * committed. The severity that pg tells is in the language of the server, so that it says nothing where it is not known.
 */
export function mayBeRefusal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null || !('severity' in error) || !('code' in error)) return false;
  return typeof error.code === 'string' && !OF_THE_END.test(error.code) && !ENDING.has(error.severity);
}

const RETRYABLE: ReadonlySet<unknown> = new Set(['40001', '40P01']);
const CAUSES = 8;

/** True for a serialization failure or a deadlock, also when wrapped: the same work may succeed when it runs again. */
export function isSerializationFailure(error: unknown): boolean {
  let each: unknown = error;
  for (let depth = 0; depth < CAUSES && typeof each === 'object' && each !== null; depth += 1) {
    if ('code' in each && RETRYABLE.has(each.code)) return true;
    if (isHoldfastError(each, 'HF_UOW_COMMIT_UNKNOWN')) return false; // whatever came before the connection broke
    each = 'driverError' in each ? each.driverError : 'cause' in each ? each.cause : undefined;
  }
  return false;
}
