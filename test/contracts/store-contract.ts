import { borrowTestDatabase, createStoreDatabase, servers, type TestDatabase } from '@holdfast-internal/test-support';
import { type ContractCase, type StoreFixture, storeContract } from '@holdfast/core/testing/contracts';
import { Client } from 'pg';
import { openStore } from '../log/support/open-store.js';
import { runContract } from './run-contract.js';

const LANES = 4;
/** How the sentences of about half of the facts begin. */
const OF_SAGAS = ['sagas ', 'choreographed sagas ', 'branches ', 'guard rows ', 'the memory of a request ', 'a reply ', 'half messages '];

/** Runs one half of the contract of stores with TypeORM on each server: in two files, which are run side by side, as it takes longer than any other. */
export function runStoreContract(half: 'messages' | 'sagas'): void {
  const facts = storeContract().filter((fact) => OF_SAGAS.some((subject) => fact.name.startsWith(subject)) === (half === 'sagas'));
  const isOfSchema = ({ name }: ContractCase<StoreFixture>) => name.startsWith('the schema ');
  for (const server of servers()) {
    const title = `the store typeorm on ${server.name}`;
    const ofSchema = facts.filter(isOfSchema);
    if (ofSchema.length > 0) runContract(title, ofSchema, { open: async () => databaseOf(() => borrowTestDatabase(server)) });
    // All others migrate first thing: where that is quicker they begin with a copy of what it makes.
    const others = facts.filter((fact) => !isOfSchema(fact));
    runContract(title, others, { open: async () => databaseOf((lanes) => createStoreDatabase(lanes, server)) });
  }
}

/** A database that is made when it is first used, with as many lanes as is then asked for. */
function databaseOf(make: (lanes: number) => Promise<TestDatabase>) {
  let making: Promise<TestDatabase> | undefined;
  const made = (lanes = LANES) => {
    making ??= make(lanes);
    return making;
  };
  return {
    open: async (options: { readonly lanes?: number } = {}) =>
      openStore((await made(options.lanes)).url, { lanes: LANES, service: 'contract', poolSize: 8, ...options, migrate: false }),
    execute: async (script: string) => {
      const client = new Client({ connectionString: (await made()).url });
      await client.connect();
      await client.query(script);
      await client.end();
    },
    drop: async () => (await making)?.drop(),
  };
}
