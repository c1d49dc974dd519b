// Which brokers a run takes: what is on the default ports may be anything, or nothing.
import { type AddressInfo, createServer, type Server, type Socket } from 'node:net';
import { freePort } from '@holdfast-internal/embedded-postgres';

type Find = (
  environment: Readonly<Record<string, string>>,
  options: Readonly<Record<string, unknown>> & { readonly tools: () => string | undefined },
) => Promise<Readonly<Record<string, string>>>;

const { findKafka, findRabbit, findRocketmq } = require('./find-brokers.cjs') as Readonly<
  Record<'findKafka' | 'findRabbit' | 'findRocketmq', Find>
>;

const BROKERS = [
  {
    broker: 'RabbitMQ',
    variable: 'HOLDFAST_TEST_RABBITMQ',
    find: findRabbit,
    at: (port: number) => ({ url: `amqp://guest:guest@127.0.0.1:${port}` }),
  },
  { broker: 'Kafka', variable: 'HOLDFAST_TEST_KAFKA', find: findKafka, at: (port: number) => ({ address: `127.0.0.1:${port}` }) },
  {
    broker: 'RocketMQ',
    variable: 'HOLDFAST_TEST_ROCKETMQ',
    find: findRocketmq,
    at: (port: number) => ({ places: `127.0.0.1:${port},127.0.0.1:${port}` }),
  },
] as const;

/** What may be on a port, and is no broker. */
const STRANGERS: Readonly<Record<string, (socket: Socket) => void>> = {
  'says nothing': () => undefined,
  'speaks HTTP': (socket) => void socket.on('data', () => socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n')),
  'hangs up': (socket) => socket.destroy(),
};

const canBeStarted = () => undefined;

describe.each(BROKERS)('the $broker of a run', ({ broker, variable, find, at }) => {
  const servers: Server[] = [];
  const sockets = new Set<Socket>();
  afterEach(async () => {
    for (const socket of sockets) socket.destroy();
    await Promise.all(servers.splice(0).map((server) => new Promise((resolve) => server.close(resolve))));
  });

  async function listen(stranger: (socket: Socket) => void): Promise<number> {
    const server = createServer((socket) => {
      sockets.add(socket.on('error', () => undefined));
      stranger(socket);
    });
    servers.push(server);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return (server.address() as AddressInfo).port;
  }

  it('is started where nothing is on the port', async () => {
    expect(await find({}, { ...at(await freePort()), tools: canBeStarted })).toEqual({});
  });

  it('is missing where nothing is on the port and none can be started, for a reason that says both and what to do', async () => {
    const port = await freePort();
    const { reason } = await find({}, { ...at(port), tools: () => 'no java in the path' });
    expect(reason).toContain(`no ${broker}: 127.0.0.1:${port}`);
    expect(reason).toMatch(new RegExp(`does not answer \\(.*ECONNREFUSED.*\\), and no java in the path; name one with ${variable}$`));
  });

  it.each(Object.keys(STRANGERS))('is not what is on the port and %s', async (stranger) => {
    const port = await listen(STRANGERS[stranger] as (socket: Socket) => void);
    expect(await find({}, { ...at(port), tools: canBeStarted })).toEqual({});
    expect(sockets.size).toBeGreaterThan(0);
  });

  it('is the one that is named, and no other when that does not answer', async () => {
    const port = await listen(() => undefined);
    sockets.clear();
    const named = Object.values(at(await freePort()))[0] as string;
    await expect(find({ [variable]: named }, { ...at(port), tools: canBeStarted })).rejects.toThrow(
      `${variable} (${named}) does not answer`,
    );
    expect(sockets.size).toBe(0);
  });
});
