import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describeWithOwnKafka, eventually } from '@holdfast-internal/test-support';
import { type Admin, Kafka, logLevel } from 'kafkajs';
import { EmbeddedKafka } from './embedded-kafka.js';

describeWithOwnKafka('EmbeddedKafka', () => {
  let kafka: EmbeddedKafka;

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
