/** A key in SQL: the number of its subscription, the key itself, and whether what is dead holds it back. */
interface KeyInSql {
  readonly subscription: string;
  readonly key: string;
  readonly blocks: string;
}

/**
 * Query of the delivery whose turn it is within a key, with its state: the first that is not dead. Where what is dead before it holds it back there is none. One that a person has
 * redriven is held back only by what has died since: he has left the others behind.
 */
export function turnText(delivery: string, { subscription, key, blocks }: KeyInSql): string {
  const ofKey = (row: string) => `${row}.subscription_id = ${subscription} and ${row}.key = ${key}`;
  return `select f.id, f.state from (
      select d.id, d.state, d.has_consent, d.failed_at from ${delivery} d where ${ofKey('d')} and d.state in ('retry', 'waiting') order by d.id limit 1) f
    where not exists (
      select from ${delivery} e where ${blocks} and ${ofKey('e')} and e.id < f.id and (not f.has_consent or e.failed_at > f.failed_at))`;
}
