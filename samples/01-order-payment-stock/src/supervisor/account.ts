/** What customers were told, and what was found in the tables afterwards. */
export interface Facts {
  /** Ids of the orders that were answered with 201, and who placed each. */
  readonly accepted: ReadonlyMap<string, string>;
  /** Ids in the table of orders. */
  readonly orders: readonly string[];
  /** Order of each row in the table of reservations; likewise of payments and parcels. */
  readonly reservations: readonly string[];
  readonly payments: readonly string[];
  readonly parcels: readonly string[];
  /** How the saga of each order stands. */
  readonly endings: ReadonlyMap<string, string>;
  /** What was there at first and is now neither with its owner nor accounted for. */
  readonly missing: { readonly money: number; readonly pieces: number };
  /** Services that were killed on the way. */
  readonly killed: number;
}

/** The account of every order. */
export interface Account {
  readonly orders: number;
  readonly completed: number;
  readonly compensated: number;
  readonly parked: number;
  /** Accepted orders that did not end, or have less than their end says. */
  readonly lost: number;
  /** Orders that have more than their end says: paid twice, or paid and yet undone. */
  readonly twice: number;
  /** Orders in any table that no customer was promised: what a rollback left behind. */
  readonly undead: number;
  /** Accepted orders that have ended, but not as orders of their customer do. */
  readonly strayed: number;
  readonly missing: Facts['missing'];
  readonly killed: number;
}

/** How orders of these customers end: dan cannot pay, and nobody knows where nora lives. Whoever else orders can pay for all of it, and gets it. */
const END_OF: Readonly<Record<string, string>> = { dan: 'compensated', nora: 'parked' };

/** Reservations, payments and parcels that belong to an order with this end. */
const RIGHT: Readonly<Record<string, readonly [reservations: number, payments: number, parcels: number]>> = {
  completed: [1, 1, 1],
  compensated: [0, 0, 0],
  parked: [1, 1, 0],
};

/** Compares what was promised with what was done. */
export function accountOf({ accepted, orders, reservations, payments, parcels, endings, missing, killed }: Facts): Account {
  const rows = countById(orders);
  const effects = [reservations, payments, parcels].map(countById);
  const found = new Set([rows, ...effects, endings].flatMap((table) => [...table.keys()]));
  const rightOf = (id: string) => RIGHT[endings.get(id) ?? ''];
  const has = (id: string) => effects.map((table) => table.get(id) ?? 0);
  const isLess = (id: string) => has(id).some((count, at) => count < (rightOf(id)?.[at] ?? 0));
  const isMore = (id: string) => has(id).some((count, at) => count > (rightOf(id)?.[at] ?? 1));
  const isStray = ([id, customer]: readonly [string, string]) =>
    rightOf(id) !== undefined && endings.get(id) !== (END_OF[customer] ?? 'completed');
  const ended = (how: string) => [...endings.values()].filter((ending) => ending === how).length;
  return {
    orders: accepted.size,
    completed: ended('completed'),
    compensated: ended('compensated'),
    parked: ended('parked'),
    lost: [...accepted.keys()].filter((id) => !rows.has(id) || rightOf(id) === undefined || isLess(id)).length,
    twice: [...found].filter((id) => (rows.get(id) ?? 0) > 1 || isMore(id)).length,
    undead: [...found].filter((id) => !accepted.has(id)).length,
    strayed: [...accepted].filter(isStray).length,
    missing,
    killed,
  };
}

/**
 * True when there are orders, every accepted one has ended as it had to, with what belongs to its end, no other order has anything, the books balance, and services
 * were really killed.
 */
export function isRight({ orders, completed, compensated, parked, lost, twice, undead, strayed, missing, killed }: Account): boolean {
  const isWhole = lost === 0 && twice === 0 && undead === 0 && strayed === 0 && missing.money === 0 && missing.pieces === 0;
  return isWhole && orders > 0 && orders === completed + compensated + parked && killed === 2;
}

/** The last line of the sample. */
export function totalOf({ orders, completed, compensated, parked, lost, twice, killed }: Account): string {
  return `orders=${orders} completed=${completed} compensated=${compensated} parked=${parked} lost=${lost} twice=${twice} killed=${killed}`;
}

function countById(ids: readonly string[]): ReadonlyMap<string, number> {
  const counts = new Map<string, number>();
  for (const id of ids) counts.set(id, (counts.get(id) ?? 0) + 1);
  return counts;
}
