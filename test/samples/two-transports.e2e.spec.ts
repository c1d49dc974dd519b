import { describeWithKafka, describeWithRabbit, type KafkaArea, openKafka, openRabbit } from '@holdfast-internal/test-support';
import { runSampleWith } from './run-sample.js';

const NAME = '06-two-transports';

describeWithRabbit(`samples/${NAME}`, () => {
  describeWithKafka('over both brokers', () => {
    let kafka: KafkaArea;
    beforeAll(async () => {
      kafka = await openKafka();
    });

    it('charges and counts each order once, and leaves nothing at a Kafka that is not its own', async () => {
      const rabbit = await openRabbit();
      try {
        const { exitCode, output, lastLine } = await runSampleWith({ RABBITMQ_URL: rabbit.url, KAFKA_BROKERS: kafka.address }, NAME);
        expect(lastLine).toBe('orders=20 charged=20 counted=20 twice=0 waiting=0');
        expect(output).toContain('10 orders more, 20 payments: no command waits for the broker of the events.');
        expect(exitCode).toBe(0);
        const topics = await kafka.as((admin) => admin.listTopics());
        expect(topics.filter((topic) => topic.startsWith('holdfast-sample-'))).toEqual([]);
      } finally {
        await rabbit.drop();
      }
    });
  });
});

describe(`samples/${NAME} without a RabbitMQ`, () => {
  it('says plainly that there is none, and what to do', async () => {
    const { exitCode, output } = await runSampleWith({ RABBITMQ_URL: 'amqp://127.0.0.1:1' }, NAME);
    expect(output).toMatch(/^There is no RabbitMQ at 127\.0\.0\.1:1 \(.*\): start one, or name one with RABBITMQ_URL\.\n$/);
    expect(exitCode).toBe(1);
  });
});
