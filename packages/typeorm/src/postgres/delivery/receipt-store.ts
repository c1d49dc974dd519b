import type { ExpectedReceipts, GivenReceipt, Receipt, ReceiptStore, Transaction } from '@holdfast/core';
import type { PostgresContext } from '../context.js';
import { typesOf } from './taken-types.js';
import { prepared } from '../sql/sql.js';
import { sqlOf } from '../sql/transaction-sql.js';

/** How long a receipt is kept, from when it could be given. */
const KEPT_MS = 7 * 86_400_000;

/** Receipts as rows: of a subscription that is known when its message is published one is expected from then on. */
export class PostgresReceiptStore implements ReceiptStore {
  private readonly giveStatement;

  constructor(private readonly context: PostgresContext) {
    const { receipt } = context.tables;
    this.giveStatement = prepared(
      `insert into ${receipt} (source, message_id, service, subscription, status, at, expires_at)
       select r.source, r.message_id, r.service, r.subscription, r.status, clock_timestamp(), ${inMs('$6')}
       from unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[]) as r(source, message_id, service, subscription, status)
       order by r.source, r.message_id
       on conflict (source, message_id, service, subscription) do update
         set status = excluded.status, at = excluded.at, expires_at = greatest(${receipt}.expires_at, excluded.expires_at)
         where ${receipt}.status <> 'consumed'`,
    );
  }

  async expect(tx: Transaction, messages: readonly ExpectedReceipts[]): Promise<void> {
    const { receipt, subscription } = this.context.tables;
    await sqlOf(tx).run({
      text: `insert into ${receipt} (source, message_id, service, subscription, status, at, expires_at)
             select $1, m.id, s.service, s.name, 'expected', clock_timestamp(), ${inMs('m.ms')}
             from unnest($2::text[], $3::text[], $4::float8[]) as m(id, type, ms)
             join ${subscription} s on m.type = any(${typesOf(this.context.tables)}) and s.is_handler and s.state <> 'retired'
             order by m.id, s.service, s.name on conflict do nothing`,
      values: [
        this.context.service,
        messages.map(({ id }) => id),
        messages.map(({ type }) => type),
        messages.map(({ delayMs }) => delayMs + KEPT_MS),
      ],
    });
  }

  async give(tx: Transaction, receipts: readonly GivenReceipt[]): Promise<void> {
    // A batch may hold a message twice, and one statement must not touch a row twice.
    const keyOf = ({ message, service, subscription }: GivenReceipt) => JSON.stringify([message.source, message.id, service, subscription]);
    const unique = [...new Map(receipts.map((each) => [keyOf(each), each])).values()];
    await sqlOf(tx).run(
      this.giveStatement(
        unique.map(({ message }) => message.source),
        unique.map(({ message }) => message.id),
        unique.map(({ service }) => service),
        unique.map(({ subscription }) => subscription),
        unique.map(({ status }) => status),
        KEPT_MS,
      ),
    );
  }

  async find(id: string): Promise<{ readonly given: readonly Receipt[]; readonly expected: readonly string[] }> {
    const { rows } = await this.context.pool.run<{
      subscription: string;
      service: string;
      status: Receipt['status'] | 'expected';
      at: Date;
    }>({
      text: `select subscription, service, status, at from ${this.context.tables.receipt} where source = $1 and message_id = $2 order by at, service, subscription`,
      values: [this.context.service, id],
    });
    return {
      given: rows.flatMap(({ status, ...row }) => (status === 'expected' ? [] : { ...row, status })),
      expected: rows.filter(({ status }) => status === 'expected').map(({ subscription }) => subscription),
    };
  }

  async trim(limit: number): Promise<number> {
    const { receipt } = this.context.tables;
    const { rowCount } = await this.context.pool.run({
      text: `delete from ${receipt} where ctid = any(array(
               select ctid from ${receipt} where expires_at < clock_timestamp() + $2 * interval '1 millisecond' order by expires_at limit $1))`,
      values: [limit, this.context.clock.aheadOfDatabaseMs()],
    });
    return rowCount;
  }
}

function inMs(ms: string): string {
  return `clock_timestamp() + ${ms}::float8 * interval '1 millisecond'`;
}
