import type { SqlRunner } from './sql.js';

/** Takes the named advisory lock until the transaction ends, unless another session has it. */
export async function lock(sql: SqlRunner, name: string): Promise<boolean> {
  const { rows } = await sql.run<{ ok: boolean }>({
    text: `select pg_try_advisory_xact_lock(hashtextextended('holdfast:' || $1, 0)) as ok`,
    values: [name],
  });
  return rows[0]?.ok === true;
}

/** The same, behind the session that has it. */
export async function lockInTurn(sql: SqlRunner, name: string): Promise<void> {
  await sql.run({ text: `select pg_advisory_xact_lock(hashtextextended('holdfast:' || $1, 0))`, values: [name] });
}
