// Whoever asks is answered, though the process that answers dies at any step between.
import { type ChildProcess, spawn } from 'node:child_process';
import { join } from 'node:path';
import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import { type FailpointName, Holdfast, silentLogger } from '@holdfast/core';
import { database } from '@holdfast/transport-database';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { typeorm } from '@holdfast/typeorm';
import { DataSource } from 'typeorm';
import { type AnsweringOptions, Draw } from './programs/answering.js';
import { type Arena, openArena } from './support/arena.js';
import { buildPrograms } from './support/program.js';

/** The process that answers, started again whenever it is killed. */
class Answering {
  deaths = 0;
  private child: ChildProcess | undefined;
  private isOver = false;

  constructor(private readonly options: AnsweringOptions) {
    buildPrograms();
  }

  /** Resolves when it has started. */
  async start(): Promise<void> {
    const env = { ...process.env, ANSWERING_OPTIONS: JSON.stringify(this.options), HOLDFAST_FAILPOINT: '' };
    const child = spawn(process.execPath, [join(__dirname, 'programs', '.build', 'answering.js')], {
      env,
      stdio: ['pipe', 'pipe', 'inherit'],
    });
    this.child = child;
    child.once('exit', (_code, signal) => {
      if (this.isOver) return;
      this.deaths += signal === 'SIGKILL' ? 1 : 0;
      void this.start();
    });
    await new Promise((resolve) => child.stdout?.once('data', resolve));
  }

  async stop(): Promise<void> {
    this.isOver = true;
    const ended = new Promise((resolve) => this.child?.once('exit', resolve));
    this.child?.kill('SIGKILL');
    await ended;
  }
}

/** Whoever asks, the process that answers, and the database under both. */
interface Scene {
  readonly arena: Arena;
  readonly asker: Holdfast;
  readonly answering: Answering;
  close(): Promise<void>;
}

async function open(isTransactional: boolean, broker?: { readonly url: string; readonly exchange: string }): Promise<Scene> {
  const arena = await openArena();
  const answering = new Answering({ url: arena.url, broker, isTransactional });
  await answering.start();
  const askerSource = await new DataSource({ type: 'postgres', url: arena.url }).initialize();
  // Tables of its own, where a broker is between the two.
  const store = typeorm({ dataSource: askerSource, lanes: 2, schema: broker === undefined ? undefined : 'asker' });
  const transport = broker === undefined ? database() : rabbitmq(broker);
  const asker = new Holdfast({ service: 'asking', transport, store }, { logger: silentLogger });
  await asker.start();
  const close = async () => {
    await asker.stop({ timeout: '5s' });
    await askerSource.destroy();
    await answering.stop();
    await arena.close();
  };
  return { arena, asker, answering, close };
}

/** Asks once; the answer must be the number of the only row that was written. */
async function askOnce({ arena, asker, answering, close }: Scene, dieAt: FailpointName): Promise<void> {
  try {
    const { n } = await asker.bus.request(new Draw(dieAt), { timeout: '60s', id: 'only' });
    // The reply may be faster than the news of the death.
    while (answering.deaths === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    expect(answering.deaths).toBe(1);
    const rows = await arena.look<{ n: string }>('select n from effect order by n');
    expect(rows.map((row) => Number(row.n))).toEqual([n]);
  } finally {
    await close();
  }
}

/** Between the call of a handler inside a transaction and the end of the commit. */
const IN_UNIT: readonly FailpointName[] = ['unit:after-handling', 'unit:after-outbox', 'unit:after-commit'];

// Side by side: most of their time is waiting until a dead process is found.
describe('over the database, a request is answered, and its effect is there once, when its process dies at', () => {
  beforeAll(buildPrograms);

  it.concurrent.each(IN_UNIT)('%s', async (failpoint) => {
    await askOnce(await open(true), failpoint);
  });

  it.concurrent('lease:after-handler, of a handler outside any transaction', async () => {
    await askOnce(await open(false), 'lease:after-handler');
  });
});

describeWithRabbit('over RabbitMQ, a request is answered, and its effect is there once, when its process dies at', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(() => area.drop());

  it.concurrent.each([...IN_UNIT, 'relay:after-read', 'relay:after-publish'] as const)('%s', async (failpoint) => {
    await askOnce(await open(true, { url: area.url, exchange: area.name() }), failpoint);
  });

  it.concurrent('lease:after-handler, of a handler outside any transaction', async () => {
    await askOnce(await open(false, { url: area.url, exchange: area.name() }), 'lease:after-handler');
  });
});
