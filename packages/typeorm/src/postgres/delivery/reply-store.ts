import type { KeptReply, ReplyStore, StoredReply, Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { IS_DURABLE, prepared } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** Replies between processes of one PostgreSQL database, as rows that are deleted once they were read. */
export class PostgresReplyStore implements ReplyStore {
  private readonly insert;
  private readonly reading;
  private readonly removing;

  constructor(private readonly context: PostgresContext) {
    const { reply } = context.tables;
    this.insert = prepared(
      `insert into ${reply} (address, attributes, body)
       select r.address, r.attributes, r.body from unnest($1::text[], $2::text[], $3::bytea[]) as r(address, attributes, body) where ${IS_DURABLE}`,
    );
    this.reading = prepared(`select id, attributes, body from ${reply} where address = $1 order by id limit $2`);
    // What a crash brings back is dropped by whoever gets it twice: nobody waits for the disk.
    this.removing = prepared(
      `with s as materialized (select set_config('synchronous_commit', 'off', true)) delete from ${reply} r using s where r.id = any($1::bigint[])`,
    );
  }

  async put(tx: Transaction, replies: readonly StoredReply[]): Promise<void> {
    const columns = [replies.map(({ address }) => address), replies.map(({ attributes }) => attributes), replies.map(({ body }) => body)];
    await sqlOf(tx).run(this.insert(...columns));
  }

  async read(address: string, limit: number): Promise<readonly KeptReply[]> {
    return (await this.context.pool.run<KeptReply>(this.reading(address, limit))).rows;
  }

  async remove(replies: readonly KeptReply[]): Promise<void> {
    await this.context.pool.run(this.removing(replies.map(({ id }) => id)));
  }

  async trim(keptMs: number, limit: number): Promise<number> {
    const { reply } = this.context.tables;
    const { rowCount } = await this.context.pool.run({
      text: `delete from ${reply} where id in (
               select id from ${reply} where written_at < clock_timestamp() + ($1::float8 - $2::float8) * interval '1 millisecond' order by id limit $3 for update skip locked)`,
      values: [this.context.clock.aheadOfDatabaseMs(), keptMs, limit],
    });
    return rowCount;
  }
}
