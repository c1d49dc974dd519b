import type { Pool, PoolClient } from 'pg';

/** A transaction by hand. */
export async function inTransaction<T>(pool: Pool, work: (client: PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect();
  try {
    await client.query('begin');
    const result = await work(client);
    await client.query('commit');
    client.release();
    return result;
  } catch (error) {
    // A connection that cannot be rolled back is closed.
    client.release(
      await client.query('rollback').then(
        () => false,
        () => true,
      ),
    );
    throw error;
  }
}
