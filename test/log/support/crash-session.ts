import { setTimeout as sleep } from 'node:timers/promises';
import { Client } from 'pg';

/**
 * Ends one session as a crash of its process does: the postmaster throws all sessions out and recovers, and stays the same process.
 * Resolves when the server answers again.
 */
export async function crashSession(url: string): Promise<void> {
  const [victim, witness] = [connect(url), connect(url)];
  const { rows } = await (await victim).query<{ pid: number }>('select pg_backend_pid() as pid');
  const { client, ended } = watch(await witness);
  process.kill(rows[0]!.pid, 'SIGKILL');
  await ended;
  await Promise.allSettled([(await victim).end(), client.end()]);
  await answered(url);
}

/** Resolves when the server takes connections. */
export async function answered(url: string): Promise<void> {
  for (;;) {
    const client = await connect(url).catch(() => undefined);
    if (client !== undefined) return client.end();
    await sleep(20);
  }
}

async function connect(url: string): Promise<Client> {
  const client = new Client({ connectionString: url });
  client.on('error', () => undefined);
  await client.connect();
  return client;
}

function watch(client: Client): { client: Client; ended: Promise<void> } {
  return { client, ended: new Promise((resolve) => client.once('end', () => resolve())) };
}
