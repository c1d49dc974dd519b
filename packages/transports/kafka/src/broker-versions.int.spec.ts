import { once } from 'node:events';
import { type AddressInfo, createServer, type Server } from 'node:net';
import { describeWithKafka, openKafka } from '@holdfast-internal/test-support';
import { systemScheduler } from '@holdfast/core';
import { checkThatItSettles } from './broker-versions.js';
import { type KafkaOptions, settingsFrom } from './settings.js';

const check = (options: KafkaOptions) =>
  checkThatItSettles({ settings: settingsFrom({ requestTimeout: '2s', ...options }), scheduler: systemScheduler });

/** As the definition of the protocol has it: the number of the answer, no error, and two kinds of requests with their oldest and newest versions. */
const answerOf = (newest: number) =>
  Buffer.from(`00000016 00000001 0000 00000002 0000 0003 0007 0009 0001 ${hex(newest)}`.replaceAll(' ', ''), 'hex');
const hex = (version: number) => version.toString(16).padStart(4, '0');

describe('what a broker can do', () => {
  const servers: Server[] = [];
  afterEach(() => {
    for (const server of servers.splice(0)) server.close();
  });

  /** Answers what it is asked in two parts, or not at all. */
  async function brokerOf(newest: number | undefined): Promise<{ readonly address: string; readonly asked: string[] }> {
    const asked: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (question) => {
        asked.push(question.toString('hex'));
        if (newest === undefined) return void socket.end();
        socket.write(answerOf(newest).subarray(0, 7));
        setTimeout(() => socket.write(answerOf(newest).subarray(7)), 20);
      });
    });
    servers.push(server.listen(0, '127.0.0.1'));
    await once(server, 'listening');
    return { address: `127.0.0.1:${(server.address() as AddressInfo).port}`, asked };
  }

  it('is asked for, and one before 2.5 is refused by name', async () => {
    const [old, young] = [await brokerOf(6), await brokerOf(7)];
    await expect(check({ brokers: [old.address] })).rejects.toMatchObject({
      code: 'HF_CAPABILITY_UNSUPPORTED',
      message: expect.stringContaining('Kafka 2.5 or newer is needed'),
    });
    await check({ brokers: [young.address] });
    // Its size, its number, its version, a number for the answer, and no name.
    expect(young.asked).toEqual(['0000000a 0012 0000 00000001 ffff'.replaceAll(' ', '')]);
  });

  it('is what the first one that answers says, and no answer is no answer', async () => {
    const silent = await brokerOf(undefined);
    await check({ brokers: [silent.address, (await brokerOf(9)).address] });
    await expect(check({ brokers: [silent.address] })).rejects.toThrow(/has closed the connection/);
  });
});

describeWithKafka('what a real broker can do', () => {
  it('is enough for transactions of consumers', async () => {
    await check({ brokers: [(await openKafka()).address] });
  });
});
