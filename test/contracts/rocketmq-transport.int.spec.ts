import { describeWithRocketmq, openRocketmq, type RocketmqArea } from '@holdfast-internal/test-support';
import { transportContract } from '@holdfast/core/testing/contracts';
import { ROCKETMQ_CAPABILITIES, rocketmq } from '@holdfast/transport-rocketmq';
import { onPostgres } from './postgres-system.js';
import { runContract } from './run-contract.js';

/** Enough to see that they are shared. */
const QUEUES = 3;
/**
 * What a process has in hand it keeps for another while when a third of it is over. On a machine that answers nothing for longer than the rest, all that
 * is in hand comes again, and nothing here is about that.
 */
const INVISIBLE_MS = 8000;

describeWithRocketmq('on RocketMQ', () => {
  let area: RocketmqArea;
  beforeAll(async () => {
    area = await openRocketmq();
  });
  afterAll(() => area?.clear());

  runContract('the transport rocketmq', transportContract(ROCKETMQ_CAPABILITIES), {
    open: async () => {
      const options = { ...area.options(), queues: QUEUES, invisibleDuration: INVISIBLE_MS };
      const system = await onPostgres(() => rocketmq(options));
      return {
        ...system,
        drop: async () => {
          await system.drop();
          await area.clear(options.prefix);
        },
      };
    },
  });
});
