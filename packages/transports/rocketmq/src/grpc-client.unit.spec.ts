import { silentLogger, VirtualTime } from '@holdfast/core';
import { BaseClient } from 'rocketmq-client-nodejs';
import { GrpcClient } from './grpc-client.js';
import { settingsFrom } from './settings.js';

describe('a client of RocketMQ whose start never ends', () => {
  afterEach(() => jest.restoreAllMocks());

  it.each([
    ['a producer', (client: GrpcClient) => client.openProducer()],
    ['a consumer of g', (client: GrpcClient) => client.openConsumer({ group: 'g', topic: 't' })],
  ])('is given up after the time of two answers, and let go of: %s', async (request, open) => {
    let start = (): void => undefined;
    jest.spyOn(BaseClient.prototype, 'startup').mockReturnValue(
      new Promise<void>((resolve) => {
        start = resolve;
      }),
    );
    const shutdown = jest.spyOn(BaseClient.prototype, 'shutdown').mockResolvedValue();
    const time = new VirtualTime();
    const settings = settingsFrom({ endpoint: '127.0.0.1:1', requestTimeout: '5s' });
    let error: unknown;
    open(new GrpcClient({ settings, scheduler: time, logger: silentLogger })).catch((caught: unknown) => {
      error = caught;
    });
    await time.advance('9s');
    expect(error).toBeUndefined();
    await time.advance('2s');
    expect(error).toMatchObject({ code: 'HF_BROKER_UNANSWERED', details: { request, timeoutMs: 10_000 } });
    expect(shutdown).toHaveBeenCalledTimes(1);
    // It may come to an end all the same, and has timers then.
    start();
    await time.advance('1s');
    expect(shutdown).toHaveBeenCalledTimes(2);
  });
});
