import { Client } from 'pg';
import { borrowTestDatabase, createTestDatabase, servers } from './index.js';

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

  it('lends one again, empty and with nobody connected', async () => {
    const first = await borrowTestDatabase(server);
    const client = new Client({ connectionString: first.url });
    client.on('error', () => undefined);
    await client.connect();
    await client.query('create table left_over (); create schema other; create sequence other.left_over');
    await client.query(`alter database "${first.name}" set work_mem = '1MB'; begin; lock table left_over`);
    await first.drop();
    const second = await borrowTestDatabase(server);
    expect(second.name).toBe(first.name);
    await expect(client.query('select 1')).rejects.toThrow();
    const again = new Client({ connectionString: second.url });
    await again.connect();
    const { rows } = await again.query(
      `select to_regclass('left_over') as a, to_regclass('other.left_over') as b, current_setting('work_mem') = '1MB' as c`,
    );
    expect(rows).toEqual([{ a: null, b: null, c: false }]);
    await again.end();
    await second.drop();
  });
});
