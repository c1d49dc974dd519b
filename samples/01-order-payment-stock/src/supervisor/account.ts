/** What customers were told, and what was found in the tables afterwards. */
export interface Facts {
  /** Ids of the orders that were answered with 201. */
  readonly accepted: readonly string[];
  /** Ids in the table of orders. */
  readonly orders: readonly string[];
  /** Order of each row in the table of payments. */
  readonly payments: readonly string[];
  /** Order of each row in the table of reservations. */
  readonly reservations: readonly string[];
  /** Services that were killed on the way. */
  readonly killed: number;
}

/** The account of every order. */
export interface Account {
  readonly orders: number;
  readonly paid: number;
  readonly reserved: number;
  /** Accepted orders without a row, a payment or a reservation. */
  readonly lost: number;
  /** Orders that were paid or reserved more than once. */
  readonly twice: number;
  /** Orders in any table that no customer was promised: what a rollback left behind. */
  readonly undead: number;
  readonly killed: number;
}

/** Compares what was promised with what was done. */
export function accountOf({ accepted, orders, payments, reservations, killed }: Facts): Account {
  const promised = new Set(accepted);
  const tables = [orders, payments, reservations].map(countById);
  const found = new Set(tables.flatMap((table) => [...table.keys()]));
  return {
    orders: accepted.length,
    paid: payments.length,
    reserved: reservations.length,
    lost: accepted.filter((id) => tables.some((table) => !table.has(id))).length,
    twice: [...found].filter((id) => tables.some((table) => (table.get(id) ?? 0) > 1)).length,
    undead: [...found].filter((id) => !promised.has(id)).length,
    killed,
  };
}

/** True when every accepted order has one payment and one reservation, no other order has any, and a service was really killed. */
export function isRight({ orders, paid, reserved, lost, twice, undead, killed }: Account): boolean {
  return orders === paid && orders === reserved && lost === 0 && twice === 0 && undead === 0 && killed === 1;
}

/** The last line of the sample. */
export function totalOf({ orders, paid, reserved, lost, twice, killed }: Account): string {
  return `orders=${orders} paid=${paid} reserved=${reserved} lost=${lost} twice=${twice} killed=${killed}`;
}

function countById(ids: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}
