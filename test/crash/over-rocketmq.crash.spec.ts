import { describeOverRocketmq } from './support/carried.js';
import { breakOver, breakStoreUnder, killSagasOver } from './support/over-broker.js';

describeOverRocketmq('over RocketMQ', (carrierOf) => {
  const carrier = () => carrierOf({ queues: 4 });
  breakOver(carrier);
  breakStoreUnder(carrier);
  killSagasOver(carrier);
});
