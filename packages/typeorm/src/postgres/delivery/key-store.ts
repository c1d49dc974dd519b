import type { KeyLock, KeyRule, KeyStore, Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { lockingOf } from './key-locks.js';
import { turnText } from './key-turn.js';
import { prepared, type SqlRunner } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** Ordering keys in PostgreSQL: advisory locks, and the stored deliveries that have them. */
export class PostgresKeyStore implements KeyStore {
  private readonly keysStatement;
  private readonly freeStatement;
  private readonly forgottenStatement;

  constructor(protected readonly context: PostgresContext) {
    const { delivery } = context.tables;
    this.keysStatement = prepared(
      `select distinct key from ${delivery} where subscription_id = $1 and key = any($2::text[]) and (state not in ('dead', 'invalid') or $3)`,
    );
    this.freeStatement = prepared(
      `update ${delivery} set state = 'retry', next_attempt_at = clock_timestamp() + $4 * interval '1 millisecond'
       where state = 'waiting' and id in (
         select t.id from unnest($2::text[]) k cross join lateral (${turnText(delivery, { subscription: '$1', key: 'k', blocks: '$3' })}) t)`,
    );
    // From key to key, whatever waits behind each: PostgreSQL has no such scan of its own, so each step looks up the next key.
    const waiting = `from ${delivery} d where d.state = 'waiting' and d.subscription_id`;
    this.forgottenStatement = prepared(
      `with recursive w(id, blocks, key) as (
         (select s.id, s.blocks, n.key from unnest($1::int[], $2::bool[]) s(id, blocks)
          cross join lateral (select d.key ${waiting} = s.id and d.key is not null order by d.key limit 1) n)
         union all
         (select w.id, w.blocks, n.key from w cross join lateral (select d.key ${waiting} = w.id and d.key > w.key order by d.key limit 1) n))
       select w.id, w.blocks, w.key from w
       cross join lateral (${turnText(delivery, { subscription: 'w.id', key: 'w.key', blocks: 'w.blocks' })}) t where t.state = 'waiting'`,
    );
  }

  async lockKeys(tx: Transaction, { subscriptionId, keys, blocksKeys }: KeyLock): Promise<ReadonlySet<string>> {
    const sql = sqlOf(tx);
    const sorted = [...new Set(keys)].sort();
    // Two statements, in one round trip: the second one's snapshot must be younger than the locks.
    await sql.runFirst(lockingOf(subscriptionId, sorted, this.context.nodeId));
    const { rows } = await sql.run<{ key: string }>(this.keysStatement(subscriptionId, sorted, blocksKeys));
    return new Set(rows.map(({ key }) => key));
  }

  async free(tx: Transaction, lock: KeyLock): Promise<void> {
    if (lock.keys.length > 0) await this.freeKeys(sqlOf(tx), lock);
  }

  async freeForgotten(rules: readonly KeyRule[]): Promise<number> {
    const { rows } = await this.context.pool.run<{ id: number; blocks: boolean; key: string }>(
      this.forgottenStatement(
        rules.map(({ subscriptionId }) => subscriptionId),
        rules.map(({ blocksKeys }) => blocksKeys),
      ),
    );
    let freed = 0;
    for (const { id, blocks, key } of rows) {
      freed += await this.context.pool.transaction((sql) => this.freeKeys(sql, { subscriptionId: id, blocksKeys: blocks, keys: [key] }));
    }
    return freed;
  }

  private async freeKeys(sql: SqlRunner, { subscriptionId, blocksKeys, keys }: KeyLock): Promise<number> {
    // A message may just be put behind the one that frees them.
    await sql.run(lockingOf(subscriptionId, keys, this.context.nodeId));
    const { rowCount } = await sql.run(
      this.freeStatement(subscriptionId, [...new Set(keys)], blocksKeys, this.context.clock.aheadOfDatabaseMs()),
    );
    return rowCount;
  }
}
