import { describeOverKafka } from './support/carried.js';
import { breakOver, breakStoreUnder, killSagasOver } from './support/over-broker.js';

describeOverKafka('over Kafka', (carrierOf) => {
  const carrier = () => carrierOf({ partitions: 4 });
  breakOver(carrier);
  breakStoreUnder(carrier);
  killSagasOver(carrier);
});
