import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { hfError, printable, type StoreFactory, type StoreTools, storeTools } from '@holdfast/core';
import type { Call } from './command.js';
import { type DataSourceLike, type FoundDataSource, loadDataSource, pathText } from './data-source-file.js';
import { required, wholeNumber } from './options.js';
import { describe } from './report.js';
import { UsageError } from './usage-error.js';

/** What makes a store of a DataSource. Loaded from where the user's file is, never imported: see docs/adr on how the store is found. */
const STORE_PACKAGE = '@holdfast/typeorm';

interface StorePackage {
  typeorm(options: {
    dataSource: Readonly<Record<string, DataSourceLike>>;
    schema?: string | undefined;
    lanes?: number | undefined;
  }): StoreFactory;
}

/** A connected store, and how to name it to a person. */
export interface ConnectedTools extends StoreTools {
  readonly where: string;
}

/** The store's own service when the command is about no service: only its tables are looked at. */
const NO_SERVICE = 'holdfast-cli';

/** Neither the user's schema nor his data is touched, and nothing but our own lines is printed, whatever his options say. */
const HANDS_OFF = {
  entities: [],
  subscribers: [],
  migrations: [],
  synchronize: false,
  migrationsRun: false,
  dropSchema: false,
  logger: { logQuery() {}, logQueryError() {}, logQuerySlow() {}, logSchemaBuild() {}, logMigration() {}, log() {} },
};

/** The store of the user's DataSource, not connected: enough to write down statements. @throws UsageError */
export async function findTools({ values, terminal }: Call, service = NO_SERVICE): Promise<{ tools: StoreTools; found: FoundDataSource }> {
  const found = await loadDataSource(required(values, 'data-source'), terminal.cwd);
  const lanes = wholeNumber(values, 'lanes');
  const factory = storePackageOf(found.file).typeorm({ dataSource: { default: found.dataSource }, schema: values.schema, lanes });
  return { tools: storeTools(factory, service), found };
}

/** Runs `work` on the store of the user's DataSource, and lets go of both. @throws UsageError, HF_STORE_UNSUPPORTED, HF_STORE_NOT_PRIMARY */
export async function withTools<T>(call: Call, work: (tools: ConnectedTools) => Promise<T>, service?: string): Promise<T> {
  const { tools, found } = await findTools(call, service);
  const { dataSource, file } = found;
  const isOurs = await connect(dataSource, file);
  try {
    await tools.store.open();
    return await work({
      ...tools,
      where: `${tools.store.description}, database ${printable(dataSource.driver.database ?? 'of the connection')}`,
    });
  } finally {
    await tools.store.close();
    if (isOurs) await dataSource.destroy();
  }
}

/** Runs `work` for the operator of one service. @throws UsageError without a service, HF_SCHEMA_BEHIND, HF_SCHEMA_AHEAD */
export function withOperators<T>(call: Call, work: (tools: ConnectedTools, service: string) => Promise<T>): Promise<T> {
  const service = required(call.values, 'service');
  const checked = async (tools: ConnectedTools): Promise<T> => {
    const { found, wanted } = await tools.store.schema.status();
    if (found !== wanted) throw hfError(found < wanted ? 'HF_SCHEMA_BEHIND' : 'HF_SCHEMA_AHEAD', { found, needed: wanted });
    return work(tools, service);
  };
  return withTools(call, checked, service);
}

/** Connects, unless the file has done so itself; true when it was done here. */
async function connect(dataSource: DataSourceLike, file: string): Promise<boolean> {
  if (dataSource.isInitialized) return false;
  dataSource.setOptions(HANDS_OFF);
  try {
    await dataSource.initialize();
    return true;
  } catch (error) {
    throw new Error(
      `The DataSource of ${pathText(file)} could not connect: ${describe(error)}. Check its address, its credentials, and that the server runs.`,
    );
  }
}

/** The package the application itself runs on, so that its version decides what the tables have to be. */
function storePackageOf(file: string): StorePackage {
  const require = createRequire(file);
  let path: string;
  try {
    path = require.resolve(STORE_PACKAGE);
  } catch {
    throw new UsageError(
      `${STORE_PACKAGE} is not installed where ${pathText(file)} is.`,
      `Install it there: npm install ${STORE_PACKAGE} (looked up from ${pathText(dirname(file))}).`,
    );
  }
  return require(path) as StorePackage;
}
