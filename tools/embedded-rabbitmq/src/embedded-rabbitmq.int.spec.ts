import { spawn } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { describeWithOwnRabbit, eventually } from '@holdfast-internal/test-support';
import { type ConfirmChannel, connect } from 'amqplib';
import { EmbeddedRabbitmq } from './embedded-rabbitmq.js';

const QUEUE = 'survivor';

describeWithOwnRabbit('EmbeddedRabbitmq', () => {
  let rabbit: EmbeddedRabbitmq;

  beforeAll(async () => {
    rabbit = await EmbeddedRabbitmq.start();
  });

  afterAll(() => rabbit.remove());

  async function onChannel<T>(work: (channel: ConfirmChannel) => Promise<T>): Promise<T> {
    const connection = await connect(rabbit.url, { timeout: 60_000 });
    connection.on('error', () => undefined);
    try {
      const channel = await connection.createConfirmChannel();
      // Classic: RabbitMQ 3.10 does not know a quorum queue any more that was made a moment before kill -9.
      await channel.assertQueue(QUEUE, { durable: true });
      return await work(channel);
    } finally {
      await connection.close();
    }
  }

  const publish = (text: string) =>
    onChannel(async (channel) => {
      channel.sendToQueue(QUEUE, Buffer.from(text), { persistent: true });
      await channel.waitForConfirms();
    });
  /** Taken out: what a queue says of its length is late. */
  const take = () =>
    onChannel(async (channel) => {
      const message = await channel.get(QUEUE, { noAck: true });
      return message === false ? undefined : message.content.toString();
    });

  it.each(['kill', 'stop'] as const)('keeps what it has confirmed through a %s, at the same address', async (end) => {
    await publish(end);
    await rabbit[end]();
    expect(rabbit.pid).toBeUndefined();
    await expect(take()).rejects.toThrow();
    const started = rabbit.start();
    // That of the process before it may be the number of another one by now.
    expect(rabbit.pid).toBeUndefined();
    await started;
    expect(await eventually(take, (text) => text !== undefined)).toBe(end);
  });

  it('answers nobody while it is frozen, and goes on when it is thawed', async () => {
    const { pid } = rabbit;
    rabbit.freeze();
    try {
      await expect(connect(rabbit.url, { timeout: 500 })).rejects.toThrow();
    } finally {
      rabbit.thaw();
    }
    expect(await take()).toBeUndefined();
    expect(rabbit.pid).toBe(pid);
  });

  it.each(['running', 'frozen'])('is gone, with its files, after the process that started it is killed while it is %s', async (how) => {
    const program = `const { EmbeddedRabbitmq } = require(${JSON.stringify(join(__dirname, '..', 'dist', 'index.js'))});
        EmbeddedRabbitmq.start().then((r) => { if (${how === 'frozen'}) r.freeze();
          console.log(JSON.stringify([r.pid, r.folder])); setInterval(() => {}, 1000); });`;
    const owner = spawn(process.execPath, ['-e', program], { stdio: ['ignore', 'pipe', 'inherit'] });
    const line = await new Promise<string>((resolve) => createInterface({ input: owner.stdout }).once('line', resolve));
    const [pid, folder] = JSON.parse(line) as [number, string];
    expect(isThere(pid)).toBe(true);
    owner.kill('SIGKILL');
    await eventually(
      () => [isThere(pid), existsSync(folder)],
      (each) => !each.includes(true),
    );
  });

  it('says at once that it has ended, and why, where it does not start, and starts when that is mended', async () => {
    await rabbit.kill();
    const file = join(rabbit.folder, 'rabbitmq.conf');
    const configuration = readFileSync(file, 'utf8');
    writeFileSync(file, `${configuration}no.such.setting = 1\n`);
    await expect(rabbit.start()).rejects.toThrow(/^RabbitMQ did not start: it has ended\. .*no\.such\.setting/s);
    expect(rabbit.pid).toBeUndefined();
    writeFileSync(file, configuration);
    await rabbit.start();
    expect(isThere(rabbit.pid as number)).toBe(true);
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
