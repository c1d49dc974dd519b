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
 * The servers of this run: the embedded one, and the one of the machine when it answered. Where the run says which TypeORM it is about, it gets one of the two, since versions are
 * tested by a diagonal: TypeORM 1 the embedded one, TypeORM 0.3 that of the machine. Synchronous, for `describe.each(servers())`.
 */
export function servers(): readonly TestServer[] {
  const found = foundServers();
  const typeorm = process.env.HOLDFAST_TEST_TYPEORM;
  if (typeorm === undefined || found.length === 1) return found;
  return found.filter(({ isEmbedded }) => isEmbedded === (typeorm === '1'));
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
