import { borrowTestDatabase, servers } from '@holdfast-internal/test-support';
import { Client } from 'pg';
import { storeContract } from '../../../../test/contracts/store.contract.js';
import { openStore } from '../../../../test/log/support/open-store.js';

for (const server of servers()) {
  storeContract(`typeorm on ${server.name}`, async () => {
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
  });
}
