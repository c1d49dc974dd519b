import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { EmbeddedPostgres } from '@holdfast-internal/test-support';
import { Client } from 'pg';
import type { ProgramOptions } from './programs/options.js';
import { account, pause } from './support/account.js';
import { type Arena, openArena } from './support/arena.js';
import { endAllSessions, endure, PROMISES, publishing, SUBSCRIPTIONS } from './support/endure.js';
import { killPrograms, Program } from './support/program.js';

/** How long a stranger's transaction stays open: past two rounds of trimming the log, and the longest that one of ours may be idle. */
const OPEN_MS = 65_000;

/** A session of the programs; there are none for a moment after a reset. */
async function anyBackend(arena: Arena): Promise<number> {
  for (;;) {
    const [victim] = await arena.look<{ pid: number }>(
      `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() order by random() limit 1`,
    );
    if (victim !== undefined) return victim.pid;
    await pause(50);
  }
}

/** Sends a signal to the postmaster and all its children. */
function signalServer(pid: number, name: NodeJS.Signals): void {
  const children = readdirSync('/proc').filter((entry) => /^\d+$/.test(entry) && parentOf(entry) === pid);
  for (const each of [pid, ...children.map(Number)]) process.kill(each, name);
}

function parentOf(pid: string): number | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
  } catch {
    return undefined;
  }
}

const servers: EmbeddedPostgres[] = [];

/** A server of one case, to be broken. */
async function openServer(): Promise<{ readonly postgres: EmbeddedPostgres; readonly arena: Arena }> {
  const postgres = await EmbeddedPostgres.start();
  servers.push(postgres);
  return { postgres, arena: await openArena(await postgres.createDatabase('broken')) };
}

describe('under a service', () => {
  afterAll(async () => {
    await killPrograms();
    await Promise.all(servers.map((each) => each.remove()));
  });

  it('a server does not answer any more: a process that is told to stop ends all the same, and the next one goes on', async () => {
    const { postgres, arena } = await openServer();
    const options: ProgramOptions = {
      url: arena.url,
      lanes: 8,
      subscriptions: SUBSCRIPTIONS,
      stopTimeoutMs: 1000,
      publishesToTheEnd: true,
    };
    const program = await new Program({ ...options, publishing: { prefix: 'load', perSecond: 50 } }).ready();
    while (program.said('acknowledged').length < 25) await pause(50);
    signalServer(postgres.pid as number, 'SIGSTOP');
    program.signal('SIGTERM');
    // Publishers wait for the database too: what ends is the bus.
    const stopped = await program.line('stopped').finally(() => signalServer(postgres.pid as number, 'SIGCONT'));
    await program.kill();
    // Its own time-outs, and what a busy machine may add.
    expect(stopped.ms).toBeLessThan(1000 + 2000 + 3 * 1000 + 14_000);
    const next = await new Program(options).ready();
    await next.publish({ untilAcknowledged: 10 });
    const { faults } = await account(arena, [program, next], { ...PROMISES, minimum: 35 });
    expect(faults).toEqual([]);
    await next.stop();
    await arena.close();
  });

  it.concurrent('a server is killed four times under load: nothing is lost, doubled or out of order', async () => {
    const { postgres, arena } = await openServer();
    const result = await endure(arena, {}, async () => {
      for (let kill = 0; kill < 4; kill += 1) {
        await pause(900);
        await postgres.kill();
        await pause(200);
        await postgres.start();
      }
    });
    expect(result).toMatchObject({ faults: [], codes: [0, 0] });
    await arena.close();
  });

  it.concurrent('a server loses one backend to kill -9 and resets itself: nothing is lost, doubled or out of order', async () => {
    const { arena } = await openServer();
    const result = await endure(arena, {}, async (programs) => {
      for (let kill = 0; kill < 2; kill += 1) {
        await publishing(programs, 20);
        execFileSync('kill', ['-9', String(await anyBackend(arena))]);
      }
      await publishing(programs, 20);
    });
    expect(result).toMatchObject({ faults: [], codes: [0, 0] });
    await arena.close();
  });

  it.concurrent('connections are all cut three times a second: nothing is lost, doubled or out of order', async () => {
    const arena = await openArena();
    const result = await endure(arena, {}, async () => {
      for (let cut = 0; cut < 12; cut += 1) {
        await pause(350);
        await endAllSessions(arena);
      }
    });
    expect(result).toMatchObject({ faults: [], codes: [0, 0] });
    await arena.close();
  });

  it.concurrent('a transaction left open elsewhere for more than a minute holds a snapshot and rows of the business, and delays nobody', async () => {
    const arena = await openArena();
    const stranger = new Client({ connectionString: arena.url });
    stranger.on('error', () => undefined);
    await stranger.connect();
    await stranger.query('begin isolation level repeatable read');
    await stranger.query('select count(*) from counter');
    await stranger.query(`insert into victim values ('held')`);
    const startedMs = performance.now();
    const result = await endure(arena, {}, async ([program]) => {
      while (performance.now() - startedMs < OPEN_MS) {
        await program?.publish({ count: 30 });
        await pause(1000);
      }
    });
    expect(result).toMatchObject({ faults: [], codes: [0, 0] });
    // What was published last, with dead versions of a minute in every table; the most of it is for a busy machine.
    expect(result.waitedMs).toBeLessThan(20_000);
    await stranger.end();
    await arena.close();
  });
});
