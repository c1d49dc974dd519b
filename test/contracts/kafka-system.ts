import type { KafkaArea } from '@holdfast-internal/test-support';
import type { TransportFixture } from '@holdfast/core/testing/contracts';
import { type KafkaOptions, kafka } from '@holdfast/transport-kafka';
import { onPostgres } from './postgres-system.js';

/** Enough to see that they are shared. */
const PARTITIONS = 3;

/** Over topics of its own for each case, which go with it. */
export function onKafka(area: () => KafkaArea, driver: Pick<KafkaOptions, 'driver' | 'groupProtocol'> = {}): TransportFixture {
  return {
    open: async () => {
      const { address, name, clear } = area();
      const prefix = name();
      const options = { brokers: [address], prefix, partitions: PARTITIONS, ...driver };
      const system = await onPostgres(() => kafka(options));
      return {
        ...system,
        drop: async () => {
          await system.drop();
          await clear(prefix);
        },
      };
    },
  };
}
