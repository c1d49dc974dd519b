// Plain JavaScript, because Jest's global set-up uses it before anything is compiled.
const { Client } = require('pg');

const HOUR_MS = 3_600_000;

/** The PostgreSQL of the machine: HOLDFAST_TEST_POSTGRES, or one on the default port that lets `postgres` in. */
async function findExternalServer() {
  const named = process.env.HOLDFAST_TEST_POSTGRES;
  try {
    return await describeServer(named ?? 'postgres://postgres@127.0.0.1:5432/postgres');
  } catch (cause) {
    if (named) throw new Error(`HOLDFAST_TEST_POSTGRES (${named}) does not answer: ${cause.message}`, { cause });
    return undefined;
  }
}

async function describeServer(url) {
  const rows = await query(
    url,
    `SELECT current_setting('server_version_num')::int / 10000 AS major, current_setting('max_prepared_transactions')::int AS "maxPreparedTransactions",
            current_setting('wal_level') AS "walLevel"`,
  );
  return { name: `PostgreSQL ${rows[0].major}`, url, ...rows[0] };
}

/** Databases of test runs that were killed: their names carry the time they were made (see test-database.ts). */
async function dropStaleDatabases(url) {
  for (const { datname } of await query(url, "SELECT datname FROM pg_database WHERE datname LIKE 'holdfast\\_test\\_%'")) {
    const madeAt = Number.parseInt(datname.split('_')[2], 36);
    if (madeAt < Date.now() - HOUR_MS) await query(url, `DROP DATABASE IF EXISTS "${datname}" WITH (FORCE)`);
  }
}

async function query(url, sql) {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    return (await client.query(sql)).rows;
  } finally {
    await client.end();
  }
}

module.exports = { describeServer, dropStaleDatabases, findExternalServer };
