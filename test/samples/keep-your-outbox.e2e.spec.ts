import { describeWithRabbit, openRabbit } from '@holdfast-internal/test-support';
import { runSampleWith } from './run-sample.js';

const NAME = '03-keep-your-outbox';

const runAt = (url: string) => runSampleWith({ RABBITMQ_URL: url }, NAME);

describeWithRabbit(`samples/${NAME}`, () => {
  it('charges each order once while its producer changes two lines', async () => {
    const area = await openRabbit();
    try {
      const { exitCode, output, lastLine } = await runAt(area.url);
      expect(lastLine).toBe('orders=20 charged=20 twice=0 repeats=2 refused=1 waiting=0');
      expect(output).toContain('One took 3 attempts, one was sent twice.');
      expect(output).toMatch(/NonRetryableMessageError: order\.audited \S+ was not published: nobody has subscribed to it/);
      expect(exitCode).toBe(0);
    } finally {
      await area.drop();
    }
  });
});

describe(`samples/${NAME} without a RabbitMQ`, () => {
  it('says plainly that there is none, and what to do', async () => {
    const { exitCode, output } = await runAt('amqp://127.0.0.1:1');
    expect(output).toMatch(
      /^There is no RabbitMQ at 127\.0\.0\.1:1 \(.*\), and this sample needs one: start it, or name one with RABBITMQ_URL\.\n$/,
    );
    expect(exitCode).toBe(1);
  });
});
