import { describeWithRocketmq, openRocketmq, ROCKETMQ_START_MS, type RocketmqArea } from '@holdfast-internal/test-support';
import { breakOver } from './support/over-broker.js';
import { buildPrograms, killPrograms } from './support/program.js';

describeWithRocketmq('over RocketMQ', () => {
  let area: RocketmqArea | undefined;
  beforeAll(async () => {
    buildPrograms();
    area = await openRocketmq();
  }, ROCKETMQ_START_MS);
  afterAll(async () => {
    await killPrograms();
    await area?.clear();
  });

  breakOver(() => ({ rocketmq: { ...(area as RocketmqArea).options(), queues: 4, awaitDuration: 1000 } }));
});
