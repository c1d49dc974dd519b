import { Client } from 'pg';
import { createTestDatabase, servers } from './index.js';

describe.each(servers())('createTestDatabase on $name', (server) => {
  it('makes an empty database and removes it with connections still open', async () => {
    const database = await createTestDatabase(server);
    const client = new Client({ connectionString: database.url });
    client.on('error', () => undefined);
    await client.connect();
    const { rows } = await client.query('SELECT current_database() AS name');
    expect(rows).toEqual([{ name: database.name }]);

    await database.drop();

    const again = new Client({ connectionString: database.url });
    await expect(again.connect()).rejects.toThrow('does not exist');
    await client.end().catch(() => undefined);
  });

  it('gives every caller its own database', async () => {
    const both = await Promise.all([createTestDatabase(server), createTestDatabase(server)]);
    expect(both[0].name).not.toBe(both[1].name);
    await Promise.all(both.map((database) => database.drop()));
  });
});
