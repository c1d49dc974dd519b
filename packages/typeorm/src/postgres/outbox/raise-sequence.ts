import type { PostgresContext } from '../context.js';

/** Raises the sequence of a lane to `to`. Only upwards, also when another process raises it or writers draw from it just now. */
export async function raiseSequence({ pool, tables: t }: PostgresContext, lane: number, to: string): Promise<void> {
  await pool.transaction(async (sql) => {
    await sql.run({ text: `select lane from ${t.lane} where lane = $1 for update`, values: [lane] });
    await sql.run({
      text: `select setval(${t.sequenceOf('$1::smallint')}, $2::bigint) where coalesce(pg_sequence_last_value(${t.sequenceOf('$1::smallint')}), 0) < $2::bigint`,
      values: [lane, to],
    });
  });
}
