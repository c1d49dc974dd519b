// The bank: three services that move money by sagas, tries and choreography all at once, and are killed at random.
import {
  describeWithKafka,
  describeWithRabbit,
  describeWithRocketmq,
  KAFKA_START_MS,
  type KafkaArea,
  kafkaDriver,
  openKafka,
  openRabbit,
  openRocketmq,
  type RabbitArea,
  ROCKETMQ_START_MS,
  type RocketmqArea,
} from '@holdfast-internal/test-support';
import type { Carrier } from './programs/carriers.js';
import { openArena } from './support/arena.js';
import { liveThrough } from './support/bank.js';
import { buildPrograms, killPrograms } from './support/program.js';

/** Another one each day; HOLDFAST_BANK_SEED repeats what was drawn, though not what the machine made of it. */
const SEED = Number(process.env.HOLDFAST_BANK_SEED ?? Math.floor(Date.now() / 86_400_000));
const DEATHS = Number(process.env.HOLDFAST_BANK_DEATHS ?? 8);
/** Over the other two brokers it takes minutes of a processor, so only where that is asked for. */
const IS_EVERYWHERE = process.env.HOLDFAST_BANK_EVERYWHERE === '1';
const RUN_MS = 600_000;

/** Runs the bank, and looks at its books. */
function keepsItsMoney(deaths: number, carrier: () => Carrier): void {
  it(
    'neither loses nor makes money, and every transfer is done, undone, or waits for a person',
    async () => {
      const arena = await openArena();
      const { faults, parked, ends, killed } = await liveThrough(arena, { seed: SEED, deaths, carrier: carrier() });
      process.stdout.write(`the bank of seed ${SEED}: ${killed} processes were killed, ${JSON.stringify(ends)}\n`);
      expect({ seed: SEED, faults: faults.slice(0, 20) }).toEqual({ seed: SEED, faults: [] });
      const mending = expect.arrayContaining([expect.stringContaining('it is not mended yet')]);
      expect(parked).toEqual({ sagas: mending, branches: mending, letters: mending });
      await arena.close();
    },
    RUN_MS,
  );
}

describe('a bank over the database whose services are killed at random', () => {
  beforeAll(buildPrograms);
  afterAll(killPrograms, 60_000);

  keepsItsMoney(DEATHS, () => ({}));
});

describeWithRabbit('a bank over RabbitMQ whose services are killed at random', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(async () => {
    await killPrograms();
    await area.drop();
  }, 60_000);

  keepsItsMoney(DEATHS, () => ({ broker: { url: area.url, exchange: area.name(), heartbeat: '2s' } }));
});

if (IS_EVERYWHERE) {
  describeWithKafka('a bank over Kafka whose services are killed at random', () => {
    let area: KafkaArea | undefined;
    beforeAll(async () => {
      buildPrograms();
      area = await openKafka();
    }, KAFKA_START_MS);
    afterAll(async () => {
      await killPrograms();
      await area?.clear();
    }, 60_000);

    keepsItsMoney(DEATHS, () => {
      const { address, name, sessionMs } = area as KafkaArea;
      return {
        kafka: { brokers: [address], driver: kafkaDriver(), prefix: name(), sessionTimeout: Math.max(4000, sessionMs), partitions: 2 },
      };
    });
  });

  describeWithRocketmq('a bank over RocketMQ whose services are killed at random', () => {
    let area: RocketmqArea | undefined;
    beforeAll(async () => {
      buildPrograms();
      area = await openRocketmq();
    }, ROCKETMQ_START_MS);
    afterAll(async () => {
      await killPrograms();
      await area?.clear();
    }, 60_000);

    keepsItsMoney(DEATHS, () => ({ rocketmq: { ...(area as RocketmqArea).options(), queues: 2, awaitDuration: 1000 } }));
  });
}
