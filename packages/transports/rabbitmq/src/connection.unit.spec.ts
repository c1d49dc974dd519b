import { type AddressInfo, createServer, type Server, Socket } from 'node:net';
import { type KeeperContext, systemScheduler } from '@holdfast/core';
import { Connection } from './connection.js';
import { settingsFrom } from './settings.js';

describe('the socket of a connection', () => {
  let server: Server;
  let url: string;

  // Hangs up at once: what is set at the socket is set before anything is said.
  beforeAll(async () => {
    server = createServer((socket) => socket.on('error', () => undefined).destroy());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `amqp://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => new Promise((resolve) => server.close(resolve)));
  afterEach(() => jest.restoreAllMocks());

  it('waits for no further bytes before it sends (noDelay)', async () => {
    const setNoDelay = jest.spyOn(Socket.prototype, 'setNoDelay');
    const settings = settingsFrom({ url });
    const context = { scheduler: systemScheduler } as KeeperContext;
    const parts = { context, settings, node: { url, address: url }, name: 'a test', blocked: () => undefined };
    await expect(Connection.open(parts, new AbortController().signal)).rejects.toThrow();
    expect(setNoDelay.mock.calls).toEqual([[true]]);
  });
});
