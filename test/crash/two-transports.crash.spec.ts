import { describeWithRabbit, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { FailpointName } from '@holdfast/core';
import type { ProgramOptions } from './programs/options.js';
import { account } from './support/account.js';
import { openArena } from './support/arena.js';
import { describeOverKafka } from './support/carried.js';
import { die } from './support/deaths.js';
import { Program } from './support/program.js';

/** The same message over both, in one commit. */
const BOTH = { perUnit: 2, destinations: ['default:crash.work', 'events:crash.work'] };
/** Each transport has its own relay: the hit is that of whichever comes to it so often first. */
const DEATHS: readonly { readonly at: FailpointName; readonly hit: number }[] = [
  { at: 'relay:after-read', hit: 3 },
  { at: 'relay:after-publish', hit: 2 },
  { at: 'relay:after-publish', hit: 5 },
  { at: 'relay:after-advance', hit: 4 },
];

describeWithRabbit('RabbitMQ and Kafka at once', () => {
  let rabbit: RabbitArea | undefined;
  beforeAll(async () => {
    rabbit = await openRabbit();
  });
  afterAll(() => rabbit?.drop());

  describeOverKafka('over both', (carrier) => {
    const optionsFor = (url: string): ProgramOptions => {
      const area = rabbit as RabbitArea;
      return {
        url,
        lanes: 4,
        broker: { url: area.url, exchange: area.name(), heartbeat: '2s', partitions: 2 },
        ...carrier({ partitions: 2 }),
        subscriptions: [
          { name: 'commanded', isOrdered: true },
          { name: 'told', isOrdered: true, isOnEvents: true },
        ],
      };
    };

    it('kill -9 between the log and either broker loses nothing, doubles nothing, and keeps the order of each', async () => {
      const arena = await openArena();
      const options = optionsFor(arena.url);
      const died: Program[] = [];
      for (const { at, hit } of DEATHS) died.push(await die({ arena, options }, { at, hit, publishing: { count: 20, ...BOTH } }));
      const last = await new Program(options).ready();
      await last.publish({ count: 20, ...BOTH });
      const promises = { once: ['commanded', 'told'], ordered: ['commanded', 'told'], minimum: 20 };
      const { faults } = await account(arena, [...died, last], promises);
      const ends = await Promise.all(died.map(({ ended }) => ended));
      expect({ faults, ends: ends.map(({ signal }) => signal) }).toEqual({ faults: [], ends: DEATHS.map(() => 'SIGKILL') });
      expect(await arena.look('select distinct transport from holdfast_lane order by 1')).toEqual([
        { transport: 'default' },
        { transport: 'events' },
      ]);
      await last.stop();
      await arena.close();
    });
  });
});
