import { spawn } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, symlinkSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { findArtifacts } from '@holdfast-internal/embedded-java';
import { describeWithOwnKafka, eventually } from '@holdfast-internal/test-support';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { EmbeddedKafka, KAFKA } from './embedded-kafka.js';

describeWithOwnKafka('EmbeddedKafka', () => {
  let kafka: EmbeddedKafka;

  it('makes a formatted folder and an archive of its classes for the starts that follow, and starts in a cache with damaged ones', async () => {
    const cache = mkdtempSync(join(tmpdir(), 'holdfast-kafka-cache-'));
    const usual = process.env.XDG_CACHE_HOME;
    try {
      const library = await findArtifacts(KAFKA);
      const folder = join(cache, 'holdfast');
      mkdirSync(folder);
      symlinkSync(library, join(folder, basename(library)));
      process.env.XDG_CACHE_HOME = cache;
      await (await EmbeddedKafka.start()).remove();
      const prepared = readdirSync(folder).find((name) => name !== basename(library)) as string;
      expect(readdirSync(join(folder, prepared)).sort()).toEqual([expect.stringMatching(/^classes-\d+\.jsa$/), 'formatted']);
      for (const name of readdirSync(join(folder, prepared), { recursive: true, encoding: 'utf8' })) {
        const place = join(folder, prepared, name);
        chmodSync(place, 0o700);
        if (statSync(place).isFile()) truncateSync(place, 10);
      }
      await (await EmbeddedKafka.start()).remove();
    } finally {
      if (usual === undefined) delete process.env.XDG_CACHE_HOME;
      else process.env.XDG_CACHE_HOME = usual;
      rmSync(cache, { recursive: true, force: true });
    }
  });

  beforeAll(async () => {
    kafka = await EmbeddedKafka.start();
  });

  afterAll(() => kafka.remove());

  async function asAdmin<T>(work: (admin: Admin) => Promise<T>, requestTimeout = 30_000): Promise<T> {
    const client = new Kafka({ brokers: [kafka.address], logLevel: logLevel.NOTHING, requestTimeout, retry: { retries: 0 } });
    const admin = client.admin();
    await admin.connect();
    try {
      return await work(admin);
    } finally {
      await admin.disconnect();
    }
  }

  const topics = () => asAdmin((admin) => admin.listTopics());

  it('keeps what was made through kill -9 and a stop, at the same address', async () => {
    const topic = { topic: 'survivor', numPartitions: 2 };
    await asAdmin((admin) => admin.createTopics({ topics: [topic], waitForLeaders: false }));
    await kafka.kill();
    expect(kafka.pid).toBeUndefined();
    await expect(topics()).rejects.toThrow();
    await kafka.start();
    expect(await topics()).toContain('survivor');
    await kafka.stop();
    await kafka.start();
    expect(await topics()).toContain('survivor');
  });

  it('answers nobody while it is frozen, and goes on when it is thawed', async () => {
    kafka.freeze();
    try {
      await expect(asAdmin((admin) => admin.listTopics(), 1000)).rejects.toThrow();
    } finally {
      kafka.thaw();
    }
    expect(await topics()).toEqual(expect.any(Array));
  });

  it('is gone, with its files, after the process that started it is killed', async () => {
    const program = `const { EmbeddedKafka } = require(${JSON.stringify(join(__dirname, '..', 'dist', 'index.js'))});
        EmbeddedKafka.start().then((k) => { console.log(JSON.stringify([k.pid, k.folder])); setInterval(() => {}, 1000); });`;
    const owner = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve) => createInterface({ input: owner.stdout }).once('line', resolve));
    const [pid, folder] = JSON.parse(line) as [number, string];
    expect(isThere(pid)).toBe(true);
    owner.kill('SIGKILL');
    const remains = () => [isThere(pid), existsSync(folder)];
    await eventually(remains, (each) => !each.includes(true));
  });
});

function isThere(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
