import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describeWithRabbit, openRabbit, type RabbitArea, PATIENCE_MS } from '@holdfast-internal/test-support';
import { Holdfast, silentLogger } from '@holdfast/core';
import { rabbitmq } from '@holdfast/transport-rabbitmq';
import { Work } from './programs/messages.js';
import type { WithoutStoreLine, WithoutStoreOptions } from './programs/without-store.js';
import { buildPrograms } from './support/program.js';

/** A process of a service without a store, and what it said. */
class Worker {
  readonly lines: WithoutStoreLine[] = [];
  readonly ended: Promise<unknown>;
  private readonly child: ChildProcess;

  constructor(options: WithoutStoreOptions) {
    const program = join(__dirname, 'programs', '.build', 'without-store.js');
    const env = { ...process.env, CRASH_OPTIONS: JSON.stringify(options) };
    this.child = spawn(process.execPath, [program], { env, stdio: ['ignore', 'pipe', 'inherit'] });
    createInterface({ input: this.child.stdout as NodeJS.ReadableStream }).on('line', (line) =>
      this.lines.push(JSON.parse(line) as WithoutStoreLine),
    );
    this.ended = once(this.child, 'close');
  }

  /** Ids of the lines of one kind. */
  ids(e: WithoutStoreLine['e']): string[] {
    return this.lines.flatMap((line) => (line.e === e && 'id' in line ? [line.id] : []));
  }

  async said(isSaid: (lines: readonly WithoutStoreLine[]) => boolean): Promise<void> {
    for (const end = Date.now() + PATIENCE_MS; !isSaid(this.lines); ) {
      if (Date.now() > end) throw new Error(`it last said ${JSON.stringify(this.lines.slice(-5))}`);
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
  }

  async kill(): Promise<void> {
    this.child.kill('SIGKILL');
    await this.ended;
  }
}

describeWithRabbit('a service without a store', () => {
  let area: RabbitArea;
  let exchange: string;
  let workers: Worker[];
  const queues: string[] = [];
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(() => area.drop(queues));
  beforeEach(() => {
    exchange = area.name();
    workers = [];
    queues.push(`${exchange}/crash/crash.work`, `${exchange}/crash:dead/crash.work`);
  });
  afterEach(() => Promise.all(workers.map((worker) => worker.kill())));

  const worker = (options: Partial<WithoutStoreOptions> = {}): Worker => {
    const made = new Worker({ url: area.url, exchange, handles: true, ...options });
    workers.push(made);
    return made;
  };
  const isReady = (lines: readonly WithoutStoreLine[]) => lines.some(({ e }) => e === 'ready');
  const publish = async (...messages: readonly (readonly [id: string, kind: 'ok' | 'hang' | 'kill'])[]) => {
    const bus = new Holdfast({ service: 'publisher', transport: rabbitmq({ url: area.url, exchange }) }, { logger: silentLogger });
    await bus.start();
    for (const [id, kind] of messages) await bus.bus.publish(new Work(kind, 0, 0, ''), { id });
    await bus.stop();
  };

  it('that is killed in the middle of a handler leaves the message to the next process, which is told that it may be a repeat', async () => {
    const first = worker();
    await first.said(isReady);
    await publish(['a', 'hang'], ['b', 'ok']);
    await first.said((lines) => lines.some(({ e }) => e === 'called'));
    await first.kill();
    expect(first.ids('handled')).toEqual([]);
    const next = worker();
    await next.said((lines) => lines.filter(({ e }) => e === 'handled').length === 2);
    expect(next.lines).toContainEqual({ e: 'called', id: 'a', isRedelivery: true });
    expect([...next.ids('handled')].sort()).toEqual(['a', 'b']);
  });

  it('that is killed while it publishes has lost nothing that was acknowledged', async () => {
    const reader = worker();
    await reader.said(isReady);
    const publisher = worker({ handles: false, publishes: 100_000 });
    await publisher.said((lines) => lines.filter(({ e }) => e === 'acknowledged').length > 300);
    await publisher.kill();
    const acknowledged = publisher.ids('acknowledged');
    expect(acknowledged.length).toBeGreaterThan(300);
    await reader.said((lines) => {
      const handled = new Set(lines.flatMap((line) => (line.e === 'handled' ? [line.id] : [])));
      return acknowledged.every((id) => handled.has(id));
    });
  });

  it('does not die of one message for ever: it becomes a dead letter, and the next one is handled', async () => {
    const first = worker();
    await first.said(isReady);
    await publish(['poison', 'kill'], ['after', 'ok']);
    await first.ended;
    let deaths = 1;
    for (let last = worker(); ; last = worker()) {
      const isDead = await Promise.race([
        last.ended.then(() => true),
        last.said((lines) => lines.some(({ e }) => e === 'handled')).then(() => false),
      ]);
      if (!isDead) break;
      deaths += 1;
      if (deaths > 30) throw new Error('it dies for ever');
    }
    expect(deaths).toBe(21);
    expect(workers.at(-1)?.ids('handled')).toEqual(['after']);
    const letter = await area.as((admin) => admin.get(`${exchange}/crash:dead/crash.work`, { noAck: true }));
    expect(letter).toMatchObject({
      properties: {
        headers: { 'cloudEvents:id': 'poison', 'holdfast-dead-code': 'HF_HANDLER_UNSETTLED_OFTEN', 'holdfast-dead-attempts': 0 },
      },
    });
  });
});
