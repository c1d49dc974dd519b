import { KAFKA_START_MS, openKafka, openRocketmq, ROCKETMQ_START_MS } from '@holdfast-internal/test-support';
import { runSample } from './run-sample.js';

describe('samples/01-order-payment-stock', () => {
  it('gives every order one payment and one reservation within a minute, with payments killed half-way', async () => {
    const startMs = performance.now();
    const { exitCode, output, lastLine } = await runSample('01-order-payment-stock');
    expect(lastLine).toMatch(/^orders=(\d+) paid=\1 reserved=\1 lost=0 twice=0 killed=1$/);
    expect(output).toMatch(/kill -9 \d+: payments is gone/);
    expect(exitCode).toBe(0);
    expect(performance.now() - startMs).toBeLessThan(60_000);
  }, 240_000);

  const rabbit = JSON.parse(process.env.HOLDFAST_TEST_BROKERS ?? '{"rabbit":{"reason":"nobody has looked"}}').rabbit;
  (rabbit.url === undefined ? it.skip : it)(
    'does the same over RabbitMQ, and leaves nothing behind there',
    async () => {
      process.env.RABBITMQ_URL = rabbit.url;
      const { exitCode, output, lastLine } = await runSample('01-order-payment-stock', '--transport', 'rabbitmq', '--orders', '150');
      expect(lastLine).toMatch(/^orders=(\d+) paid=\1 reserved=\1 lost=0 twice=0 killed=1$/);
      expect(output).toContain('RabbitMQ between them');
      expect(exitCode).toBe(0);
    },
    240_000,
  );

  const kafka = JSON.parse(process.env.HOLDFAST_TEST_BROKERS ?? '{"kafka":{"reason":"nobody has looked"}}').kafka;
  (kafka.reason === undefined ? it : it.skip)(
    'does the same over Kafka',
    async () => {
      // The first time on a machine it is fetched.
      await openKafka();
      const args = ['--transport', 'kafka', '--orders', '150', '--within', '120'];
      const { exitCode, output, lastLine } = await runSample('01-order-payment-stock', ...args);
      expect(lastLine).toMatch(/^orders=(\d+) paid=\1 reserved=\1 lost=0 twice=0 killed=1$/);
      expect(output).toContain('Kafka between them');
      expect(exitCode).toBe(0);
    },
    KAFKA_START_MS,
  );

  const rocketmq = JSON.parse(process.env.HOLDFAST_TEST_BROKERS ?? '{"rocketmq":{"reason":"nobody has looked"}}').rocketmq;
  (rocketmq.reason === undefined ? it : it.skip)(
    'does the same over RocketMQ',
    async () => {
      const area = await openRocketmq();
      process.env.ROCKETMQ_ENDPOINT = area.endpoint;
      process.env.ROCKETMQ_NAME_SERVER = area.nameServer;
      const args = ['--transport', 'rocketmq', '--orders', '150', '--within', '120'];
      const { exitCode, output, lastLine } = await runSample('01-order-payment-stock', ...args);
      await area.clear('sample-');
      expect(lastLine).toMatch(/^orders=(\d+) paid=\1 reserved=\1 lost=0 twice=0 killed=1$/);
      expect(output).toContain('RocketMQ between them');
      expect(exitCode).toBe(0);
    },
    ROCKETMQ_START_MS,
  );

  it('gives up when its time is over, and says what was missing', async () => {
    const startMs = performance.now();
    const { exitCode, lastLine } = await runSample('01-order-payment-stock', '--orders', '5000', '--within', '15');
    expect(lastLine).toMatch(/^Error: not done within 15 s, still waiting for .+\. The machine is slow or busy, or something hangs$/);
    expect(exitCode).toBe(1);
    expect(performance.now() - startMs).toBeLessThan(30_000);
  }, 240_000);

  it('says what is wrong with its command line', async () => {
    const { exitCode, output } = await runSample('01-order-payment-stock', '--orders', 'many');
    expect(output).toContain('--orders is many; use a whole number from 10 to 5000');
    expect(exitCode).toBe(1);
    const { output: third } = await runSample('01-order-payment-stock', '--transport', 'pigeons');
    expect(third).toContain('--transport is pigeons; use database or rabbitmq or kafka or rocketmq');
    const { output: second } = await runSample('01-order-payment-stock', '--within', '0');
    expect(second).toContain('--within is 0; use a whole number from 1 to 3600');
  });
});
