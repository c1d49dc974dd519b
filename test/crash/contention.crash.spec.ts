import { account } from './support/account.js';
import { openArena } from './support/arena.js';
import { killPrograms, Program } from './support/program.js';

afterEach(killPrograms);

it('fifty copies of one message at once have one effect in each subscription', async () => {
  const arena = await openArena();
  const subscriptions = [
    { name: 'unit', slowMs: 50 },
    { name: 'batch', batchSize: 8, slowMs: 50 },
    { name: 'leased', isTransactional: false, lockTtlMs: 30_000, slowMs: 50 },
  ];
  const options = { url: arena.url, lanes: 32, subscriptions: [] };
  const publisher = await new Program(options).ready();
  await publisher.publish({ prefix: 'copy', count: 50, keys: 0, copyOf: 'the-one', concurrency: 8, rollbackShare: 0 });
  await publisher.publish({ prefix: 'other', count: 20, keys: 0, rollbackShare: 0 });
  const programs = [0, 1].map(() => new Program({ ...options, subscriptions }));
  await Promise.all(programs.map((program) => program.ready()));
  await publisher.publish({ prefix: 'afterwards', count: 10, keys: 0, rollbackShare: 0 });
  const { faults } = await account(arena, [publisher, ...programs], { once: ['unit', 'batch', 'leased'], minimum: 80 });
  const untried = `select count(*) as n from holdfast_cursor c join holdfast_outbox o on o.lane = c.lane and o.id > c.position`;
  for (let left = 1; left > 0; ) left = Number((await arena.look<{ n: string }>(untried))[0]?.n);
  const effects = await arena.look(
    `select subscription, count(*)::int as n from effect where message_id = 'the-one' group by 1 order by 1`,
  );
  expect({ faults, effects }).toEqual({ faults: [], effects: ['batch', 'leased', 'unit'].map((subscription) => ({ subscription, n: 1 })) });
  await arena.close();
});

it('units and handlers that cannot be serialised run again: no update is lost, no message is doubled', async () => {
  const arena = await openArena();
  await arena.look(`insert into counter values ('shared', 0)`);
  const subscriptions = [{ name: 'shared', isolation: 'SERIALIZABLE' as const, concurrency: 6 }];
  const programs = await Promise.all([0, 1].map(() => new Program({ url: arena.url, lanes: 8, subscriptions }).ready()));
  const publishing = { count: 40, kinds: ['conflict'], ms: 5, isolation: 'SERIALIZABLE', keys: 3 } as const;
  await Promise.all(programs.map((program) => program.publish(publishing)));
  const { faults, committed, refused } = await account(arena, programs, { once: ['shared'], minimum: 60 });
  const [counter] = await arena.look<{ n: number }>(`select n from counter where key = 'shared'`);
  expect({ faults, n: counter?.n }).toEqual({ faults: [], n: committed });
  // Only those that were refused on purpose.
  expect(programs.flatMap((program) => program.said('refused')).filter(({ code }) => code !== 'UNWANTED' && code !== '23503')).toEqual([]);
  expect(refused).toBeLessThan(20);
  await arena.close();
});
