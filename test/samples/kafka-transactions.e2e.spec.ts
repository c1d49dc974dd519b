import { describeWithKafka, openKafka } from '@holdfast-internal/test-support';
import { runSampleWith } from './run-sample.js';

const NAME = '04-kafka-transactions';

describeWithKafka(`samples/${NAME}`, () => {
  it('counts each view once while a counter is killed', async () => {
    const area = await openKafka();
    try {
      const { exitCode, output, lastLine } = await runSampleWith({ KAFKA_BROKERS: area.address, KAFKA_PREFIX: area.name() }, NAME);
      expect(lastLine).toBe('views=400 counted=400 twice=0');
      expect(output).toContain('site-0.example 80, site-1.example 80');
      expect(exitCode).toBe(0);
    } finally {
      await area.clear();
    }
  });
});
