/** A PostgreSQL that this test run may use; shared, so never stopped by a test (start an `EmbeddedPostgres` for that). */
export interface TestServer {
  /** `PostgreSQL 18`: the title of a `describe.each`. */
  readonly name: string;
  readonly major: number;
  /** Address of its database `postgres`. */
  readonly url: string;
  /** Whether the run started it, with prepared transactions and logical WAL on. */
  readonly isEmbedded: boolean;
  /** 0: PREPARE TRANSACTION is off. */
  readonly maxPreparedTransactions: number;
  readonly walLevel: string;
}

/**
 * The servers of this run: the embedded one always, the one of the machine when it answered. Of the two, the tests on TypeORM 0.3 get that of the machine: versions are tested by a
 * diagonal. Synchronous, for `describe.each(servers())`.
 */
export function servers(): readonly TestServer[] {
  const found = foundServers();
  const others = found.filter(({ isEmbedded }) => !isEmbedded);
  return process.env.HOLDFAST_TEST_TYPEORM === '0.3' && others.length > 0 ? others : found;
}

/** PostgreSQL 18, started for this run. */
export function embeddedServer(): TestServer {
  return foundServers().find(({ isEmbedded }) => isEmbedded) as TestServer;
}

/** The PostgreSQL of the machine, when there is one. */
export function externalServer(): TestServer | undefined {
  return foundServers().find(({ isEmbedded }) => !isEmbedded);
}

function foundServers(): readonly TestServer[] {
  const text = process.env.HOLDFAST_TEST_SERVERS;
  if (!text) throw new Error('No test servers: name the file .int.spec.ts, .e2e.spec.ts or .crash.spec.ts, so that Jest starts them');
  return JSON.parse(text) as TestServer[];
}
