// What breaks at the database, or at whoever writes there, under a bus over RabbitMQ.
import { describeWithRabbit, EmbeddedPostgres, openRabbit, type RabbitArea } from '@holdfast-internal/test-support';
import type { RabbitmqOptions } from '@holdfast/transport-rabbitmq';
import { Client } from 'pg';
import type { ProgramOptions } from './programs/options.js';
import { account } from './support/account.js';
import { openArena } from './support/arena.js';
import { endSessions, FLOWS_AGAIN_MS, killServer, outlive, SUBSCRIPTIONS } from './support/endure.js';
import { stopped } from './support/frozen.js';
import { buildPrograms, killPrograms, Program } from './support/program.js';
import { SHIFTS, workByWrongClock } from './support/wrong-clock.js';

describeWithRabbit('over RabbitMQ', () => {
  let area: RabbitArea;
  let postgres: EmbeddedPostgres;
  beforeAll(async () => {
    buildPrograms();
    [area, postgres] = await Promise.all([openRabbit(), EmbeddedPostgres.start()]);
  });
  afterAll(async () => {
    await killPrograms();
    await Promise.all([area.drop(), postgres.remove()]);
  });

  const brokerOf = (): RabbitmqOptions => ({ url: area.url, exchange: area.name(), heartbeat: '2s', partitions: 2 });

  it.concurrent('writers frozen in their transaction, and a stranger who leaves one open, delay nobody; what a frozen one commits in the end arrives, and what it does not is nowhere', async () => {
    const arena = await openArena();
    const stranger = new Client({ connectionString: arena.url });
    await stranger.connect();
    await stranger.query('begin isolation level repeatable read');
    await stranger.query(`insert into victim values ('held')`);
    const subscriptions = [
      { name: 'ordered', isOrdered: true },
      { name: 'batch', batchSize: 4 },
    ];
    const options: ProgramOptions = { url: arena.url, lanes: 2, broker: brokerOf(), subscriptions };
    const consumer = await new Program(options).ready();
    const writers = ['wakes', 'dies'].map((keyPrefix) => {
      const writer = new Program({ ...options, subscriptions: [] }, { failpoint: 'unit:after-join=stop@3' });
      const publishing = { prefix: keyPrefix, keyPrefix, count: 4, keys: 1, concurrency: 1, rollbackShare: 0, isJoined: true };
      return { writer, publishing };
    });
    for (const { writer, publishing } of writers) (await writer.ready()).order({ publish: publishing });
    await Promise.all(writers.map(({ writer }) => stopped(writer)));
    await consumer.publish({ count: 60 });
    const programs = [consumer, ...writers.map(({ writer }) => writer)];
    const promises = { once: ['ordered', 'batch'], ordered: ['ordered'], minimum: 50, patienceMs: FLOWS_AGAIN_MS };
    expect((await account(arena, programs, promises)).faults).toEqual([]);
    const acknowledgedBy = () => writers.map(({ writer }) => writer.said('acknowledged').length);
    expect(acknowledgedBy()).toEqual([2, 2]);

    const [wakes, dies] = writers.map(({ writer }) => writer) as [Program, Program];
    wakes.signal('SIGCONT');
    await dies.kill();
    await wakes.line('published');
    await consumer.publish({ count: 20 });
    expect((await account(arena, programs, { ...promises, minimum: 70 })).faults).toEqual([]);
    expect(acknowledgedBy()).toEqual([4, 2]);
    await stranger.end();
    await arena.close();
  });

  it.concurrent.each(SHIFTS)(
    'a process whose clock is moved by an hour, %s, keeps order and its leases, and takes over those of another',
    async (_, clockShiftMs) => {
      const arena = await openArena();
      const { lateMs, ...result } = await workByWrongClock(arena, { broker: brokerOf(), subscriptions: SUBSCRIPTIONS }, clockShiftMs);
      expect(result).toEqual({ faults: [], letters: [], nodes: 2 });
      expect(lateMs).toBeLessThan(FLOWS_AGAIN_MS);
      await arena.close();
    },
  );

  it('a database server that is killed under load loses, doubles and disorders nothing', async () => {
    const arena = await openArena(await postgres.createDatabase('killed'));
    await outlive(arena, { broker: brokerOf() }, (programs) => killServer(postgres, programs));
  });

  it('sessions of the database that end under load, all of them and one after the other, lose, double and disorder nothing', async () => {
    const arena = await openArena();
    await outlive(arena, { broker: brokerOf() }, (programs) => endSessions(arena, programs));
  });
});
