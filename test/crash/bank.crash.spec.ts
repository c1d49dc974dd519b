// The bank: three services that move money by sagas, tries and choreography all at once, and are killed at random.
import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { ProgramOptions } from './programs/options.js';
import { openArena } from './support/arena.js';
import { liveThrough } from './support/bank.js';
import { buildPrograms, killPrograms } from './support/program.js';

/** Another one each day; HOLDFAST_BANK_SEED repeats what was drawn, though not what the machine made of it. */
const SEED = Number(process.env.HOLDFAST_BANK_SEED ?? Math.floor(Date.now() / 86_400_000));
const DEATHS = Number(process.env.HOLDFAST_BANK_DEATHS ?? 8);

async function expectWhole(carrier: Partial<ProgramOptions>): Promise<void> {
  const arena = await openArena();
  const { faults, parked, ends, killed } = await liveThrough(arena, { seed: SEED, deaths: DEATHS, carrier });
  process.stdout.write(`bank of seed ${SEED}: ${killed} processes killed, ${JSON.stringify(ends)}\n`);
  expect({ seed: SEED, faults: faults.slice(0, 20) }).toEqual({ seed: SEED, faults: [] });
  const mending = expect.arrayContaining([expect.stringContaining('it is not mended yet')]);
  expect(parked).toEqual({ sagas: mending, branches: mending, letters: mending });
  await arena.close();
}

describe('a bank whose services are killed at random', () => {
  beforeAll(buildPrograms);
  afterAll(killPrograms, 60_000);

  it(
    'neither loses nor makes money, and every transfer is done, undone, or waits for a person, over the database',
    () => expectWhole({}),
    500_000,
  );
});

describeWithRabbit('a bank whose services are killed at random', () => {
  let area: RabbitArea;
  beforeAll(async () => {
    buildPrograms();
    area = await openRabbit();
  });
  afterAll(async () => {
    await killPrograms();
    await area.drop();
  }, 60_000);

  it(
    'neither loses nor makes money, and every transfer is done, undone, or waits for a person, over RabbitMQ',
    () => expectWhole({ broker: { url: area.url, exchange: area.name(), heartbeat: '2s' } }),
    500_000,
  );
});
