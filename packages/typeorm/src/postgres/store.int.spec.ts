import { borrowTestDatabase, servers } from '@holdfast-internal/test-support';
import { storeContract } from '@holdfast/core/testing/contracts';
import { Client } from 'pg';
import { runContract } from '../../../../test/contracts/run-contract.js';
import { openStore } from '../../../../test/log/support/open-store.js';

for (const server of servers()) {
  runContract(`the store typeorm on ${server.name}`, storeContract(), {
    open: async () => {
      const database = await borrowTestDatabase(server);
      const execute = async (script: string) => {
        const client = new Client({ connectionString: database.url });
        await client.connect();
        await client.query(script);
        await client.end();
      };
      return {
        open: (options) => openStore(database.url, { lanes: 4, service: 'contract', poolSize: 8, ...options, migrate: false }),
        execute,
        drop: () => database.drop(),
      };
    },
  });
}
