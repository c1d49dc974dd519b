// The bank: three services that move money by sagas, tries and choreography all at once, and are killed at random.
import { EmbeddedPostgres, describeWithOwnRabbit, EmbeddedRabbitmq } from '@holdfast-internal/test-support';
import type { Carrier } from './programs/carriers.js';
import { openArena } from './support/arena.js';
import { liveThrough, NOT_MENDED } from './support/bank.js';
import { describeOverKafka, describeOverRocketmq } from './support/carried.js';
import { buildPrograms, killPrograms } from './support/program.js';

/** What is drawn from it is always the same, though not what the machine makes of it; HOLDFAST_BANK_SEED draws something else. */
const SEED = Number(process.env.HOLDFAST_BANK_SEED ?? 7);
/** Of processes; fewer over the two brokers that take much of a processor, whose own death is another test's. */
const DEATHS = Number(process.env.HOLDFAST_BANK_DEATHS ?? 6);
const FEW_DEATHS = Number(process.env.HOLDFAST_BANK_DEATHS ?? 2);
const RUN_MS = 600_000;

/** A bank that never gets anything done neither loses nor makes money. */
const SUCCESSES = ['saga: completed', 'queued saga: completed', 'try: committed', 'choreography: settle'];

/** What a bank stands on. */
interface Ground {
  readonly carrier?: Carrier;
  /** Of a database server of its own. */
  readonly url?: string;
  readonly outage?: () => Promise<void>;
  readonly deaths?: number;
}

/** Runs the bank, and looks at its books. */
function keepsItsMoney(groundOf: () => Ground | Promise<Ground>): void {
  it(
    'neither loses nor makes money, and every transfer is done, undone, or waits for a person',
    async () => {
      const { carrier = {}, url, outage, deaths = DEATHS } = await groundOf();
      const arena = await openArena(url);
      try {
        const { faults, parked, ends, killed } = await liveThrough(arena, { seed: SEED, deaths, carrier, outage });
        process.stdout.write(`the bank of seed ${SEED}: ${killed} processes were killed, ${JSON.stringify(ends)}\n`);
        expect({ seed: SEED, faults: faults.slice(0, 20) }).toEqual({ seed: SEED, faults: [] });
        expect(Object.keys(ends)).toEqual(expect.arrayContaining(SUCCESSES));
        expect(killed).toBeGreaterThanOrEqual(deaths);
        const mending = expect.arrayContaining([expect.stringContaining(NOT_MENDED)]);
        expect(parked).toEqual({ sagas: mending, branches: mending, letters: mending });
      } finally {
        await arena.close();
      }
    },
    RUN_MS,
  );
}

describe('a bank whose services are killed at random, and its database server', () => {
  let postgres: EmbeddedPostgres | undefined;
  beforeAll(async () => {
    buildPrograms();
    postgres = await EmbeddedPostgres.start();
  });
  afterAll(async () => {
    await killPrograms();
    await postgres?.remove();
  });

  keepsItsMoney(async () => {
    const server = postgres as EmbeddedPostgres;
    const outage = async () => {
      await server.kill();
      await server.start();
    };
    return { url: await server.createDatabase('bank'), outage };
  });
});

describeWithOwnRabbit('a bank whose services are killed at random, and its RabbitMQ', () => {
  let rabbit: EmbeddedRabbitmq | undefined;
  beforeAll(async () => {
    buildPrograms();
    rabbit = await EmbeddedRabbitmq.start();
  });
  afterAll(async () => {
    await killPrograms();
    await rabbit?.remove();
  });

  keepsItsMoney(() => {
    const broker = rabbit as EmbeddedRabbitmq;
    const outage = async () => {
      await broker.kill();
      await broker.start();
    };
    return { carrier: { broker: { url: broker.url, exchange: 'bank', heartbeat: '2s', confirmTimeout: '5s' } }, outage };
  });
});

describeOverKafka('a bank over Kafka whose services are killed at random', (carrier) =>
  keepsItsMoney(() => ({ carrier: carrier({ partitions: 2 }), deaths: FEW_DEATHS })),
);
describeOverRocketmq('a bank over RocketMQ whose services are killed at random', (carrier) =>
  keepsItsMoney(() => ({ carrier: carrier({ queues: 2 }), deaths: FEW_DEATHS })),
);
