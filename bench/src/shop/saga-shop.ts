import { Ledger, newOrder, type Order } from './shop.js';

/** Instances in work at once, on either side: what a process of Holdfast does. */
export const SAGAS_AT_ONCE = 10;
/** What `charge` and `ship` and `reserve` write; an order that is undone leaves nothing. Each can be written once. */
export const EFFECTS = ['reservation', 'charge', 'shipment'] as const;

/** What a saga knows. */
export interface SagaState {
  readonly total: number;
  /** Its last step refuses for good, so that the two before are undone. */
  readonly isRefused: boolean;
}

/** What a saga knows whose steps are done elsewhere: what each was answered. */
export interface RemoteState {
  readonly total: number;
  readonly reservation?: string;
  readonly charge?: string;
  readonly shipment?: string;
}

/** A service whose orders are sagas of three steps, by whatever means. */
export interface SagaShop {
  /** Sagas that have ended in this process. */
  readonly ended: number;
  /** Starts a saga in a transaction of its own. */
  start(order: Order, isRefused: boolean): Promise<unknown>;
  /** The same, and waits until it is over. */
  startAndWait(order: Order, isRefused: boolean): Promise<unknown>;
  /** Its pollers look, or do not: so that they cost the other side nothing in its rounds. */
  startPolling?(): void;
  stopPolling?(): Promise<void>;
  close(): Promise<void>;
}

/** Business tables of a shop with sagas, in a new database. */
export async function sagaLedger(url: string): Promise<Ledger> {
  const ledger = new Ledger(url);
  for (const table of EFFECTS) await ledger.query(`create table ${table} (order_id uuid primary key, total integer not null)`);
  return ledger;
}

/** What the tables hold is what is left of so many sagas that are done; those that were undone have left nothing. @throws when not */
export async function checkEffects(ledger: Ledger, completed: number): Promise<void> {
  for (const table of EFFECTS) {
    const [row] = await ledger.query<{ n: string }>(`select count(*) as n from ${table}`);
    if (Number(row?.n) !== completed) throw new Error(`wrong data: ${row?.n} rows in ${table}, expected ${completed}`);
  }
}

/** Every tenth order is refused when some are. */
export function orderAt(index: number, isSomeRefused: boolean): { readonly order: Order; readonly isRefused: boolean } {
  return { order: newOrder(), isRefused: isSomeRefused && index % 10 === 0 };
}
